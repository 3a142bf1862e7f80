"""Images that are no files of their own: they lie in an archive, or in a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class Member(ABC):
    """An image that lies in something larger.

    Its text, ``str(member)``, is its name within the data set. Members are small: they hold where
    the image is, and can go to another process.
    """

    @abstractmethod
    def read(self) -> bytes:
        """Return what would stand in its file.

        Raises:
            OSError: It cannot be read.
            PictureError: It is too long.
        """


ImageSource = Path | Member
"""Where an image is."""
