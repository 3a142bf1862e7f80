"""Volumes in class folders: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.data.builtin.originals import CLASSES
from verydeep.data.builtin.solid_digits import (
    COUNTS,
    make_solid_digits,
    rotation,
)
from verydeep.data.read import read_dataset
from verydeep.errors import DataError


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros((4, 4, 4), np.uint8))


def names(root: Path, split: str) -> list[str]:
    return [str(sample.path.relative_to(root)) for sample in read_dataset(root).split(split)]


def test_splits_and_classes_are_told_by_folders(tmp_path: Path) -> None:
    for split, name in (("Training", "b/2.npy"), ("Training", "a/x/10.nii.gz"), ("val", "a/1.nii")):
        path = tmp_path / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "Training/b/notes.txt").touch()
    (tmp_path / "Training/loose.npy").touch()
    found = read_dataset(tmp_path, draw=False)
    assert (found.dimensions, found.layout_name, found.classes) == (3, "volumes", ("a", "b"))
    assert found.sizes == {"train": 2, "val": 1}
    assert found.notes == ("1 volume in no class folder left out",)
    assert "volumes" in found.describe() or "2 train" in found.describe()


def test_undivided_volumes_are_split_by_rule(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(20):
            write(tmp_path / name / f"{number}.npy")
    found = read_dataset(tmp_path)
    assert sum(found.sizes.values()) == 40
    assert set(found.sizes) == {"train", "val", "test"}


def test_files_are_ordered_by_number(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        write(tmp_path / "train" / "a" / f"{number}.npy")
        write(tmp_path / "train" / "b" / f"{number}.npy")
        write(tmp_path / "val" / "a" / f"{number}.npy")
    assert names(tmp_path, "train")[:3] == ["train/a/1.npy", "train/a/2.npy", "train/a/10.npy"]


def test_arrays_beside_images_are_no_volumes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "features.npy")
        for number in range(12):
            Image.new("RGB", (40, 40)).save(tmp_path / name / f"{number}.png")
    assert read_dataset(tmp_path).dimensions == 2


def test_slices_are_volumes_only_if_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for volume in range(12):
            folder = tmp_path / name / f"{name}{volume}"
            folder.mkdir(parents=True)
            for number in range(3):
                Image.new("L", (8, 8)).save(folder / f"{number}.png")
    assert read_dataset(tmp_path).dimensions == 2
    found = read_dataset(tmp_path, layout="volumes")
    assert found.dimensions == 3
    assert sum(found.sizes.values()) == 24


def test_images_where_volumes_were_asked_for_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "1.png")
    with pytest.raises(DataError, match="one folder of slices for each volume"):
        read_dataset(tmp_path, layout="volumes")


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    for split in ("val", "valid"):
        write(tmp_path / split / "a" / "1.npy")
    with pytest.raises(DataError, match="both mean val"):
        read_dataset(tmp_path)


def write_each(root: Path, *names: str) -> None:
    for name in names:
        write(root / name)


def test_splits_in_classes_are_splits(tmp_path: Path) -> None:
    write_each(
        tmp_path, *(f"{c}/{s}/{n}.npy" for c in "ab" for s in ("train", "test") for n in "12")
    )
    found = read_dataset(tmp_path, draw=False)
    assert (found.dimensions, found.classes) == (3, ("a", "b"))
    assert found.sizes == {"train": 4, "test": 4}
    assert found.layout.startswith("volumes, splits under each class")


def test_splits_have_the_names_that_those_of_images_have(tmp_path: Path) -> None:
    write_each(tmp_path, *(f"mri_{split}/{c}/1.npy" for c in "ab" for split in ("train", "test")))
    write_each(tmp_path, "more/a/2.npy", "more/a/3.npy")
    found = read_dataset(tmp_path, draw=False)
    assert found.classes == ("a", "b")
    assert found.sizes == {"train": 2, "test": 2}
    assert found.notes == ("more/ skipped (2 volumes)",)


def test_splits_without_classes_are_refused(tmp_path: Path) -> None:
    write_each(tmp_path, "train/1.npy", "test/1.npy")
    with pytest.raises(DataError, match=r"read in several ways.* as CLASS/, SPLIT/CLASS/"):
        read_dataset(tmp_path)


def test_classes_may_have_folders_of_the_same_names(tmp_path: Path) -> None:
    write_each(tmp_path, *(f"{c}/{part}/1.npy" for c in "ab" for part in ("T1", "T2")))
    assert read_dataset(tmp_path, draw=False).count("all") == (2, 2)


def test_links_are_followed_as_those_of_images_are(tmp_path: Path) -> None:
    root = tmp_path / "scans"
    write_each(root, "a/1.npy", "b/1.npy")
    write_each(tmp_path, "store/2.nii.gz")
    (root / "a" / "more").symlink_to("../../store")
    (root / "a" / "again").symlink_to("../b")
    (root / "b" / "3.npy").symlink_to("../a/1.npy")
    found = read_dataset(root, draw=False)
    assert found.count("all") == (2, 1)
    assert found.passed_over.followed == ["a/more"]
    assert found.passed_over.repeated == ["a/again", "b/3.npy"]
    (root / "c").symlink_to("a")
    with pytest.raises(DataError, match=r"scans/c' links to '.*scans/a', so"):
        read_dataset(root)


def test_a_folder_of_slices_that_two_classes_link_to_is_refused(tmp_path: Path) -> None:
    for name in ("scans/a/1", "scans/b/1", "store"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / name / "1.png")
    (tmp_path / "scans/a/2").symlink_to("../../store")
    found = read_dataset(tmp_path / "scans", layout="volumes", draw=False)
    assert found.count("all") == (2, 1)
    (tmp_path / "scans/b/2").symlink_to("../../store")
    with pytest.raises(DataError, match="two classes"):
        read_dataset(tmp_path / "scans", layout="volumes")


def test_digits_in_space_are_the_same_each_time_and_no_digit_is_in_two_splits() -> None:
    counts = dict.fromkeys(COUNTS, 20)
    found, again = (list(make_solid_digits(0, counts)) for _ in range(2))
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.voxels, other.voxels)
        assert one.voxels.shape == (32, 32, 32)
    assert [digit.label for digit in found[:CLASSES]] == [*range(CLASSES)]
    own = {s: {d.original for d in found if d.split == s} for s in COUNTS}
    assert not own["train"] & own["val"] | own["train"] & own["test"] | own["val"] & own["test"]


def test_turns_keep_lengths_and_handedness() -> None:
    matrix = rotation(np.array([30.0, -20.0, 10.0]))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert np.allclose(rotation(np.array([90.0, 0, 0])) @ [1, 0, 0], [0, 1, 0])
