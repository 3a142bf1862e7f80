"""The tree of exceptions is the one that the module draws, and exit codes follow it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from verydeep import errors
from verydeep.errors import InputError, MissingExtra, VeryDeepError, did_you_mean

CODES = {
    "VeryDeepError": 1,
    "InputError": 2,
    "RecipeError": 2,
    "DataError": 2,
    "PictureError": 2,
    "PictureTooLarge": 2,
    "ModelError": 2,
    "FolderInUse": 2,
    "SizeError": 2,
    "MissingExtra": 2,
    "MachineError": 1,
    "WorkerError": 1,
    "ProcessLost": 1,
    "DiskError": 1,
    "TrainingStopped": 1,
    "Interrupted": 130,
}


def drawn() -> Iterator[tuple[str, str]]:
    """Yield each class of the drawing with the one that it hangs from."""
    path: list[tuple[int, str]] = []
    for line in str(errors.__doc__).splitlines():
        branch = re.match(r"([ │├└─]*)([A-Z]\w+)  ", line)
        if branch:
            depth = len(branch[1])
            path = [(above, name) for above, name in path if above < depth]
            yield branch[2], path[-1][1] if path else "Exception"
            path.append((depth, branch[2]))


def classes() -> dict[str, type]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: kind for name, kind in found if kind.__module__ == errors.__name__}


def test_the_drawing_is_the_tree() -> None:
    assert dict(drawn()) == {name: kind.__bases__[0].__name__ for name, kind in classes().items()}


def test_each_error_has_its_exit_code() -> None:
    assert {name: kind.exit_code for name, kind in classes().items()} == CODES


def test_a_fault_of_the_input_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, VeryDeepError)


def test_a_missing_extra_names_its_install_line() -> None:
    with pytest.raises(InputError, match=r"^drawing needs .*pip install 'verydeep\[drawing\]'$"):
        raise MissingExtra("drawing", "drawing")


@pytest.mark.parametrize(
    ("found", "hint"),
    [("epoch", "; did you mean 'epochs'?"), ("epochs", "; did you mean 'epochs'?"), ("zzz", "")],
)
def test_only_a_near_word_is_offered(found: str, hint: str) -> None:
    assert did_you_mean(found, iter(["batch", "epochs"])) == hint
