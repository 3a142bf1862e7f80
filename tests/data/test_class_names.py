"""Rules for class names, equal in all layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import plant, write_splits

from verydeep.data.class_names import check_class_names
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

ESCAPE = "a\x1b[2J"


def _table(root: Path, name: str) -> Path:
    rows = [{"file": "1.jpg", "label": "cat"}, {"file": "2.jpg", "label": name}]
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root / "t.jsonl"


def _folders(root: Path, name: str) -> Path:
    return plant(root, "cat/1.png", f"{name}/1.png")


def _splits(root: Path, name: str) -> Path:
    return plant(root, "train/cat/1.png", f"train/{name}/1.png", "val/cat/1.png")


def _tiny(root: Path, name: str) -> Path:
    (root / "wnids.txt").write_text(f"cat\n{name}\n")
    return plant(root, "train/cat/images/1.jpg", f"train/{name}/images/1.jpg")


def _coco(root: Path, name: str) -> Path:
    content = {
        "images": [{"id": 0, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}],
        "annotations": [{"image_id": n, "category_id": n, "bbox": [0, 0, 9, 9]} for n in (0, 1)],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": name}],
    }
    (root / "c.json").write_text(json.dumps(content))
    return root / "c.json"


def _ilsvrc(root: Path, name: str) -> Path:
    return plant(root, "Data/CLS-LOC/train/cat/1.jpg", f"Data/CLS-LOC/train/{name}/1.jpg")


def _described_shards(root: Path, name: str) -> Path:
    write_shards(read_dataset(write_splits(root / "pets", 3, 2, 2)), root / "out")
    manifest = json.loads((root / "out" / "dataset.json").read_text())
    manifest["classes"][1] = name
    (root / "out" / "dataset.json").write_text(json.dumps(manifest))
    return root / "out"


def _shards(root: Path, name: str) -> Path:
    import io
    import tarfile

    with tarfile.open(root / "s.tar", "w") as archive:
        for number, label in enumerate(("cat", name)):
            for suffix, data in (("jpg", b"x"), ("cls", label.encode())):
                info = tarfile.TarInfo(f"{number}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return root / "s.tar"


def _hub(root: Path, name: str) -> Path:
    hub = pytest.importorskip("datasets")
    hub.disable_progress_bars()
    pictures = [{"bytes": b"x", "path": None}] * 2
    names = hub.ClassLabel(names=["cat", name])
    features = hub.Features({"image": hub.Image(), "label": names})
    rows = hub.Dataset.from_dict({"image": pictures, "label": [0, 1]}, features=features)
    rows.save_to_disk(root / "saved")
    return root / "saved"


LAYOUTS: dict[str, Callable[[Path, str], Path]] = {
    "table": _table,
    "folders": _folders,
    "splits": _splits,
    "tiny": _tiny,
    "coco": _coco,
    "ilsvrc": _ilsvrc,
    "described shards": _described_shards,
    "shards": _shards,
    "hub": _hub,
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_name_that_cannot_be_printed_is_no_class(tmp_path: Path, layout: str) -> None:
    plant(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(DataError, match="a class name must have printable characters") as caught:
        read_dataset(LAYOUTS[layout](tmp_path, ESCAPE), draw=False)
    assert str(caught.value).isprintable()
    assert r"got 'a\x1b[2J'" in str(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_names_are_taken_as_they_are(tmp_path: Path, layout: str) -> None:
    plant(tmp_path, "1.jpg", "2.jpg")
    assert "Bär-1" in read_dataset(LAYOUTS[layout](tmp_path, "Bär-1"), draw=False).classes


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], "set: a classifier needs at least two folders; found none"),
        (["cat"], "set: a classifier needs at least two folders; found cat"),
        (["cat", ""], "line 2: a class name must have printable characters, got ''"),
        (["cat", " "], "line 2: a class name must have printable characters, got ' '"),
        (["cat", "dog", "cat"], "line 3: two classes are called 'cat'; give them different names"),
    ],
)
def test_each_class_has_a_name_of_its_own(told: list[str], message: str) -> None:
    places = [(name, f"line {number}") for number, name in enumerate(told, start=1)]
    with pytest.raises(DataError, match=f"^{message}"):
        check_class_names(places, "set", "folders")


def test_a_title_that_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(f"cat\tthe {ESCAPE}\n")
    with pytest.raises(DataError, match=r"words\.txt: the title of a class must be") as caught:
        read_dataset(_tiny(tmp_path, "dog"))
    assert str(caught.value).isprintable()
