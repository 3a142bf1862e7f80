"""Data sets in shards: written, found, and read by index or as a stream, local and remote."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import plant, write_class_folders, write_splits

from shards.made import number_of, png, samples, write_tar
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.decode import decode
from verydeep.data.pipeline.colour_statistics import scan
from verydeep.data.read import read_dataset
from verydeep.data.shards import write
from verydeep.data.shards.paths import expand, find_shards
from verydeep.data.shards.write import write_shards
from verydeep.data.split_names import last_split
from verydeep.errors import DataError, InputError, MissingExtra


def pixels(path: object) -> np.ndarray:
    return np.asarray(decode(path)).transpose(2, 0, 1)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "pets", 9, 4, 3)


def test_shards_give_back_the_data_set_they_were_made_of(folder: Path, tmp_path: Path) -> None:
    whole = read_dataset(folder)
    written = write_shards(whole, tmp_path / "out", samples=4)
    again = read_dataset(tmp_path / "out")
    assert again.classes == whole.classes
    assert again.describe() == "tar shards, 3 classes, 27 train, 12 val, 9 test"
    assert written.samples == {"train": 27, "val": 12, "test": 9}
    for split, original in whole.splits.items():
        kept = again.split(split)
        assert kept.labels.tolist() == original.labels.tolist()
        for one, other in zip(kept, original, strict=True):
            assert decode(one.path).tobytes() == decode(other.path).tobytes()
            assert one.path.read() == other.path.read_bytes()  # type: ignore[union-attr]


def test_all_shards_are_on_the_disk_before_the_manifest_names_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, synced = tmp_path / "out", list[str]()

    def note(path: Path) -> None:
        assert not (out / "dataset.json").exists()
        synced.append(path.name)

    monkeypatch.setattr(write, "sync", note)
    write_shards(read_dataset(folder), out, samples=4)
    shards = [f".{path.name}.part" for path in out.glob("*.tar")]
    assert len(shards) > 3
    assert sorted(synced[:-1]) == sorted(shards)
    assert synced[-1] == "out"  # their names


def test_the_order_of_training_is_shuffled_once(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_shards(read_dataset(folder), tmp_path / name, seed=seed)
    first, again, other = (
        (tmp_path / name / "train-000000.tar").read_bytes() for name in ("a", "b", "c")
    )
    assert first == again != other
    manifest = json.loads((tmp_path / "a" / "dataset.json").read_text())
    assert manifest["splits"]["train"]["counts"] == [9, 9, 9]


def test_the_manifest_holds_the_colours_that_training_measures(
    folder: Path, tmp_path: Path
) -> None:
    whole = read_dataset(folder)
    write_shards(whole, tmp_path / "out")
    stream = read_dataset(tmp_path / "out", stream=True).stream
    assert stream is not None
    assert stream.colours is not None
    measured = scan(whole.split("train")).colours
    assert measured is not None
    assert stream.colours.mean == pytest.approx(measured.mean, rel=1e-12)
    assert np.allclose(stream.colours.covariance, measured.covariance, rtol=1e-12)


def test_boxes_and_titles_travel_along(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_class_folders(data / "pets", 3)
    rows = ["file,label,split,box"]
    for path in sorted((data / "pets").glob("*/*.png")):
        name, split = path.relative_to(data), "val" if path.stem == "02" else "train"
        rows.append(f"{name},{path.parent.name},{split},1 2 {path.stem}7.125 9")
    (data / "t.csv").write_text("\n".join(rows))
    whole = read_dataset(data / "t.csv")
    write_shards(whole, tmp_path / "out")
    again = read_dataset(tmp_path / "out")
    assert "boxes" in again.describe()
    for split in ("train", "val"):
        assert [s.box for s in again.split(split)] == [s.box for s in whole.split(split)]
    assert again.split("val")[0].box == Box(1, 2, 27.125, 9)


def test_broken_pictures_are_left_out_by_name_or_stop_it(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "red" / "03.png").write_bytes(b"broken")
    whole = read_dataset(folder)
    with pytest.raises(DataError, match=r"1 of 27 .* cannot be read.*\n.*03\.png"):
        write_shards(whole, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.tar*"))
    written = write_shards(whole, tmp_path / "other", limit=0.1)
    assert [Path(fault.split(":")[0]).name for fault in written.unreadable] == ["03.png"]
    assert written.samples["train"] == 26
    assert len(read_dataset(tmp_path / "other").split("train")) == 26


def test_the_limit_that_writing_suggests_would_do(folder: Path, tmp_path: Path) -> None:
    broken = ("red/00.png", "red/01.png", "green/00.png")
    for name in broken:
        (folder / "val" / name).write_bytes(b"broken")
    whole = read_dataset(folder)
    with pytest.raises(DataError) as refusal:
        write_shards(whole, tmp_path / "out")
    message = str(refusal.value)
    assert "3 of 12 validation images cannot be read, more than the 1.0% that limit= " in message
    assert all(name in message for name in broken)
    _, _, suggested = message.rpartition("raise the limit: limit=")
    assert write_shards(whole, tmp_path / "out", limit=float(suggested)).samples["val"] == 9


def test_writing_stops_when_the_limit_is_exceeded_and_enough_are_listed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MOST_LISTED", 2)
    for path in sorted((folder / "val").glob("*/*.png"))[:9]:
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"at least 3 of 12 validation images .*\n") as refusal:
        write_shards(read_dataset(folder), tmp_path / "out")
    assert str(refusal.value).endswith("Fix or remove them, or raise the limit")


@pytest.mark.parametrize("data", ["killed", "killed/*.tar", "killed/train-000000.tar"])
def test_what_a_killed_writing_leaves_is_no_data_set(
    data: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = read_dataset(folder), tmp_path / "out"
    make = write._manifest

    def killed(writing: Any) -> Any:
        shutil.copytree(out, tmp_path / "killed")
        return make(writing)

    monkeypatch.setattr(write, "_manifest", killed)
    write_shards(whole, out)
    with pytest.raises(DataError, match=r"killed: verydeep shard .* interrupted"):
        read_dataset(str(tmp_path / data))
    names = {path.name for path in out.iterdir()} - {".lock"}
    assert names == {"dataset.json", *(f"{split}-000000.tar" for split in whole.splits)}


def test_shards_are_not_written_over_anything(folder: Path, tmp_path: Path) -> None:
    whole = read_dataset(folder)
    with pytest.raises(InputError, match="inside the data set"):
        write_shards(whole, folder / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(DataError, match="is not empty"):
        write_shards(whole, tmp_path / "full")
    with pytest.raises(InputError, match="cannot be written"):
        write_shards(whole, tmp_path / "full" / "x")


def test_a_shard_ends_when_it_is_full(folder: Path, tmp_path: Path) -> None:
    whole = read_dataset(folder)
    by_count = write_shards(whole, tmp_path / "a", samples=10).manifest.splits["train"].shards
    assert [shard.samples for shard in by_count] == [10, 10, 7]
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8))
    for path in (folder / "train").glob("*/*.png"):
        large.save(path)
    by_size = write_shards(whole, tmp_path / "b", mebibytes=2).manifest.splits["train"].shards
    assert [shard.samples for shard in by_size] == [2] * 13 + [1]
    assert max((tmp_path / "b" / shard.file).stat().st_size for shard in by_size) <= 2 * 2**20


def of_others(root: Path, split: str, numbers: range, classes: int = 3) -> None:
    root.mkdir(exist_ok=True)
    half = len(numbers) // 2
    for shard, part in enumerate((numbers[:half], numbers[half:])):
        write_tar(root / f"set-{split}-{shard:04}.tar", samples(part, classes))


def test_shards_of_others_are_told_by_their_names(tmp_path: Path) -> None:
    root = tmp_path / "wds"
    of_others(root, "train", range(24), 12)
    of_others(root, "validation", range(12), 12)
    whole = read_dataset(root)
    assert whole.describe() == "tar shards, 12 classes, 24 train, 12 val"
    assert whole.classes == tuple(map(str, range(12)))  # numbers, not words
    assert [number_of(pixels(s.path)) for s in whole.split("train")] == list(range(24))
    assert whole.split("train").labels.tolist() == [n % 12 for n in range(24)]
    name = relative_name(whole.split("val")[3].path, whole.root)
    assert name == "set-validation-0000.tar/00003.png"


def test_patterns_stand_for_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_others(tmp_path / "wds", "train", range(30))
    monkeypatch.chdir(tmp_path)
    patterns = ("wds/set-train-{0000..0001}.tar", "wds/*.tar", f"{tmp_path}/wds/set-*-000?.tar")
    for pattern in patterns:
        whole = read_dataset(pattern)
        assert sum(whole.sizes.values()) == 30
        assert set(whole.sizes) == {"train", "val"}
    with pytest.raises(DataError, match=r"there is no wds/set-train-0002\.tar"):
        read_dataset("wds/set-train-{0000..0002}.tar")
    with pytest.raises(DataError, match="there are no such shards"):
        read_dataset("wds/none-*.tar")
    assert read_dataset("wds/set-train-{0000,*}.tar", draw=False).sizes == {"train": 30}
    whole = read_dataset("wds/set-train-0000.tar")
    assert sum(whole.sizes.values()) == 15


@pytest.mark.parametrize("given", ["wds", "wds/"])
def test_a_folder_alone_may_name_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "wds").mkdir()
    of_others(tmp_path / "wds" / "train", "0", range(12))
    monkeypatch.chdir(tmp_path)
    assert read_dataset(given, draw=False).sizes == {"train": 12}
    assert read_dataset("wds/train", draw=False).sizes == {"all": 12}  # as for folders of images


def test_a_manifest_of_something_else_is_no_manifest(tmp_path: Path) -> None:
    of_others(tmp_path, "train", range(12))
    (tmp_path / "dataset.json").write_text('{"title": "Pets"}')
    assert read_dataset(tmp_path, draw=False).sizes == {"train": 12}


def test_an_archive_beside_volumes_is_what_they_were_unpacked_from(tmp_path: Path) -> None:
    plant(tmp_path, "all.tar", "train/a/1.npy", "train/b/1.npy")
    assert read_dataset(tmp_path, draw=False).layout_name == "volumes"
    of_others(tmp_path / "wds", "train", range(12))
    plant(tmp_path / "wds", "embeddings/1.npy")
    assert read_dataset(tmp_path / "wds", draw=False).layout_name == "shards"


def test_shards_without_training_images_are_refused_before_they_are_written(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "train").rename(tmp_path / "away")
    with pytest.raises(DataError, match="no training images; found val, test"):
        write_shards(read_dataset(folder, draw=False), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_splits_are_named_in_all_or_none(tmp_path: Path) -> None:
    of_others(tmp_path / "wds", "train", range(12))
    write_tar(tmp_path / "wds" / "more.tar", samples(range(3)))
    with pytest.raises(DataError, match=r"more\.tar: its name contains no split"):
        read_dataset(tmp_path / "wds")


def test_words_are_classes_too_and_incomplete_samples_are_counted(tmp_path: Path) -> None:
    parts = [(f"{n}.png", png(n)) for n in range(40)]
    labelled = [
        part
        for n, picture in enumerate(parts)
        for part in (picture, (f"{n}.class", (b"dog", b"cat")[n % 2]))
    ]
    write_tar(tmp_path / "s.tar", [*labelled, ("x.png", png(0)), ("y.txt", b"a caption")])
    whole = read_dataset(tmp_path / "s.tar")
    assert whole.classes == ("cat", "dog")
    assert "2 without image or class left out" in whole.describe()


def test_a_stream_needs_a_validation_split(tmp_path: Path) -> None:
    of_others(tmp_path / "wds", "train", range(12))
    with pytest.raises(DataError, match="cannot draw a validation split from a stream"):
        read_dataset(tmp_path / "wds", stream=True)
    of_others(tmp_path / "wds", "val", range(6))
    whole = read_dataset(tmp_path / "wds", stream=True)
    assert whole.stream is not None
    assert whole.sizes == {"train": 12, "val": 6}
    assert whole.count("train") == (4, 4, 4)
    with pytest.raises(DataError, match="a stream"):
        whole.split("train")


def harm_count(folder: Path) -> None:
    write_tar(folder / "val-000000.tar", samples(range(2)))


def harm_manifest(folder: Path) -> None:
    (folder / "dataset.json").write_text('{"format": "verydeep shards 1", "classes": 3}')


def harm_name(folder: Path) -> None:
    text = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(text.replace("val-000000", "../val-000000"))


def harm_class(folder: Path) -> None:
    write_tar(folder / "val-000000.tar", [p for n in range(12) for p in samples([n], 99)])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (harm_count, r"val-000000\.tar: holds 2 samples, but dataset.json lists 12"),
        (harm_manifest, r"dataset\.json: not a valid manifest \(classes"),
        (harm_name, r"'\.\./val-000000\.tar' is not in"),
        (harm_class, r"val-000000\.tar: there is no training class '3'"),
    ],
)
def test_shards_that_are_not_what_they_should_be(
    folder: Path, tmp_path: Path, harm: object, message: str
) -> None:
    write_shards(read_dataset(folder), tmp_path / "out")
    harm(tmp_path / "out")  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path / "out")


@pytest.fixture
def memory() -> Iterator[object]:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/bucket", recursive=True)


def put(system: object, folder: Path) -> None:
    for path in folder.iterdir():
        system.pipe_file(f"/bucket/{path.name}", path.read_bytes())  # type: ignore[attr-defined]


def test_shards_elsewhere_are_streamed(folder: Path, tmp_path: Path, memory: object) -> None:
    write_shards(read_dataset(folder), tmp_path / "out", samples=5)
    put(memory, tmp_path / "out")
    whole = read_dataset("memory://bucket")
    assert whole.stream is not None
    assert whole.sizes == {"train": 27, "val": 12, "test": 9}
    here = read_dataset(tmp_path / "out")
    for one, other in zip(whole.split("val"), here.split("val"), strict=True):
        assert decode(one.path).tobytes() == decode(other.path).tobytes()
    read = [one.data for one in whole.stream.read(range(27), buffer=9, seed=0, epoch=0)]
    assert sorted(read) == sorted(one.path.read() for one in here.split("train"))  # type: ignore[union-attr]


def test_patterns_elsewhere(tmp_path: Path, memory: object) -> None:
    of_others(tmp_path / "wds", "train", range(12))
    of_others(tmp_path / "wds", "val", range(6))
    put(memory, tmp_path / "wds")
    for pattern in ("memory://bucket/*.tar", "memory://bucket/set-{train,val}-{0000..0001}.tar"):
        whole = read_dataset(pattern)
        assert whole.stream is not None
        assert whole.sizes == {"train": 12, "val": 6}
        assert read_dataset(pattern, stream=False).sizes == {"train": 12, "val": 6}
    with pytest.raises(DataError, match="cannot be opened"):
        read_dataset("memory://bucket/none-{0..1}.tar")


def test_a_missing_program_for_a_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="unknown protocol"):
        read_dataset("gopher+x://bucket/*.tar")
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    for place, extra in (("s3://bucket/*.tar", "s3"), ("https://host/{0..1}.tar", "shards")):
        with pytest.raises(MissingExtra, match=rf"verydeep\[{extra}\]"):
            read_dataset(place)


def test_braces_are_a_shells() -> None:
    assert list(expand("a{1,2}{x..y}")) == ["a1x..y", "a2x..y"]
    assert list(expand("{2..0}")) == ["2", "1", "0"]
    assert list(expand("{08..11}")) == ["08", "09", "10", "11"]
    with pytest.raises(DataError, match="more than 1,000,000 shards"):
        find_shards("{0..9999999}.tar")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train/01.tar", "train"),
        ("cats-valid-1.tar", "val"),
        ("Training-1.tar", "train"),
        ("trainer-1.tar", None),
    ],
)
def test_a_name_tells_the_split(name: str, split: str | None) -> None:
    assert last_split(name) == split


@pytest.mark.filterwarnings("ignore:unclosed file")  # webdataset leaves them to chance
def test_webdataset_reads_what_is_written(folder: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    whole: Dataset = read_dataset(folder)
    write_shards(whole, tmp_path / "out", samples=5)
    shards = sorted(str(path) for path in (tmp_path / "out").glob("val-*.tar"))
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert [one["cls"] for one in read] == whole.split("val").labels.tolist()
    raw = list(webdataset.WebDataset(shards, shardshuffle=False))
    gc.collect()
    assert [one["png"] for one in raw] == [s.path.read_bytes() for s in whole.split("val")]  # type: ignore[union-attr]


def test_what_webdataset_writes_is_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for split, count in (("train", 20), ("val", 8)):
        with webdataset.ShardWriter(f"{tmp_path}/{split}-%03d.tar", maxcount=6, verbose=0) as sink:
            for number in range(count):
                sink.write(
                    {"__key__": f"k{number:03}", "png": png(number), "cls": number % 4, "json": {}}
                )
    whole = read_dataset(tmp_path)
    assert whole.sizes == {"train": 20, "val": 8}
    assert [number_of(pixels(s.path)) for s in whole.split("train")] == list(range(20))
    assert whole.split("val").labels.tolist() == [number % 4 for number in range(8)]


def test_a_message_tells_no_password_of_a_url() -> None:
    pytest.importorskip("aiohttp", reason="fsspec opens http through it")
    # Nobody listens at these ports.
    for place in ("http://me:word@127.0.0.1:9/*.tar?token=1", "ftp://me:word@127.0.0.1:9/*.tar"):
        with pytest.raises(DataError) as refused:
            find_shards(place)
        assert "127.0.0.1:9/*.tar" in str(refused.value)
        assert "word" not in str(refused.value)
        assert "token" not in str(refused.value)
