"""Equal tables in CSV, JSON lines and Parquet, and refused ones."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import counts, listed, write_class_folders

from verydeep.data.geometry import Box
from verydeep.data.read import read_dataset
from verydeep.data.samples import Sample
from verydeep.errors import DataError, MissingExtra

ROWS: list[dict[str, Any]] = [
    {"file": "b/1.png", "label": "dog", "split": "train"},
    {"file": "a/2.png", "label": "cat", "split": "train"},
    {"file": "a/3.png", "label": "cat, wild", "split": "train"},
    {"file": "b/4.png", "label": "dog", "split": "validation"},
    {"file": "5.png", "label": "cat", "split": "Test"},
]


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the ending says; columns are those of the first row."""
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


ENDINGS = [".csv", ".jsonl", ".parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_tables_of_every_kind_tell_the_same(tmp_path: Path, ending: str) -> None:
    dataset = read_dataset(write_table(tmp_path / f"pets{ending}", ROWS))
    assert dataset.root == tmp_path
    assert dataset.classes == ("cat", "cat, wild", "dog")
    assert listed(dataset, "train") == [
        ("b/1.png", "dog"),
        ("a/2.png", "cat"),
        ("a/3.png", "cat, wild"),
    ]
    assert listed(dataset, "val") == [("b/4.png", "dog")]
    assert listed(dataset, "test") == [("5.png", "cat")]
    assert dataset.describe() == "a table, 3 classes, 3 train, 1 val, 1 test"
    assert (dataset.layout_name, dataset.made_by_rule) == ("table", False)


BOXES = [
    {"box": "1 2 3.5 4"},
    {"box": "1, 2, 3.5, 4"},
    {"box": "[1, 2, 3.5, 4]"},
    {"x0": 1, "y0": 2, "x1": 3.5, "y1": 4},
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("box", BOXES)
def test_boxes_may_be_written_in_several_ways(
    tmp_path: Path, ending: str, box: dict[str, Any]
) -> None:
    rows = [row | box for row in ROWS]
    rows[1] = rows[1] | dict.fromkeys(box, None)
    dataset = read_dataset(write_table(tmp_path / f"pets{ending}", rows))
    assert dataset.split("train")[:2] == (
        Sample(tmp_path / "b/1.png", 2, Box(1, 2, 3.5, 4)),
        Sample(tmp_path / "a/2.png", 0),
    )
    assert dataset.describe().endswith(", boxes")


def test_a_box_may_be_a_list(tmp_path: Path) -> None:
    rows = [row | {"box": [0, 0, 2, 2]} for row in ROWS]
    for ending in (".jsonl", ".parquet"):
        if ending == ".parquet" and not _has_pyarrow():
            continue
        dataset = read_dataset(write_table(tmp_path / f"pets{ending}", rows))
        assert {s.box for split in dataset.splits for s in dataset.split(split)} == {(0, 0, 2, 2)}


def _has_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_may_be_whole_numbers(tmp_path: Path, ending: str) -> None:
    rows = [{"file": f"{n}.png", "label": n % 11} for n in range(44)]
    dataset = read_dataset(write_table(tmp_path / f"t{ending}", rows), draw=False)
    assert dataset.classes == ("0", "1", "10", *"23456789")
    assert listed(dataset, "all") == [(f"{n}.png", str(n % 11)) for n in range(44)]


@pytest.mark.parametrize("splits", [None, ["", "", ""]])
def test_without_splits_they_are_drawn(tmp_path: Path, splits: list[str] | None) -> None:
    rows = [{"file": f"{n}.png", "label": "ab"[n % 2]} for n in range(40)]
    if splits:
        rows = [row | {"split": ""} for row in rows]
    path = write_table(tmp_path / "t.csv", rows)
    dataset = read_dataset(path, validation_share=0.1, test_share=0.2)
    assert counts(dataset) == {"train": (14, 14), "val": (2, 2), "test": (4, 4)}
    assert dataset.made_by_rule
    assert counts(read_dataset(path, draw=False)) == {"all": (20, 20)}


def test_too_few_of_a_class_to_split_are_refused_by_its_name(tmp_path: Path) -> None:
    rows = [{"file": f"p/{n}.png", "label": "rare" if n < 2 else "other"} for n in range(40)]
    with pytest.raises(DataError, match=r"p: class rare has 2 images: too few to split"):
        read_dataset(write_table(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,x\nb.png,y\n",
        "\ufefffile,label\r\na.png,x\r\nb.png,y\r\n",
        "Label, FILE ,more\nx, a.png,1\n\ny,b.png\n",
        "file;label\na.png;x\nb.png;y",
        "file\tlabel\na.png\tx\nb.png\ty",
        '"file","label"\n"a.png","x"\n"b.png","y"\n',
        "file;label;;\na.png;x;;\nb.png;y;;\n;;;\n ;;;\n",
        "\n\nfile;label\na.png;x\nb.png;y",
        ",file,label\n0,a.png,x\n1,b.png,y\n",
    ],
)
def test_csv_as_programs_write_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    dataset = read_dataset(tmp_path / "t.csv", draw=False)
    assert listed(dataset, "all") == [("a.png", "x"), ("b.png", "y")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a column 'file'; it has none"),
        ("file,lable\n1.png,a\n", "needs a column 'label'; it has file, lable; did you mean"),
        ("file,label,file\n1.png,a,b\n", "has the column 'file' twice"),
        ("file,label\n1.png,a\n2.png\n", "line 3: label must be text"),
        ("file,label\n1.png,a\n,b\n", "line 3: file must name an image"),
        ("file,label\n1.png,a,b,c\n", "line 2: has 4 columns, the first line 2"),
        ('file,label\n1.png,"a\n', "not valid CSV"),
        ("file,label\n/etc/1.png,a\n", "line 2: '/etc/1.png' is not in"),
        ("file,label\na/../../1.png,a\n", "line 2: 'a/../../1.png' is not in"),
        ("file,label\n..\\1.png,a\n", "is not in"),
        ("file,label\nC:\\1.png,a\n", "is not in"),
        ("file,label\n1\0.png,a\n", "line 2"),
        ("file,label\n.,a\n", "line 2: '.' is not in"),
        ("file,label\n1.png,a\n2.png,b\n1.png,b\n", "line 4: 1.png is in all twice, first in"),
        ("file,label\nx/1.png,a\n2.png,b\n./x//1.png,b\n", "line 4: x/1.png is in all twice"),
        ("file,label\n1.png,a\n2.png,a\n", "at least two classes; found a"),
        ("file,label\n", "without training images; found none"),
        ("file,label,split\n1.png,a,trian\n", "line 2: split must be one of.*did you mean 'train'"),
        (
            "file,label,split\n1.png,a,train\n2.png,b,\n",
            "line 3: has no split, but other",
        ),
        ("file,label,split\n1.png,a,eval\n2.png,b,\n", "line 3: has no split, but other"),
        (
            "file,label,split\n1.png,cat,train\n2.png,dog,train\n3.png,cta,val\n",
            "line 4: there is no training class 'cta'; did you mean 'cat'[?] Every class needs",
        ),
        ("file,label,box\n1.png,a,1 2 3\n", "line 2: a box must be four numbers"),
        ("file,label,box\n1.png,a,1 2 3 x\n", "line 2: a box must be four numbers"),
        ("file,label,box\n1.png,a,1 2 3 nan\n", "line 2: a box must be four finite numbers"),
        ("file,label,box\n1.png,a,3 2 1 4\n", "line 2: a box needs x0 < x1 and y0 < y1"),
        ("file,label,x0,y0\n1.png,a,1,2\n", "line 2: a box must be four numbers"),
        ("file,label,box,x0,y0,x1,y1\n1.png,a,1 2 3 4,1,2,3,4\n", "line 2: has both box and x0"),
        ("file,label\n1.png,a\n2.png,b\a\n", "line 3: a class name must have printable"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "t.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=words.replace("\\", "\\\\")) as refusal:
        read_dataset(tmp_path / "t.csv", draw=False)
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: not valid JSON"),
        ("[1]", "line 2: must be an object"),
        ('{"file": "2.png"}', "line 2: label must be text or an integer, got None"),
        ('{"file": "2.png", "label": true}', "got True instead"),
        ('{"file": "2.png", "label": 1.0}', "got 1.0 instead"),
        ('{"file": 2, "label": "a"}', "line 2: file must name an image, got 2"),
        ('{"file": "2.png", "label": "a", "box": 3}', "line 2: a box must be four numbers, got 3"),
        ('{"file": "2.png", "label": "a", "box": [1e400, 0, 1, 1]}', "four finite numbers"),
        ('{"file": "2.png", "label": "a", "split": 1}', "line 2: split must be one of"),
        ('{"file": "\\ud800.png", "label": "a"}', "line 2: .* is not a valid file name"),
    ],
)
def test_json_lines_that_cannot_be_used_are_refused_with_their_line(
    tmp_path: Path, line: str, words: str
) -> None:
    (tmp_path / "t.jsonl").write_text(f'{{"file": "1.png", "label": "a"}}\n{line}\n', "utf-8")
    with pytest.raises(DataError, match=words):
        read_dataset(tmp_path / "t.jsonl", draw=False)


def test_a_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("file,label\n1.png,Bär\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv: not UTF-8 \(byte 18.*save it as UTF-8"):
        read_dataset(tmp_path / "t.csv")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"file,label\n"])
def test_a_broken_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: not valid Parquet"):
        read_dataset(tmp_path / "t.parquet")


def test_a_parquet_without_a_label_is_refused_with_its_row(tmp_path: Path) -> None:
    rows = [{"file": "1.png", "label": "a"}, {"file": "2.png", "label": None}]
    with pytest.raises(DataError, match=r"t\.parquet, row 2: label must be"):
        read_dataset(write_table(tmp_path / "t.parquet", rows))


@pytest.mark.parametrize("stored", [{"bytes": b"x" * 10**5, "path": "1.png"}, b"x" * 10**5])
def test_a_parquet_that_holds_its_images_is_refused_in_one_line(
    stored: object, tmp_path: Path
) -> None:
    rows = [{"image": stored, "label": number % 2} for number in range(30)]
    with pytest.raises(DataError, match="the column 'image' holds images") as refused:
        read_dataset(write_table(tmp_path / "t.parquet", rows))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("column", ["file", "label", "split", "box"])
def test_long_values_are_shortened_in_messages(column: str, tmp_path: Path) -> None:
    row: dict[str, object] = {"file": "1.png", "label": "a", "split": "", "box": ""}
    row[column] = {"bytes": "x" * 10**5}
    with pytest.raises(DataError, match=r"got .*'bytes': 'xxx") as refused:
        read_dataset(write_table(tmp_path / "t.jsonl", [row] * 30))
    assert len(str(refused.value)) < 10_000


def test_parquet_without_pyarrow_names_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[parquet\]'"):
        read_dataset(tmp_path / "t.parquet")


def test_a_table_must_have_a_known_ending(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("file,label\n")
    with pytest.raises(DataError, match=r"a table must be one of \.csv, \.jsonl, \.parquet"):
        read_dataset(tmp_path / "t.txt", layout="table")


def test_a_table_in_the_current_folder_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_class_folders(tmp_path, 2)
    (root / "pets.csv").write_text("file,label\nred/00.png,red\nblue/00.png,blue\n")
    monkeypatch.chdir(root)
    assert read_dataset("pets.csv", draw=False).place == "pets.csv"
