"""Libraries of other frameworks: import them, and put their errors in words."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verydeep.errors import MissingExtra, ModelError, VeryDeepError, printable
from verydeep.models.weights.imported import Imported

EXTRA = "verify"


def library(module: str, called: str) -> Any:
    """Import a library.

    Args:
        module: Name of the module.
        called: Name of the library, for messages.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"comparing with {called}", EXTRA) from error


@contextmanager
def running(imported: Imported, called: str) -> Iterator[None]:
    """Report every error of a library as one about the file.

    Raises:
        ModelError: The library cannot run the file.
    """
    try:
        yield
    except VeryDeepError:
        raise
    except Exception as error:  # the errors of these libraries have no common base class
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        why = f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__
        raise ModelError(
            f"{printable(imported.path)}: {called} cannot run this file ({printable(why)}), so "
            "nothing was compared"
        ) from error
