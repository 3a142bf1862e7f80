"""Images, tables and shards in an S3 store, behind a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_store import s3_bucket, s3_server
from tiny import write_splits

from verydeep.data.images.decode import decode
from verydeep.data.listing.read import list_images
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3_bucket(address, "pets", monkeypatch) as store:
        yield store


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "photos", 3, 0, 0)


def test_a_folder_and_a_pattern(store: Any, photos: Path) -> None:
    store.put(str(photos / "train"), "pets/photos", recursive=True)
    here, there = list_images(photos), list_images("s3://pets/photos")
    assert len(there) == len(here) == 9
    for one, other in zip(here.sources, there.sources, strict=True):  # type: ignore[call-overload]
        assert decode(one).tobytes() == decode(other).tobytes()
    found = list_images("s3://pets/photos/{blue,red}/0[01].png").names
    assert [name.removeprefix("s3://pets/photos/") for name in found] == [
        "blue/00.png",
        "blue/01.png",
        "red/00.png",
        "red/01.png",
    ]


def test_a_table_with_relative_paths(store: Any, photos: Path) -> None:
    store.put(str(photos / "train"), "pets/photos", recursive=True)
    store.pipe("pets/list.csv", b"image\nphotos/red/00.png\ns3://pets/photos/blue/01.png\n")
    found = list_images("s3://pets/list.csv")
    first, second = found.part(range(2))[1]
    assert decode(first).tobytes() == decode(photos / "train/red/00.png").tobytes()
    assert decode(second).tobytes() == decode(photos / "train/blue/01.png").tobytes()


def test_shards_by_offset_and_as_a_data_set(store: Any, tmp_path: Path) -> None:
    data = read_dataset(write_splits(tmp_path / "pets", 4, 2, 2))
    write_shards(data, tmp_path / "out", samples=5)
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            store.put(str(file), f"pets/shards/{file.relative_to(tmp_path / 'out')}")
    here, there = list_images(tmp_path / "out"), list_images("s3://pets/shards")
    assert len(here) == 24
    for one, other in zip(here.sources, there.sources, strict=True):  # type: ignore[call-overload]
        assert one.read() == other.read()
    whole = read_dataset("s3://pets/shards")
    assert whole.sizes == data.sizes
    for one, other in zip(whole.split("val"), data.split("val"), strict=True):
        assert decode(one.path).tobytes() == decode(other.path).tobytes()


def test_shards_that_are_cached(store: Any, tmp_path: Path) -> None:
    data = read_dataset(write_splits(tmp_path / "pets", 4, 2, 2))
    write_shards(data, tmp_path / "out", samples=50)
    shard = next((tmp_path / "out").rglob("val*.tar"))
    store.put(str(shard), "pets/val.tar")
    found = list_images("simplecache::s3://pets/val.tar")
    here = list_images(shard)
    assert [one.read() for one in found.sources] == [one.read() for one in here.sources]  # type: ignore[attr-defined]


def test_what_is_missing_is_told_without_keys(store: Any) -> None:
    for place in ("s3://pets/none.tar", "s3://pets/none", "s3://no-such-bucket/x-{0..1}.tar"):
        with pytest.raises(DataError) as refused:
            list_images(place)
        assert str(refused.value).startswith("s3://")
        assert "secret" not in str(refused.value)
        assert "name-of-a-key" not in str(refused.value)
