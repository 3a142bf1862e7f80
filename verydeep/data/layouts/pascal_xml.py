"""XML annotations of Pascal VOC and ImageNet: objects with their corners.

The files are not trusted: one with a DOCTYPE, which could expand entities or include other files,
is refused before parsing goes on, and so is a very long one.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

from verydeep.data.annotations import Corners, corners
from verydeep.data.images.regular_file import open_regular
from verydeep.errors import DataError

MAX_BYTES = 4 * 2**20
"""Maximum size of a file; those of Pascal VOC have a few kB."""


class Object(NamedTuple):
    """An object in an image: its class and, if given, its corners as written."""

    name: str
    corners: Corners | None


class _Doctype(Exception):
    pass


class _Builder(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise _Doctype


def read_objects(path: Path) -> list[Object]:
    """Return the objects of an annotation file, in order.

    Raises:
        DataError: The file is not such an annotation.
    """
    root = _parse(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: must be an <annotation>, got <{root.tag}> instead")
    return [_object(element, path) for element in root.findall("object")]


def _parse(path: Path) -> ET.Element:
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES:,} bytes, too large for an annotation")
        parser = ET.XMLParser(target=_Builder())  # noqa: S314 (see _Doctype)
        parser.feed(content)
        return parser.close()
    except DataError:
        raise
    except _Doctype as error:
        raise DataError(f"{path}: has a DOCTYPE, not allowed here: remove it") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: not valid XML ({error})") from error


def _object(element: ET.Element, path: Path) -> Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{path}: an <object> without <name>")
    box = element.find("bndbox")
    if box is None:
        return Object(name, None)
    keys = ("xmin", "ymin", "xmax", "ymax")
    return Object(name, corners([box.findtext(key) for key in keys], str(path)))
