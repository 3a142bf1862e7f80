"""Images that are files of their own in an object store or on a web server."""

from __future__ import annotations

from dataclasses import dataclass

from verydeep.data.images.limits import MAX_BYTES
from verydeep.data.images.member import Member
from verydeep.errors import DataError, PictureError
from verydeep.system.device import without_secret
from verydeep.system.object_stores import read_remote


@dataclass(frozen=True, slots=True)
class RemoteImage(Member):
    """A remote image file.

    Attributes:
        url: Its address.
    """

    url: str

    def __str__(self) -> str:
        return without_secret(self.url)

    def read(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            PictureError: The file is missing, not accessible or too large.
            MachineError: The service cannot be reached now; that is no fault of the image.
        """
        try:
            data = read_remote(self.url, 0, MAX_BYTES + 1)
        except DataError as error:
            raise PictureError(str(error).removeprefix(f"{self}: ")) from error
        if len(data) > MAX_BYTES:
            raise PictureError(f"more bytes than the allowed {MAX_BYTES:,}")
        return data


@dataclass(frozen=True, slots=True)
class Unreadable(Member):
    """An image that is known to be unreadable.

    Attributes:
        reason: Reason.
        name: Its name.
    """

    reason: str
    name: str = "row"

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """Raise the reason.

        Raises:
            PictureError: Always.
        """
        raise PictureError(self.reason)
