"""Detection and choice of layouts, and their messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import plant

from verydeep.data.read import read_dataset
from verydeep.data.registry import LAYOUTS
from verydeep.errors import DataError

ONE_OF_EACH = {
    "table": ["t.csv"],
    "hub": ["d/dataset_dict.json"],
    "tiny-imagenet": ["d/wnids.txt", "d/train/n01/images/1.JPEG"],
    "ilsvrc": ["d/Data/CLS-LOC/train/n01/1.JPEG"],
    "voc": ["d/JPEGImages/1.jpg", "d/Annotations/1.xml", "d/SegmentationClass/1.png"],
    "coco": ["d/t.json"],
    "shards": ["d/train-0000.tar", "d/val-0000.tar"],
    "volumes": ["d/a/1.npy", "d/b/1.nii.gz"],
    "split-folders": ["d/train/a/1.png", "d/val/a/1.png"],
    "splits-in-classes": ["d/a/train/1.png", "d/b/train/1.png", "d/b/val/1.png"],
    "class-folders": ["d/a/1.png", "d/b/1.png", "d/all-of-it.tar"],
}
DATA = {"table": "t.csv", "coco": "d/t.json"}


def test_every_layout_is_recognised_first_by_its_own_reader(tmp_path: Path) -> None:
    found_by_looking = [layout.name for layout in LAYOUTS if layout.name != "part-folders"]
    assert found_by_looking == [*ONE_OF_EACH]
    for name, files in ONE_OF_EACH.items():
        plant(tmp_path / name, *files)
        path = tmp_path / name / DATA.get(name, "d")
        knowing = [layout.name for layout in LAYOUTS if layout.recognise(path)]
        assert knowing[0] == name


def test_a_layout_may_be_named(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/c/1.png")
    with pytest.raises(DataError, match="no training class 'c'"):
        read_dataset(tmp_path)
    dataset = read_dataset(tmp_path, layout="class-folders", draw=False)
    assert (dataset.classes, dataset.layout_name) == (("train", "val"), "class-folders")


def test_a_layout_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got 'vok' instead; did you mean 'voc'"):
        read_dataset(tmp_path, layout="vok")


@pytest.mark.parametrize("name", [layout.name for layout in LAYOUTS])
@pytest.mark.parametrize("file", [True, False])
def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path, name: str, file: bool) -> None:
    plant(tmp_path, "a.txt")
    path = tmp_path / "a.txt" if file else tmp_path
    with pytest.raises(DataError, match=str(tmp_path)):
        read_dataset(path, layout=name, draw=False)


def test_a_long_list_is_cut_short(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{n:02}.txt" for n in range(20)])
    with pytest.raises(DataError, match=r"found 00\.txt, .*, 07\.txt and 12 more\. Known"):
        read_dataset(tmp_path)


def test_a_data_set_one_folder_deeper_is_pointed_at(tmp_path: Path) -> None:
    plant(tmp_path, "a.txt", "tiny/wnids.txt", "tiny/train/")
    with pytest.raises(DataError, match=f"layout tiny-imagenet: give {tmp_path / 'tiny'} as DATA"):
        read_dataset(tmp_path)
