"""Names from other systems: slashes, normal forms, ids, system files."""

from __future__ import annotations

import io
import json
import tarfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards.made import png
from tiny import counts, listed, plant, write_splits

from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.layouts.assemble import inside
from verydeep.data.layouts.ids import Keys
from verydeep.data.name_forms import alike
from verydeep.data.read import read_dataset
from verydeep.data.samples import Sample
from verydeep.data.shards.paths import find_shards, literal_part
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError
from verydeep.evaluation.evaluate import relabel

NFC, NFD = "café", unicodedata.normalize("NFD", "café")


def table(root: Path, text: str, encoding: str = "utf-8") -> Dataset:
    (root / "t.csv").write_bytes(text.encode(encoding))
    return read_dataset(root / "t.csv", draw=False)


# Tables


@pytest.mark.parametrize(
    "name",
    [
        *["p/cat/0.jpg", r"p\cat\0.jpg", r".\p\cat\0.jpg", "./p/cat/0.jpg", r"p/cat\0.jpg"],
        *["p//cat/0.jpg", " p/cat/0.jpg ", "{root}/p/cat/0.jpg"],
    ],
)
def test_a_file_is_found_however_its_folders_are_divided(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "p/cat/0.jpg", "1.jpg")
    dataset = table(tmp_path, f"file,label\n{name.format(root=tmp_path)},a\n1.jpg,b\n")
    assert [path for path, _ in listed(dataset, "all")] == ["p/cat/0.jpg", "1.jpg"]


def test_a_file_with_a_backslash_in_its_name_is_itself(tmp_path: Path) -> None:
    plant(tmp_path, r"a\0.jpg", "a/0.jpg", "1.jpg")
    dataset = table(tmp_path, "file,label\na\\0.jpg,a\n1.jpg,b\n")
    assert dataset.split("all")[0].path == tmp_path / r"a\0.jpg"


@pytest.mark.parametrize("name", ["{root}x/1.jpg", "{root}/../x.jpg", r"a\..\..\1.jpg", "/1.jpg"])
def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is not in"):
        inside(tmp_path, name.format(root=tmp_path), "t.csv, line 2")


@pytest.mark.parametrize("there", [NFC, NFD])
@pytest.mark.parametrize("told", [NFC, NFD])
def test_a_file_is_found_in_the_other_normal_form(tmp_path: Path, there: str, told: str) -> None:
    plant(tmp_path, f"{there}/{there}.jpg", "1.jpg")
    dataset = table(tmp_path, f"file,label\n{told}/{told}.jpg,{told}\n1.jpg,b\n")
    assert dataset.classes == ("b", NFC)
    assert all(sample.path.exists() for sample in dataset.split("all"))


def test_labels_in_both_normal_forms_are_one_class(tmp_path: Path) -> None:
    dataset = table(tmp_path, f"file,label\n1.jpg,{NFC}\n2.jpg,{NFD}\n3.jpg,b\n")
    assert (dataset.classes, dataset.respelled) == (("b", NFC), (NFC,))


@pytest.mark.parametrize(
    "head",
    [
        *["file,label", "File,Label", "FILENAME,class", "file_name,category", "Image Path,Class"],
        *["path,target", "image,labels", "img,class name", "filepaths,labels"],
    ],
)
def test_columns_may_bear_the_usual_names(tmp_path: Path, head: str) -> None:
    dataset = table(tmp_path, f"{head},more\n1.jpg,a,x\n2.jpg,b,y\n")
    assert listed(dataset, "all") == [("1.jpg", "a"), ("2.jpg", "b")]
    assert ("columns" in dataset.describe()) == (head.lower() != "file,label")


def test_a_plain_column_counts_before_another_name(tmp_path: Path) -> None:
    dataset = table(tmp_path, "class,image,file,label\nx,9.jpg,1.jpg,a\nx,8.jpg,2.jpg,b\n")
    assert listed(dataset, "all") == [("1.jpg", "a"), ("2.jpg", "b")]


@pytest.mark.parametrize(
    ("column", "values", "splits"),
    [
        ("split", ["Training", "TEST", "train", "dev"], {"train": 2, "val": 1, "test": 1}),
        ("split", ["train", "hold-out", "Train set", "eval"], {"train": 2, "val": 1, "test": 1}),
        ("split", ["train", "val", "training", "eval"], {"train": 2, "val": 1, "test": 1}),
        ("data set", ["train", "valid", "train", "test"], {"train": 2, "val": 1, "test": 1}),
        ("dataset", ["flickr", "coco", "coco", "flickr"], {"all": 4}),
    ],
)
def test_splits_in_a_table_are_read_by_the_same_words(
    tmp_path: Path, column: str, values: list[str], splits: dict[str, int]
) -> None:
    rows = [f"{n}.jpg,{'aaba'[n]},{value}" for n, value in enumerate(values)]
    dataset = table(tmp_path, "\n".join([f"file,label,{column}", *rows]))
    assert dataset.sizes == splits


def test_an_eval_beside_val_and_test_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(f"{s}.jpg,a,{s}" for s in ("train", "val", "test", "eval"))
    with pytest.raises(DataError, match=r"line 5: the split eval could mean"):
        table(tmp_path, f"file,label,split\n{rows}\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("sign", ["\t", ";", ","])
def test_encodings_and_dividers_of_office_programs(
    tmp_path: Path, encoding: str, sign: str
) -> None:
    rows = [["file", "label", "remark"], ["1.jpg", "Bär", "x"], ["2.jpg", "b", "y"]]
    dataset = table(tmp_path, "\r\n".join(map(sign.join, rows)), encoding)
    assert listed(dataset, "all") == [("1.jpg", "Bär"), ("2.jpg", "b")]


def test_the_divider_is_the_one_that_gives_the_columns(tmp_path: Path) -> None:
    dataset = table(tmp_path, "file;label;size, in MB\n1.jpg;a;2,5\n2.jpg;b;3\n")
    assert listed(dataset, "all") == [("1.jpg", "a"), ("2.jpg", "b")]


@pytest.mark.parametrize("content", [b"\xff\xfef\x00i", b"\xff\xfe\x00\xd8\x00\xd8x\x00"])
def test_a_broken_utf_16_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv: (broken UTF-16|needs a column)"):
        read_dataset(tmp_path / "t.csv")


def test_rows_of_system_files_are_left_out(tmp_path: Path) -> None:
    rows = "._1.jpg,a\n__MACOSX/x/1.jpg,a\n1.jpg,a\n2.jpg,b\nx/Thumbs.db,b\n"
    dataset = table(tmp_path, f"file,label\n{rows}")
    assert listed(dataset, "all") == [("1.jpg", "a"), ("2.jpg", "b")]
    assert "3 images that are system files" in dataset.describe()


# Pascal VOC


def voc(root: Path, lists: dict[str, str], names: tuple[str, ...] = ("my cat", "my", "d1")) -> Path:
    for name in names:
        kind = "dog" if name.startswith("d") else "cat"
        plant(
            root, f"JPEGImages/{name}.jpg", f"JPEGImages/._{name}.jpg", f"Annotations/._{name}.xml"
        )
        xml = f"<annotation><object><name>{kind}</name></object></annotation>"
        (root / "Annotations" / f"{name}.xml").write_text(xml)
    plant(root, "ImageSets/Main/")
    for name, text in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    return root


@pytest.mark.parametrize("text", ["my cat\nd1\n", "my cat 1\nd1 -1\n", "my cat  0\nd1\n._d1\n"])
def test_a_listed_name_may_have_blanks(tmp_path: Path, text: str) -> None:
    dataset = read_dataset(voc(tmp_path, {"train": text}), draw=False)
    assert listed(dataset, "train") == [
        ("JPEGImages/my cat.jpg", "cat"),
        ("JPEGImages/d1.jpg", "dog"),
    ]


def test_a_listed_name_that_is_missing_is_told_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no image 'no such'"):
        read_dataset(voc(tmp_path, {"train": "no such 1\n"}))


def test_annotations_of_the_system_are_none(tmp_path: Path) -> None:
    assert counts(read_dataset(voc(tmp_path, {}), draw=False)) == {"all": (2, 1)}


def test_lists_may_be_named_by_any_word_but_not_those_of_a_class_train(tmp_path: Path) -> None:
    lists = {"Training": "my cat\nd1\n", "valid": "my\n", "train_val": "x 1\n", "train_train": "y"}
    dataset = read_dataset(voc(tmp_path, lists))
    assert dataset.sizes == {"train": 2, "val": 1}


# COCO


def coco(root: Path, images: list[Any], told: list[tuple[Any, Any]], **names: str) -> Path:
    content = {
        "images": [{"id": key, "file_name": f"{n}.jpg"} for n, key in enumerate(images)],
        "annotations": [{"image_id": i, "category_id": c, "bbox": [0, 0, 9, 9]} for i, c in told],
        "categories": [{"id": 7, "name": "cat"}, {"id": "8", "name": "dog"}],
    }
    plant(root, *[f"{n}.jpg" for n in range(len(images))])
    (root / "c.json").write_text(json.dumps(content))
    return root / "c.json"


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([1, 2], [("1", 7), ("2", "8")]),
        (["1", "2"], [(1, "7"), (2, 8)]),
        ([1, 2], [("000001", 7.0), (2.0, 8)]),
        ([1, "1"], [(1, 7), ("1", 8)]),
    ],
)
def test_ids_are_matched_as_numbers_and_texts(
    tmp_path: Path, images: list[Any], told: list[tuple[Any, Any]]
) -> None:
    dataset = read_dataset(coco(tmp_path, images, told), draw=False)
    assert listed(dataset, "all") == [("0.jpg", "cat"), ("1.jpg", "dog")]


@pytest.mark.parametrize(
    ("images", "told", "words"),
    [
        ([1, 2], [("x", 7)], r"annotations\[0\]: there is no image 'x'; .*2 .*numbers like 1, 2"),
        (["a", "b"], [(1, 7)], "there is no image 1; .*texts like 'a', 'b'"),
        (["1", "01"], [(1, 7)], "there is no image 1; it could be any of '1', '01'"),
        ([1, 2], [(1, 9)], "there is no category 9"),
        ([1, 2], [(1.5, 9)], "needs 'image_id', got 1.5"),
    ],
)
def test_ids_that_match_nothing_are_told_with_what_there_is(
    tmp_path: Path, images: list[Any], told: list[tuple[Any, Any]], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_dataset(coco(tmp_path, images, told), draw=False)


@given(st.sets(st.one_of(st.integers(0, 99), st.integers(0, 99).map(str)), min_size=1), st.data())
def test_an_id_of_the_same_number_is_found_if_it_is_the_only_one(
    known: set[int | str], data: st.DataObject
) -> None:
    given_id = data.draw(st.one_of(st.integers(0, 99), st.integers(0, 99).map(str)))
    same = [key for key in known if key == given_id] or [
        k for k in known if int(k) == int(given_id)
    ]
    if len(same) == 1:
        assert Keys(known).key_of(given_id, "image", "x") == same[0]
    else:
        with pytest.raises(DataError):
            Keys(known).key_of(given_id, "image", "x")


def test_coco_files_are_found_by_any_name_of_a_split(tmp_path: Path) -> None:
    path = coco(tmp_path / "annotations", [1, 2], [(1, 7), (2, 8)])
    text = path.read_text().replace("0.jpg", r"sub\\0.jpg")
    path.unlink()
    for name in ("instances_Training.json", "instances_Val2017.json", "._instances_Val2017.json"):
        (path.parent / name).write_text(text)
    plant(
        tmp_path, *[f"images/{s}/{n}" for s in ("Train", "Val2017") for n in ("sub/0.jpg", "1.jpg")]
    )
    dataset = read_dataset(tmp_path)
    assert listed(dataset, "train") == [
        ("images/Train/1.jpg", "dog"),
        ("images/Train/sub/0.jpg", "cat"),
    ]
    assert dataset.sizes == {"train": 2, "val": 2}


# Shards


def shard(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def parts(*labels: str, hidden: bool = False) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number, label in enumerate(labels):
        for ending, data in (("png", png(number)), ("cls", label.encode())):
            if hidden:
                files |= {
                    f"._{number}.{ending}": b"\0\5\26\7",
                    f"__MACOSX/._{number}.{ending}": b"x",
                }
            files[f"{number}.{ending}"] = data
    return files


@pytest.mark.parametrize("folder", ["", "a/"])
def test_hidden_members_are_passed_over(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}{name}": data for name, data in parts("cat", "dog", hidden=True).items()}
    path = shard(tmp_path / "s.tar", files | {".DS_Store": b"x"})
    dataset = read_dataset(path, draw=False)
    assert counts(dataset) == {"all": (1, 1)}
    assert [sample.path.read() for sample in dataset.split("all")] == [png(0), png(1)]
    assert "left out" not in dataset.describe()


ODD = ["pets [v2]", "pets {a,b}", "50% pets", "pets*", "what?", "[0]{1..2}"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(
    "pattern",
    ["", "/Train-{0..1}.tar", "/Train-*.tar", "/*-?.tar", "/Train-[01].tar", "/Train-0.tar"],
)
def test_a_folder_that_is_there_is_meant_as_it_is_called(
    tmp_path: Path, name: str, pattern: str
) -> None:
    for number in range(2):
        shard(tmp_path / name / f"Train-{number}.tar", parts("cat", "dog"))
        shard(tmp_path / "pets v" / f"Train-{number}.tar", parts("no", "never"))
    shard(tmp_path / name / "._Train-0.tar", {})
    dataset = read_dataset(f"{tmp_path}/{name}{pattern}", draw=False)
    each = 1 if pattern == "/Train-0.tar" else 2
    assert (dataset.classes, counts(dataset)) == (("cat", "dog"), {"train": (each, each)})


def test_what_is_literal_and_what_is_not(tmp_path: Path) -> None:
    plant(tmp_path, "a/b [c]/")
    assert literal_part(f"{tmp_path}/a/b [c]/x-{{0..1}}.tar") == (
        f"{tmp_path}/a/b [c]/",
        "x-{0..1}.tar",
    )
    assert literal_part("s3://b/[x]/*.tar") == ("", "s3://b/[x]/*.tar")
    plant(tmp_path, "a/b [c]/1.tar", "z/b [c]/1.tar", "z/b c/1.tar")
    found = find_shards(f"{tmp_path}/{{a,z}}/b [c]/*.tar")
    assert found == [f"{tmp_path}/{top}/b [c]/1.tar" for top in "az"]


def test_shards_written_under_an_odd_folder_are_read(tmp_path: Path) -> None:
    whole = read_dataset(write_splits(tmp_path / "d", 3, 2, 2))
    write_shards(whole, tmp_path / "out [1] {a,b}")
    assert read_dataset(tmp_path / "out [1] {a,b}").sizes == whole.sizes


def test_shards_are_divided_by_the_same_words(tmp_path: Path) -> None:
    for name in ("Training/0.tar", "dev/0.tar", "hold-out/0.tar"):
        shard(tmp_path / name, parts("cat", "dog"))
    assert read_dataset(tmp_path).sizes == {"train": 2, "val": 2, "test": 2}


def test_labels_of_shards_are_compared_in_one_normal_form(tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", parts(NFC, NFD, "tea"))
    shard(tmp_path / "val-0.tar", parts(NFD, "tea"))
    dataset = read_dataset(tmp_path)
    assert (dataset.classes, dataset.respelled) == ((NFC, "tea"), (NFC,))
    assert counts(dataset) == {"train": (2, 1), "val": (1, 1)}


# Models


@pytest.mark.parametrize("known", [NFC, NFD])
def test_a_models_classes_are_matched_in_one_normal_form(known: str) -> None:
    samples = [Sample(Path("1.png"), 0), Sample(Path("2.png"), 1)]
    dataset = Dataset(Path("d"), "one folder per class", (NFC, "tea"), {"test": samples})
    assert relabel(dataset, "test", ("tea", known)).labels.tolist() == [1, 0]


# Small things


@given(st.text("abcäAB _", min_size=1, max_size=6), st.text("abcäAB _", min_size=1, max_size=6))
def test_names_are_alike_if_they_are_without_case_and_blanks(one: str, other: str) -> None:
    def plain(name: str) -> str:
        return "".join(name.casefold().replace("_", "").split())

    assert bool(alike([one, other])) == (plain(one) == plain(other))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/._x.jpg", True), ("__macosx/x.jpg", True), ("THUMBS.DB", True), ("a/_x.jpg", False)],
)
def test_files_of_systems(path: str, expected: bool) -> None:
    assert is_system_path(path) is expected
