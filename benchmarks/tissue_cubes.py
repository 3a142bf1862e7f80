"""Cut cubes out of a brain, as a small real data set of volumes: which tissue is in the middle?

    pip install nilearn
    python benchmarks/tissue_cubes.py cubes

The brain is the MNI152 template (ICBM 2009a, symmetric: the mean of 152 people) that nilearn
carries as T1 image and maps of grey and white matter, at 1 mm. Fluid is what is neither, inside the
brain. A cube of 12 mm is of a tissue that makes up 70 % of its central 6 mm. Each split is a slab,
so that no voxel is in two of them; as the template is symmetric, all cubes are of one side. Cubes
are NIfTI files in folders OUT/SPLIT/TISSUE.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TISSUES = ("fluid", "grey", "white")
SIDE, CORE = 12, 6
"""Sides of a cube and of its middle, in voxels."""

SHARE = 0.7
"""Least share of a tissue in the middle of a cube."""

SLABS = {"train": (66, 108), "val": (108, 132), "test": (132, 162)}
"""First voxel of each split's slab, and the one after it, from back to front: the ventricles."""

COUNTS = {"train": 200, "val": 60, "test": 60}
"""Cubes of each tissue."""

Map = NDArray[np.float32]


def read_maps() -> dict[str, Map]:
    """Return the T1 image, 0 to 255, and the share of each tissue, 0 to 1, in every voxel."""
    nibabel: Any = import_module("nibabel")
    folder = Path(str(import_module("nilearn.datasets").__file__)).parent / "data"
    names = {"t1": "t1", "grey": "gm", "white": "wm"}
    files = {
        name: folder / f"mni_icbm152_{short}_tal_nlin_sym_09a_converted.nii.gz"
        for name, short in names.items()
    }
    maps = {
        name: np.asarray(nibabel.load(path).dataobj, np.float32) for name, path in files.items()
    }
    grey, white = (maps[name] / np.float32(255) for name in ("grey", "white"))
    fluid = np.where(maps["t1"] > 0, np.clip(1 - grey - white, 0, 1), 0)
    return {"t1": maps["t1"], "fluid": fluid.astype(np.float32), "grey": grey, "white": white}


def middle_shares(share: Map) -> Map:
    """Return the mean share in the central cube of each cube, by its first corner."""
    before = (SIDE - CORE) // 2
    inner = share[tuple(slice(before, n - SIDE + before + CORE) for n in share.shape)]
    windows = np.lib.stride_tricks.sliding_window_view(inner, (CORE,) * 3)
    return np.asarray(windows.mean((3, 4, 5)), np.float32)


def corners(share: Map, split: str) -> NDArray[np.intp]:
    """Return the first corners of all cubes of a tissue in the slab of a split, (N, 3)."""
    first, after = SLABS[split]
    one_side = (share.shape[0] - SIDE) // 2  # no cube of the other, nor across the middle
    slab = share[: one_side + SIDE - 1, first:after]
    found = np.argwhere(middle_shares(slab) >= SHARE)
    found[:, 1] += first
    return found


def write_cubes(out: Path, counts: dict[str, int] | None = None, seed: int = 0) -> None:
    """Write cubes drawn at random, as many of each tissue."""
    nibabel: Any = import_module("nibabel")
    maps, draw = read_maps(), np.random.default_rng(seed)
    for split, count in (counts or COUNTS).items():
        for tissue in TISSUES:
            folder = out / split / tissue
            folder.mkdir(parents=True, exist_ok=True)
            found = corners(maps[tissue], split)
            for x, y, z in draw.permutation(found)[:count]:
                cube = maps["t1"][x : x + SIDE, y : y + SIDE, z : z + SIDE].astype(np.uint8)
                image = nibabel.Nifti1Image(cube, np.eye(4))
                nibabel.save(image, folder / f"{x:03}-{y:03}-{z:03}.nii.gz")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    write_cubes(parser.parse_args().out)
