"""Where the images of a test are: files by their names, members through the data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_splits

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.images.thumbnails import thumbnail
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError
from verydeep.run.picture_finder import PictureFinder


def never() -> Dataset:
    raise AssertionError("the data set need not be read")


def test_a_file_is_found_without_reading_the_data_set(pictures: Path) -> None:
    find = PictureFinder(pictures, never)
    assert find("test/red/00.png") == pictures / "test" / "red" / "00.png"


def test_members_of_shards_are_found_and_can_be_decoded(tmp_path: Path) -> None:
    dataset = read_dataset(write_splits(tmp_path / "data", 3, 2, 2))
    write_shards(dataset, tmp_path / "shards")
    shards = read_dataset(tmp_path / "shards", stream=False)
    find = PictureFinder(shards.root, lambda: shards)
    for path in shards.split("test").paths:
        found = find(relative_name(path, shards.root))
        assert str(found) == str(path)
        assert thumbnail(found, (200, 160)).startswith("data:image/jpeg;base64,")


def test_what_is_gone_is_a_fault(pictures: Path) -> None:
    def gone() -> Dataset:
        raise DataError("no folder")

    for find in (
        PictureFinder(pictures, lambda: read_dataset(pictures)),
        PictureFinder(None, gone),
    ):
        with pytest.raises(DataError, match=r"red/99\.png is no longer there"):
            find("test/red/99.png")
