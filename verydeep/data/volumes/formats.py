"""Names of files that hold volumes; none is opened."""

from __future__ import annotations

from pathlib import Path

from verydeep.data.images.formats import SUFFIXES as IMAGES

NPY, NIFTI = ".npy", (".nii", ".nii.gz")

SUFFIXES = (NPY, *NIFTI)
"""Lower-case endings of files of volumes."""


def is_volume_name(name: str) -> bool:
    """Return whether a file's name is that of a volume.

    >>> is_volume_name("a/scan.NII.gz"), is_volume_name("a/scan.png")
    (True, False)
    """
    return name.lower().endswith(SUFFIXES)


def is_volume(source: object) -> bool:
    """Return whether a source is a volume: a file of one, or a folder of slices."""
    if not isinstance(source, Path) or source.suffix.lower() in IMAGES:
        return False
    return is_volume_name(source.name) or source.is_dir()
