"""Processes that are killed between two changes of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def kill_after(patch: pytest.MonkeyPatch, changes: int) -> None:
    """Let files be renamed or removed so many times, locks aside, and then stop the program."""
    left = [changes]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(path: Path, *arguments: Any, **named: Any) -> Any:
            if path.name != ".lock":
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
            return change(path, *arguments, **named)

        return changed

    for name in ("replace", "unlink"):
        patch.setattr(Path, name, counted(getattr(Path, name)))
