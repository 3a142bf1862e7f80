"""Files of a multipart/form-data body, kept in memory only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


class FormError(ValueError):
    """The body is no form, or only the beginning of one."""


class TooManyFiles(ValueError):
    """The form has more files than are allowed."""


@dataclass
class FormFile:
    """A file of a form."""

    name: str | None
    data: bytearray = field(default_factory=bytearray)


class FormFiles:
    """Parser that collects the files of a form, and passes over its other fields.

    Args:
        content_type: Header of the request.
        most: Maximum number of files.

    Raises:
        FormError: The header names no boundary, or one that is too long.
    """

    def __init__(self, content_type: str, most: int) -> None:
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise FormError("the header Content-Type names no boundary")
        self.files: list[FormFile] = []
        self._most, self._ended = most, False
        self._current: FormFile | None = None
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._adds(0),
            "on_header_value": self._adds(1),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:  # it is too long
            raise FormError("the header Content-Type names an unusable boundary") from error

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes.

        Raises:
            FormError: They are no form.
            TooManyFiles: There are more files than are allowed.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise FormError("it cannot be parsed") from error

    def close(self) -> list[FormFile]:
        """Return the files.

        Raises:
            FormError: The body ends before the form does.
        """
        if not self._ended:
            raise FormError("it ends before its last boundary")
        return self.files

    def _begin(self) -> None:
        self._current, self._disposition = None, b""

    def _adds(self, place: int) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            self._header[place].extend(data[start:end])

        return add

    def _end_header(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _begin_data(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            return
        if len(self.files) == self._most:
            raise TooManyFiles
        name = options[b"filename"].decode("utf-8", "replace")
        self._current = FormFile(name or None)
        self.files.append(self._current)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.data.extend(memoryview(data)[start:end])

    def _end(self) -> None:
        self._ended = True
