"""Reading of volumes: NumPy arrays, NIfTI files, folders of slices.

Files come from anywhere. As for images, reading returns a volume or raises a
:class:`~verydeep.errors.PictureError`, and sizes are checked before memory is taken.

=====================  ====================================================================
``.npy``               an array (D, H, W), or (D, H, W, 3) in RGB; never a pickle
``.nii``, ``.nii.gz``  turned to the closest canonical axes, then (z, y, x) from above, with the
                       edges of the voxels; the first of several volumes (extra
                       ``verydeep[volumes]``)
a folder               its images, ordered by the numbers in their names, are the slices
=====================  ====================================================================

Values of more than 8 bits are windowed; see :func:`verydeep.data.volumes.volume.volume_of`.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.images.decode import decode_values, naming
from verydeep.data.images.image_files import own_pictures
from verydeep.data.images.member import ImageSource
from verydeep.data.images.regular_file import open_regular
from verydeep.data.volumes.formats import NPY
from verydeep.data.volumes.geometry import Extent
from verydeep.data.volumes.volume import MAX_VOXELS, Volume, check_voxels, volume_of
from verydeep.errors import MissingExtra, PictureError, PictureTooLarge

HEADER = 2**16
"""Maximum bytes of an array's header."""


def read_volume(source: Path) -> Volume:
    """Read a volume from a file or a folder of slices.

    Raises:
        PictureError: It is missing, unreadable, incomplete or too large.
        MissingExtra: A NIfTI file is given and nibabel is not installed.
    """
    with naming(source):
        if source.is_dir():
            return volume_of(_slices(source))
        if source.name.lower().endswith(NPY):
            return volume_of(_array(source))
        return volume_of(*_nifti(source))


def _array(path: Path) -> NDArray[Any]:
    """Read a ``.npy`` file; the header is checked before the values are read."""
    with open_regular(path) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise PictureError("an array file of an unknown version")
        read = getattr(np.lib.format, f"read_array_header_{min(version[0], 2)}_0")
        shape, fortran, dtype = read(file, max_header_size=HEADER)
        check_voxels(shape)
        if dtype.hasobject or dtype.itemsize > 16:
            raise PictureError(f"values of type {dtype} are no real numbers")
        count = int(np.prod(shape, dtype=np.int64))
        data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise PictureError("the file is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _nifti(path: Path) -> tuple[NDArray[Any], Extent]:
    """Read a NIfTI file, turned to canonical axes, as (z, y, x), and the edges of its voxels."""
    nibabel = _nibabel()
    head = _unpacked(path, 352)
    kind = nibabel.Nifti1Header if head[344:347] in (b"n+1", b"ni1") else nibabel.Nifti2Header
    if kind is nibabel.Nifti2Header:
        head = _unpacked(path, 540)
    header = kind(head[: kind.sizeof_hdr], check=False)
    shape = tuple(int(side) for side in header.get_data_shape())
    shape, others = shape[:3], len(shape[3:])
    check_voxels(shape)
    size = math.prod(shape) * header.get_data_dtype().itemsize
    most = 16 * MAX_VOXELS
    if size > most:
        raise PictureTooLarge(f"{size:,} bytes of voxels, more than the allowed {most:,}")
    # Cut before it is turned: turning reads all of a series, and converts scaled values to float64.
    first = nibabel.load(path).slicer[(..., *[slice(1)] * others)]
    image = nibabel.as_closest_canonical(first)
    values = np.asarray(image.dataobj[(..., *[0] * others)], dtype=np.float32)
    return values.transpose(2, 1, 0), _spacing(image.header.get_zooms()[2::-1])


ALIKE = 1.001
"""Edges of a voxel that differ by a smaller factor are equal: headers hold rounded numbers."""


def _spacing(edges: Sequence[float]) -> Extent:
    """Return edges as multiples of the shortest; if they are no lengths, voxels are cubes.

    >>> _spacing((5.0, 0.5, 0.5))
    (10.0, 1.0, 1.0)
    """
    z, y, x = (float(edge) for edge in edges)
    shortest = min(z, y, x)
    if not (shortest > 0 and math.isfinite(z + y + x) and max(z, y, x) > ALIKE * shortest):
        return 1.0, 1.0, 1.0
    return z / shortest, y / shortest, x / shortest


def _nibabel() -> Any:  # untyped
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtra("NIfTI files", "volumes") from error
    return nibabel


def _unpacked(path: Path, count: int) -> bytes:
    """Return the first bytes of a file that may be compressed."""
    with open_regular(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.open(file) as unpacked:
                return unpacked.read(count)
        return file.read(count)


def _slices(folder: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read the images of a folder as slices, grey with all its bits."""
    names = sorted(own_pictures(folder), key=natural)
    if not names:
        raise PictureError("no images in this folder, so no slices")
    first = decode_values(folder / names[0])
    check_voxels((len(names), *first.shape))
    voxels = np.empty((len(names), *first.shape), first.dtype)
    for place, name in enumerate(names):
        pixels = decode_values(folder / name)
        if pixels.dtype != first.dtype:
            bits, others = 8 * pixels.itemsize, 8 * first.itemsize
            raise PictureError(
                f"the slice {name} has {bits} bits, {names[0]} {others}: all must have as many"
            )
        if pixels.shape != first.shape:
            raise PictureError(
                f"the slice {name} is {pixels.shape[1]}x{pixels.shape[0]}, "
                f"{names[0]} {first.shape[1]}x{first.shape[0]}: all slices must be of one size"
            )
        voxels[place] = pixels
    return voxels


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names by the numbers in them.

    >>> sorted(["s10.png", "s9.png"], key=natural)
    ['s9.png', 's10.png']
    """
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def size_of_volume(source: ImageSource) -> Extent:
    """Return D, H and W of a volume, in the shortest edge of a voxel.

    Raises:
        PictureError: The volume cannot be read.
    """
    assert isinstance(source, Path)
    return read_volume(source).extent
