"""Named pipes and devices in place of annotations or shards never block."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import plant, write_splits

from verydeep.data.images.regular_file import check_regular, open_regular
from verydeep.data.read import read_dataset
from verydeep.data.shards.index import TarMember
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes and links to devices")


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """End a test that waits for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _shards(root: Path) -> Path:
    write_shards(read_dataset(write_splits(root / "pets", 3, 2, 2)), root / "out")
    return root / "out"


def _table(root: Path) -> Path:
    (root / "t.csv").write_text("file,label\n1.png,a\n")
    return root / "t.csv"


def _parquet(root: Path) -> Path:
    pytest.importorskip("pyarrow")
    (root / "t.parquet").touch()
    return root / "t.parquet"


def _tiny(root: Path) -> Path:
    (root / "wnids.txt").write_text("a\nb\n")
    return plant(root, "train/a/images/1.jpg", "train/b/images/1.jpg")


def _voc(root: Path) -> Path:
    return plant(root, "JPEGImages/p.jpg", "Annotations/p.xml")


def _coco(root: Path) -> Path:
    return plant(root, "annotations/instances_train.json", "train/1.jpg")


def _ilsvrc(root: Path) -> Path:
    names = (f"Data/CLS-LOC/train/{wnid}/{wnid}.jpg" for wnid in "ab")
    return plant(root, *names, "LOC_synset_mapping.txt", "Annotations/CLS-LOC/train/a/a.xml")


def _saved(root: Path) -> Path:
    pytest.importorskip("datasets")
    (root / "dataset_info.json").touch()
    (root / "data-00000-of-00001.arrow").touch()
    (root / "state.json").write_text(
        '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "0", '
        '"_format_columns": null, "_format_kwargs": {}, "_format_type": null, "_split": null}'
    )
    return root


PLACES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "a shard": (_shards, "out/val-000000.tar", "shards"),
    "a manifest": (_shards, "out/dataset.json", "shards"),
    "a table": (_table, "t.csv", "table"),
    "a Parquet file": (_parquet, "t.parquet", "table"),
    "a list of classes": (_tiny, "wnids.txt", "tiny-imagenet"),
    "an annotation of VOC": (_voc, "Annotations/p.xml", "voc"),
    "an annotation of COCO": (_coco, "annotations/instances_train.json", "coco"),
    "a saved data set": (_saved, "data-00000-of-00001.arrow", "hub"),
    "a mapping of ILSVRC": (_ilsvrc, "LOC_synset_mapping.txt", "ilsvrc"),
    "an annotation of ILSVRC": (_ilsvrc, "Annotations/CLS-LOC/train/a/a.xml", "ilsvrc"),
}


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str, kind: str) -> None:
    make, name, layout = PLACES[what]
    data = make(tmp_path)
    path = tmp_path / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    reason = "a named pipe, not a file" if kind == "pipe" else "a device, not a file"
    with pytest.raises(DataError) as caught:
        read_dataset(data, layout=layout)
    assert path.name in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):  # of whatever layout it is taken for then
        read_dataset(data)


def test_a_pipe_beside_an_ordinary_folder_of_pictures_does_no_harm(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "pets", 3, 2, 2)
    before = read_dataset(folder).describe()
    for name in ("annotations/instances_x.json", "dataset.json", "wnids.txt", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        os.mkfifo(folder / name)
    assert read_dataset(folder).describe() == before


def test_a_shard_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.tar")
    member = TarMember(str(tmp_path / "s.tar"), "s.tar/1.png", 0, 10)
    with pytest.raises(OSError, match="a named pipe, not a file"):
        member.read()


def test_what_takes_a_files_place_is_found_out_once_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe"):
        check_regular(tmp_path / "pipe")
    regular = (tmp_path / "file").stat()
    assert stat.S_ISREG(regular.st_mode)
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    with pytest.raises(OSError, match="a named pipe"):
        open_regular(tmp_path / "pipe")
