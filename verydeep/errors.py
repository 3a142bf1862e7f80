"""What can go wrong, as one tree; and how it is put in words.

::

    VeryDeepError                 anything this package raises on purpose; exit code 1
    ├── InputError                the user's input is at fault; exit code 2
    │   ├── RecipeError           a recipe or one of its settings
    │   ├── DataError             a data set: layout, classes, splits
    │   │   └── PictureError      one image that cannot be read
    │   │       └── PictureTooLarge  one that would cost too much to read
    │   ├── ModelError            a model or run folder
    │   ├── FolderInUse           another process is writing there
    │   ├── SizeError             an image too small for a net, an input size no net can have
    │   └── MissingExtra          an optional dependency; names its install line
    ├── MachineError              the machine is at fault, not the input; exit code 1
    │   ├── WorkerError           a reading process was killed, or none can be started
    │   ├── ProcessLost           a process of a group was killed or cannot be reached
    │   └── DiskError             no room on a disk, or a disk that fails
    ├── TrainingStopped           training ended early and kept its last good checkpoint
    └── Interrupted               a signal asked for the end; exit code 130

An :class:`InputError` reads as one message: what is wrong, where, what was found, what to do.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


class VeryDeepError(Exception):
    """Anything this package raises on purpose.

    Attributes:
        exit_code: Exit code of the program.
        reported: Whether another process of the group prints the message.
    """

    exit_code = 1
    reported = False


class InputError(VeryDeepError, ValueError):
    """The user's input is at fault; the message says what to do about it."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe or a setting that cannot be used; lists every fault at once."""


class DataError(InputError):
    """A data set that cannot be used: its layout, its classes or its splits."""


class PictureError(DataError):
    """One image that cannot be read."""


class PictureTooLarge(PictureError):
    """One image of more bytes or pixels than are ever read."""


class ModelError(InputError):
    """A folder that is no model or run, or one that does not fit the request."""


class FolderInUse(InputError):
    """Another process is writing to the folder; the message says which."""


class SizeError(InputError):
    """An image too small for a net, or an input size no net can have."""


class MissingExtra(InputError):
    """An optional dependency is absent."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'verydeep[{extra}]'")


class MachineError(VeryDeepError):
    """The machine is at fault, not the input; the message says what may help."""


class WorkerError(MachineError):
    """A reading process was killed or crashed, or none can be started."""


class ProcessLost(MachineError):
    """A process of the group was killed, or cannot be reached any more."""


class DiskError(MachineError):
    """A file cannot be written for lack of room, or because the disk fails."""


class TrainingStopped(VeryDeepError):
    """Training ended early; the message names the checkpoint that was kept and what to try."""


class Interrupted(VeryDeepError):
    """A signal asked for the end; the message says how to resume."""

    exit_code = 130


def did_you_mean(found: str, known: Iterable[str], then: str = "") -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or nothing; and what follows.

    >>> did_you_mean("A-LNR", ["A", "A-LRN", "B"])
    "; did you mean 'A-LRN'?"
    >>> did_you_mean("cta", ["cat"], "add images"), did_you_mean("x", ["cat"], "add images")
    ("; did you mean 'cat'? Add images", '; add images')
    """
    nearest = difflib.get_close_matches(found, list(known), n=1, cutoff=0.6)
    if not nearest:
        return f"; {then}" if then else ""
    return f"; did you mean {nearest[0]!r}?" + (f" {then[0].upper()}{then[1:]}" if then else "")


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "file"), plural(2000, "file"), plural(2, "class", "classes")
    ('1 file', '2,000 files', '2 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shortened(value: object) -> str:
    """Return a value from a file as Python writes it, in at most a line or two.

    >>> shortened("cat"), len(shortened(b"x" * 10**6)), len(shortened({"bytes": b"x" * 10**6}))
    ("'cat'", 80, 91)
    """
    return _SHORT.repr(value)


def printable(name: object) -> str:
    """Return a name or a path as it can stand in a line of a message, whatever it is made of.

    >>> print(printable("cats/1.jpg"), printable("two" + chr(10) + "lines.jpg").count(chr(10)))
    cats/1.jpg 0
    """
    return str(name) if str(name).isprintable() else repr(str(name))
