"""Images inside an archive or a table instead of files of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class Member(ABC):
    """An image inside an archive or a table.

    ``str(member)`` is its name within the data set. Members hold only the location of the image,
    and can be pickled.
    """

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes of the image file.

        Raises:
            OSError: It cannot be read.
            PictureError: It is too large.
        """


ImageSource = Path | Member
"""Location of an image."""
