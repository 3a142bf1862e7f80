"""Versions of the packages that results of bulk work depend on."""

from __future__ import annotations

import platform

from verydeep.system.device import installed_version

PACKAGES = ("verydeep", "torch", "numpy", "pillow", "ray", "pyarrow")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages; None for one that is not installed."""
    found = {name: installed_version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}
