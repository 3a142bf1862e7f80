"""Rescaled volumes and their crops against the resampling of images, and a loop."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from verydeep.data.geometry import Window
from verydeep.data.pipeline.augment import Augmentation, Crop, cut, sample_generator
from verydeep.data.samples import Sample
from verydeep.data.volumes.batches import VolumeBatches
from verydeep.data.volumes.crop import draw_cube, read_cube, resampled, rescaled
from verydeep.data.volumes.geometry import Cuboid, center_cuboid, rescaled_sides
from verydeep.data.volumes.volume import volume_of
from verydeep.errors import PictureTooLarge


def grey(*sides: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, sides).astype(np.uint8)


def test_enlarging_is_trilinear() -> None:
    given = grey(6, 8, 7)
    found = rescaled(volume_of(given), 12)[..., 0]
    whole = F.interpolate(
        torch.from_numpy(given)[None, None].double(), (12, 16, 14), mode="trilinear"
    )
    assert np.abs(found.astype(float) - whole[0, 0].numpy()).max() <= 0.51


@pytest.mark.parametrize("scale", [12, 9])
def test_equal_slices_are_rescaled_as_the_image(scale: int) -> None:
    plane = grey(24, 30)
    found = rescaled(volume_of(np.repeat(plane[None], 24, 0)), scale)
    sides = rescaled_sides((24, 24, 30), scale)
    crop = Crop(sides[1:], Window(0, 0, *sides[1:]), flip=False, shift=(0, 0, 0))
    image = cut(torch.from_numpy(np.repeat(plane[None], 3, 0)), crop)
    for slice_ in found:
        assert np.abs(slice_.astype(int) - image.permute(1, 2, 0).numpy()).max() <= 1


def test_thick_slices_are_spread_over_their_thickness() -> None:
    given = grey(6, 24, 30)
    found = rescaled(volume_of(given, (4.0, 1.0, 1.0)), 24)[..., 0]
    whole = F.interpolate(
        torch.from_numpy(given)[None, None].double(), (24, 24, 30), mode="trilinear"
    )
    assert np.abs(found.astype(float) - whole[0, 0].numpy()).max() <= 0.51


def test_a_thin_volume_is_not_rescaled_to_any_size() -> None:
    thin = volume_of(grey(1, 32, 32))
    with pytest.raises(PictureTooLarge, match="rescaled to 64, 64x2048x2048 is 268,435,456 voxels"):
        rescaled(thin, 64)
    assert rescaled(thin, 4).shape == (4, 128, 128, 3)


def test_crops_keep_the_proportions_of_thick_slices(tmp_path: Path) -> None:
    edges = np.diag([0.5, 0.5, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(grey(30, 24, 6), edges), tmp_path / "scan.nii")

    def draw(*extent: float):
        return draw_cube(Augmentation(16, (16, 16)), extent, sample_generator(0, 0, 0))

    voxels, crop = read_cube(tmp_path / "scan.nii", draw)
    assert crop.rescaled == (16, 16, 20)
    assert voxels.shape == (3, 16, 16, 16)


def test_a_window_is_a_part_of_the_whole() -> None:
    volume = volume_of(grey(10, 12, 11))
    whole = rescaled(volume, 17)
    window = Cuboid(1, 4, 2, 13, 9, 15)
    sides = rescaled_sides(volume.sides, 17)
    assert np.array_equal(resampled(volume, sides, window), whole[window.slices])


def test_colours_are_resampled_one_by_one() -> None:
    colours = grey(6, 7, 8, 3)
    found = rescaled(volume_of(colours), 9)
    for channel in range(3):
        alone = rescaled(volume_of(np.ascontiguousarray(colours[..., channel])), 9)
        assert np.array_equal(found[..., channel], alone[..., 0])


@settings(max_examples=60)
@given(
    sides=st.tuples(*[st.integers(8, 40)] * 3),
    low=st.integers(8, 20),
    more=st.integers(0, 9),
    random=st.booleans(),
)
def test_crops_lie_inside(sides: tuple[int, int, int], low: int, more: int, random: bool) -> None:
    augmentation = Augmentation(8, (low, low + more), random_crop=random)
    crop = draw_cube(augmentation, sides, sample_generator(0, 1, 2))
    assert low <= min(crop.rescaled) <= low + more
    assert crop.window.sides == (8, 8, 8)
    for start, length in zip(crop.window.corner, crop.rescaled, strict=True):
        assert 0 <= start <= length - 8
    if not random:
        assert crop.window == center_cuboid(crop.rescaled, 8)


def test_every_place_and_both_turns_occur() -> None:
    augmentation = Augmentation(8, (9, 9))
    crops = [draw_cube(augmentation, (9, 9, 9), sample_generator(0, 0, n)) for n in range(200)]
    assert len({crop.window.corner for crop in crops}) == 8
    assert {crop.flip for crop in crops} == {False, True}


def test_a_mirrored_crop_is_turned_left_to_right(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", grey(8, 8, 8))
    plain = Augmentation(8, (8, 8), flip=False)

    def drawn(flip: bool) -> torch.Tensor:
        def draw(*sides: float):
            crop = draw_cube(plain, sides, sample_generator(0, 0, 0))
            return crop.__class__(crop.rescaled, crop.window, flip, crop.shift)

        return read_cube(tmp_path / "v.npy", draw)[0]

    assert torch.equal(drawn(True), drawn(False).flip(3))


def batches(folder: Path, **settings: int) -> VolumeBatches:
    samples = [Sample(folder / f"{n}.npy", n % 2) for n in range(7)]
    augmentation = Augmentation(8, (8, 10))
    return VolumeBatches(samples, augmentation, batch=4, micro_batch=2, seed=0, **settings)


def test_batches_hold_every_volume_once_and_do_not_depend_on_processes(tmp_path: Path) -> None:
    for number in range(7):
        np.save(tmp_path / f"{number}.npy", grey(9, 10, 11, seed=number))
    alone = list(batches(tmp_path, workers=0).epoch(1))
    assert sorted(draw for part in alone for draw in part.draws) == [*range(7)]
    assert all(part.pictures.shape[1:] == (3, 8, 8, 8) for part in alone)
    by_workers = list(batches(tmp_path, workers=2).epoch(1))
    for one, other in zip(alone, by_workers, strict=True):
        assert one.draws == other.draws
        assert torch.equal(one.pictures, other.pictures)
    shared = [list(batches(tmp_path, workers=0, rank=r, world=2).epoch(1)) for r in range(2)]
    of = {draw: p for part in alone for draw, p in zip(part.draws, part.pictures, strict=True)}
    for part in (part for parts in shared for part in parts):
        for draw, cube in zip(part.draws, part.pictures, strict=True):
            assert torch.equal(cube, of[draw])


def test_a_broken_volume_is_named(tmp_path: Path) -> None:
    for number in range(7):
        np.save(tmp_path / f"{number}.npy", grey(9, 9, 9, seed=number))
    (tmp_path / "3.npy").write_bytes(b"")
    parts = list(batches(tmp_path, workers=0).epoch(0))
    assert sum(len(part.draws) for part in parts) == 6
    (fault,) = (fault for part in parts for fault in part.unreadable)
    assert "3.npy" in fault
