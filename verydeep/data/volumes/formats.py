"""Names of files that hold volumes; none is opened."""

from __future__ import annotations

from pathlib import Path

from verydeep.data.images.formats import SUFFIXES as IMAGES
from verydeep.data.images.member import ImageSource

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


def title_of(source: ImageSource) -> str:
    """Return a volume's name without its ending.

    >>> title_of(Path("a/scan.nii.gz"))
    'scan'
    """
    name = Path(str(source)).name
    ending = next((one for one in SUFFIXES if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)]
