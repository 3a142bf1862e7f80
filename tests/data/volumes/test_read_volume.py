"""Volumes read from files against NumPy and nibabel, and hostile files."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.volumes.inputs import list_volumes
from verydeep.data.volumes.read import natural, read_volume, size_of_volume
from verydeep.data.volumes.volume import MAX_VOXELS, volume_of
from verydeep.errors import PictureError, PictureTooLarge

SIDES = (5, 7, 6)


def voxels(dtype: Any = np.uint8, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 200, SIDES).astype(dtype)


def saved(folder: Path, values: Any) -> Path:
    np.save(folder / "v.npy", values)
    return folder / "v.npy"


def test_8_bit_voxels_stay_as_they_are(tmp_path: Path) -> None:
    given = voxels()
    volume = read_volume(saved(tmp_path, given))
    assert volume.sides == SIDES == size_of_volume(tmp_path / "v.npy")
    for channel in range(3):
        assert np.array_equal(volume.voxels[..., channel], given)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">i2", "<f4", "<u2", "f8"])
def test_other_values_are_windowed_to_8_bits(dtype: str, order: Any, tmp_path: Path) -> None:
    given = np.asarray(voxels(dtype), order=order)
    found = read_volume(saved(tmp_path, given)).voxels[..., 0].astype(float)
    low, high = np.percentile(given.astype(float), (0.5, 99.5))
    expected = np.clip((given.astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(found - expected).max() <= 0.51


@pytest.mark.parametrize("shape", [(512, 512, 16), (256, 32, 256), (32, 256, 256)])
def test_the_window_of_a_large_volume_leaves_no_column_out(shape: tuple[int, int, int]) -> None:
    given = np.random.default_rng(0).integers(0, 100, shape).astype(np.uint16)
    for axis in range(3):
        np.moveaxis(given, axis, 0)[1::2] += 1000
    low, high = np.percentile(given, (0.5, 99.5))
    expected = np.clip((given - low) / (high - low), 0, 1) * 255
    found = volume_of(given).voxels[..., 0].astype(float)
    assert np.abs(found - expected).max() <= 1


def test_a_single_voxel_that_differs_is_seen_in_a_large_volume() -> None:
    given = np.zeros((256, 256, 64), np.uint16)
    given[100, 101, 33] = 7
    found = volume_of(given).voxels[..., 0]
    assert found[100, 101, 33] == found.sum() == 255


def test_rgb_volumes_keep_their_colours(tmp_path: Path) -> None:
    given = np.random.default_rng(0).integers(0, 256, (*SIDES, 3)).astype(np.uint8)
    assert np.array_equal(read_volume(saved(tmp_path, given)).voxels, given)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[[False, True]]]), [0, 255]),
        (np.array([[[np.nan, 1.0, 2.0]]]), [0, 0, 255]),
        (np.array([[[-np.inf, 0.0, 10.0, np.inf]]]), [0, 0, 255, 255]),
        (np.full((1, 1, 2), 7.5), [0, 0]),
    ],
)
def test_odd_values_have_a_grey_level(values: Any, expected: list[int]) -> None:
    assert volume_of(values).voxels[0, 0, :, 0].tolist() == expected


def test_slices_are_ordered_by_number(tmp_path: Path) -> None:
    given = voxels()
    for number, plane in enumerate(given):
        Image.fromarray(plane).save(tmp_path / f"slice{number + 8}.png")  # 8, 9, 10, 11, 12
    assert np.array_equal(read_volume(tmp_path).voxels[..., 0], given)
    assert sorted(["b2", "b10", "a"], key=natural) == ["a", "b2", "b10"]


def test_names_may_be_digits_that_count_nothing(tmp_path: Path) -> None:
    for name in "①②":
        (tmp_path / "a" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "a" / name / "²1.png")
    assert [path.name for path in list_volumes(tmp_path / "a")] == ["①", "②"]
    assert natural("①") < natural("②")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_slices_of_16_bits_are_windowed_like_an_array(ending: str, tmp_path: Path) -> None:
    given = 9 * voxels(np.uint16) + 20
    for number, plane in enumerate(given):
        Image.fromarray(plane).save(tmp_path / f"{number}.{ending}")
    assert np.array_equal(read_volume(tmp_path).voxels, volume_of(given).voxels)
    Image.new("L", SIDES[:0:-1]).save(tmp_path / "9.png")
    with pytest.raises(PictureError, match=rf"9\.png has 8 bits, 0\.{ending} 16"):
        read_volume(tmp_path)


def test_slices_of_other_sizes_are_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    Image.new("L", (8, 9)).save(tmp_path / "2.png")
    with pytest.raises(PictureError, match=r"2\.png is 8x9, 1\.png 8x8"):
        read_volume(tmp_path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_is_turned_to_canonical_axes(ending: str, tmp_path: Path) -> None:
    given = voxels(np.int16)  # (z, y, x)
    stored = given.transpose(2, 1, 0)[::-1]  # x runs from right to left in the file
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    path = tmp_path / f"scan{ending}"
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    assert np.array_equal(read_volume(path).voxels, volume_of(given).voxels)


@pytest.mark.parametrize("turned", [False, True])
def test_edges_of_voxels_are_those_of_the_canonical_axes(turned: bool, tmp_path: Path) -> None:
    given = voxels(np.int16)  # (z, y, x)
    edges = np.diag([0.7, 0.7, 3.5, 1.0])
    stored = given.transpose(2, 1, 0)
    if turned:  # the file's first axis is z, downwards
        stored, edges = given.transpose(0, 2, 1)[::-1], edges[:, [2, 0, 1, 3]] * [-1, 1, 1, 1]
    nibabel.save(nibabel.Nifti1Image(stored, edges), tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    assert np.array_equal(volume.voxels, volume_of(given).voxels)
    assert volume.spacing == pytest.approx((5, 1, 1), rel=1e-6)
    assert size_of_volume(tmp_path / "scan.nii") == pytest.approx((25, 7, 6), rel=1e-6)


@pytest.mark.parametrize("edges", [(1, 1, 0), (0.5, 0.5, 0.5002)])
def test_voxels_without_believable_edges_are_cubes(
    edges: tuple[float, float, float], tmp_path: Path
) -> None:
    image = nibabel.Nifti1Image(voxels(), np.eye(4))
    image.header["pixdim"][1:4] = edges
    image.header["sform_code"], image.header["qform_code"] = 0, 0
    content = image.header.binaryblock + bytes(4) + voxels().tobytes(order="F")
    (tmp_path / "scan.nii").write_bytes(content)
    assert read_volume(tmp_path / "scan.nii").spacing == (1, 1, 1)


def test_slices_too_far_apart_are_refused(tmp_path: Path) -> None:
    far = nibabel.Nifti1Image(voxels(), np.diag([1.0, 1.0, 1e4, 1.0]))
    nibabel.save(far, tmp_path / "scan.nii")
    with pytest.raises(PictureTooLarge, match="longest side"):
        read_volume(tmp_path / "scan.nii")


def test_of_several_nifti_volumes_the_first_is_read(tmp_path: Path) -> None:
    given = voxels(np.float32)
    several = np.stack([given.transpose(2, 1, 0), np.zeros(SIDES[::-1], np.float32)], -1)
    nibabel.save(nibabel.Nifti1Image(several, np.eye(4)), tmp_path / "t.nii")
    assert np.array_equal(read_volume(tmp_path / "t.nii").voxels, volume_of(given).voxels)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_of_a_nifti_series_no_more_than_the_first_volume_is_taken_into_memory(
    ending: str, tmp_path: Path
) -> None:
    series = np.random.default_rng(0).integers(0, 200, (24, 24, 24, 100, 2)).astype(np.uint8)
    image = nibabel.Nifti1Image(series, np.diag([-1, 1, 1, 1]))
    image.header.set_slope_inter(2, 1)
    path = tmp_path / f"t{ending}"
    nibabel.save(image, path)
    first = series[..., 0, 0][::-1].transpose(2, 1, 0)
    tracemalloc.start()
    found = read_volume(path).voxels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, volume_of(first.astype(np.float32)).voxels)
    assert peak < series.nbytes


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", PictureError, "v.npy"),
        (b"not an array", PictureError, "v.npy"),
        (header((4, 4, 4)) + bytes(63), PictureError, "cut off"),
        (header((2**20, 2**20, 2**20)), PictureTooLarge, "voxels"),
        (header((MAX_VOXELS, 1, 1)), PictureTooLarge, "longest side"),
        (header((4, 4)) + bytes(16), PictureError, "no volume"),
        (header((4, 4, 4, 2)) + bytes(128), PictureError, "no volume"),
        (header((0, 4, 4)), PictureError, "no voxels"),
        (header((2, 2, 2), "<c16") + bytes(128), PictureError, "no real numbers"),
        (header((-1, 4, 4)), PictureError, "voxels"),
        (b"\x93NUMPY\x09\x00" + bytes(100), PictureError, "v.npy"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), PictureError, "v.npy"),
    ],
)
def test_hostile_arrays_are_refused(
    content: bytes, error: type[PictureError], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "v.npy"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        read_volume(path)


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was run",))


def test_no_pickle_is_run(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    path.write_bytes(header((1, 1, 1), "|O") + pickle.dumps(Bomb()))
    with pytest.raises(PictureError):
        read_volume(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", bytes(400), b"n+1\0" * 100])
def test_hostile_nifti_files_are_refused(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"v{ending}"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"v\.nii"):
        read_volume(path)


def test_a_huge_nifti_header_takes_no_memory(tmp_path: Path) -> None:
    head = nibabel.Nifti1Header()
    head.set_data_shape((30000, 30000, 30000))
    (tmp_path / "v.nii").write_bytes(head.binaryblock + bytes(8))
    with pytest.raises(PictureTooLarge, match="voxels"):
        read_volume(tmp_path / "v.nii")


@settings(deadline=None, max_examples=150)
@given(
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.integers(0, 400),
)
def test_changed_files_give_a_volume_or_a_refusal(
    changes: list[tuple[int, int]], kept: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(header(SIDES) + voxels().tobytes())[: max(1, kept)]
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("fuzz") / "v.npy"
    path.write_bytes(content)
    with contextlib.suppress(PictureError):  # anything else fails the test
        assert read_volume(path).voxels.dtype == np.uint8
