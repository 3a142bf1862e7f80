"""Folders as classes or splits: detection, refusals, and skipped files."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import (
    counts,
    flags,
    listed,
    plant,
    run_program,
    write_class_folders,
    write_splits,
)

from verydeep.checks.check import check
from verydeep.data.dataset import Dataset
from verydeep.data.read import read_dataset
from verydeep.errors import DataError
from verydeep.system.settings import Compute

NFC, NFD = "café", unicodedata.normalize("NFD", "café")


def many(folder: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number:02}.jpg" for number in range(count)]


def in_each(tops: list[str], inner: list[str], count: int = 3) -> list[str]:
    return [name for top in tops for one in inner for name in many(f"{top}/{one}", count)]


def read(root: Path, layout: str | None = None) -> Dataset:
    return read_dataset(root, layout=layout, draw=False)


def keys(root: Path, layout: str | None = None) -> dict[str, str]:
    """Return the findings of a look-over, each with how bad it is."""
    report = check(root, layout=layout, colours=False, compute=Compute(workers=0))
    return {finding.key: finding.severity for finding in report.findings}


# Splits under other names


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["Training", "Testing"], ["train", "test"]),
        (["TRAIN", "Test"], ["train", "test"]),
        (["train_set", "test_set"], ["train", "test"]),
        (["Train_Data", "valid-data", "hold-out"], ["train", "val", "test"]),
        (["pets_train", "pets_val"], ["train", "val"]),
        (["pets_train", "test"], ["train", "test"]),
        (["dataset-trn", "dev"], ["train", "val"]),
        (["train", "Val"], ["train", "val"]),
        (["train", "evaluation"], ["train", "val"]),
        (["training", "validation", "evaluation"], ["train", "val", "test"]),
        (["wrapped/Train", "wrapped/Test"], ["train", "test"]),
        (["images/train", "images/val"], ["train", "val"]),
        (["seg_train/seg_train", "seg_test/seg_test"], ["train", "test"]),
        (["train/images", "test/images"], ["train", "test"]),
        (["only_train"], ["train"]),
    ],
)
def test_splits_under_other_names_are_splits(
    tmp_path: Path, names: list[str], splits: list[str]
) -> None:
    for size, name in enumerate(names, start=2):
        plant(tmp_path, *in_each([name], ["glioma", "healthy"], size))
    dataset = read(tmp_path)
    assert dataset.layout_name == "split-folders"
    assert dataset.classes == ("glioma", "healthy")
    assert counts(dataset) == {s: (n, n) for n, s in enumerate(splits, start=2)}
    for name, split in zip(names, splits, strict=True):
        top = name if "/" in name and name.split("/")[0] in ("wrapped", "images") else None
        folder = top or name.split("/")[0]
        if folder != split:
            assert f"{folder}/ as {split}" in dataset.describe()


@settings(max_examples=30, deadline=None)
@given(
    word=st.sampled_from([("train", "test"), ("training", "val"), ("trn", "holdout")]),
    affix=st.sampled_from(["{}", "{}_set", "Data-{}", "{} images", "pets_{}"]),
    upper=st.booleans(),
)
def test_any_affix_and_case_gives_the_same_data_set(
    tmp_path_factory: pytest.TempPathFactory, word: tuple[str, str], affix: str, upper: bool
) -> None:
    root = tmp_path_factory.mktemp("affix")
    names = [affix.format(one.upper() if upper else one) for one in word]
    plant(root, *in_each(names, ["a", "b"], 1))
    dataset = read(root)
    assert dataset.classes == ("a", "b")
    assert next(iter(dataset.splits)) == "train"
    assert sum(map(len, dataset.splits.values())) == 4


def test_a_look_over_has_the_same_splits(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "d", 4, 2, 2)
    for old, new in (("train", "Training"), ("val", "Validation"), ("test", "Testing")):
        (data / old).rename(data / new)
    report = check(data, colours=False, compute=Compute(workers=0))
    assert report.dataset.sizes == {"train": 12, "val": 6, "test": 6}


# Classes of such names


@pytest.mark.parametrize(
    "classes",
    [
        ["bus", "car", "train"],
        ["train", "bus"],
        ["bullet_train", "test_tube"],
        ["training shoe", "test_tube", "boot"],
        ["invalid", "valid"],
        ["contest", "protest", "trainer"],
        ["testudo", "valley"],
    ],
)
def test_classes_of_such_names_stay_classes(tmp_path: Path, classes: list[str]) -> None:
    plant(tmp_path, *in_each(["."], classes))
    dataset = read(tmp_path)
    assert dataset.layout_name == "class-folders"
    assert dataset.classes == tuple(sorted(classes))


def test_a_class_train_with_a_folder_of_its_own_stays_a_class(tmp_path: Path) -> None:
    plant(tmp_path, *many("train/steam"), *many("bus"))
    assert read(tmp_path).classes == ("bus", "train")


# Two readings


AMBIGUOUS = {
    "flat": [*many("Training"), *many("Testing")],
    "flat beside others": [*many("train"), *many("test"), *many("car")],
    "train among classes": in_each(["train"], ["freight", "steam"]) + many("bus") + many("car"),
    "train beside a class": in_each(["train"], ["freight", "steam"]) + in_each(["car"], ["a", "b"]),
    "parts": in_each(["site-a", "site-b"], ["cat", "dog"]),
    "parts and more": in_each(["a", "b", "c"], ["cat", "dog"]) + many("readme"),
    "other case": in_each(["a"], ["Cat", "dog"]) + in_each(["b"], ["cat", "dog"]),
    "classes partly divided": in_each(["cat"], ["train", "test"]) + many("dog"),
    "classes divided, and more": [*in_each(["cat", "dog"], ["train", "test"]), "cat/1.jpg"],
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_two_readings_are_spelled_out_and_neither_taken(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, *AMBIGUOUS[kind])
    with pytest.raises(DataError, match="layout='class-folders'") as refusal:
        read_dataset(tmp_path)
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path}: ")
    assert message.count("/") > 3
    assert read(tmp_path, "class-folders").layout_name == "class-folders"


@pytest.mark.parametrize(
    ("kind", "layout", "classes"),
    [
        ("train among classes", "split-folders", ("freight", "steam")),
        ("parts", "part-folders", ("cat", "dog")),
        ("classes partly divided", "splits-in-classes", ("cat",)),
        ("classes divided, and more", "splits-in-classes", ("cat", "dog")),
    ],
)
def test_the_other_reading_can_be_asked_for(
    tmp_path: Path, kind: str, layout: str, classes: tuple[str, ...]
) -> None:
    plant(tmp_path, *AMBIGUOUS[kind])
    if len(classes) < 2:
        with pytest.raises(DataError, match="at least two"):
            read(tmp_path, layout)
    else:
        assert read(tmp_path, layout).classes == classes


def test_one_recurring_folder_leaves_no_doubt(tmp_path: Path) -> None:
    plant(tmp_path, *in_each(["cat", "dog"], ["images"]))
    assert read(tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize("names", [["train1", "train2"], ["train", "val", "valid"]])
def test_two_folders_for_one_split_are_refused(tmp_path: Path, names: list[str]) -> None:
    plant(tmp_path, *in_each(names, ["cat", "dog"]))
    with pytest.raises(DataError, match=f"{names[-2]}/ and {names[-1]}/: keep one of them"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("inner", ["train", ""])
def test_the_folder_above_is_told_where_the_data_set_is(tmp_path: Path, inner: str) -> None:
    tops = [f"{top}/{split}" for top in "ab" for split in ("train", "test")]
    plant(tmp_path, *in_each(tops if inner else ["a"], ["cat", "dog"]))
    with pytest.raises(DataError, match=f"give {tmp_path / 'a'} as DATA"):
        read_dataset(tmp_path)


# Splits within classes


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "Holdout"), ("c_train", "c_test")])
def test_splits_within_classes_are_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    plant(tmp_path, *in_each(["cat", "dog"], [names[0]], 3), *in_each(["cat"], [names[1]], 2))
    dataset = read(tmp_path)
    assert dataset.layout_name == "splits-in-classes"
    assert counts(dataset) == {"train": (3, 3), "test": (2, 0)}
    assert listed(dataset, "test") == [(f"cat/{names[1]}/{n:02}.jpg", "cat") for n in range(2)]
    assert (f"{names[0]}/ as train" in dataset.describe()) == (names[0] != "train")


# What is passed over


def test_what_is_passed_over_is_counted_in_the_first_line(tmp_path: Path) -> None:
    plant(tmp_path, *in_each(["train", "test"], ["cat", "dog"]), *many("Val", 4), *many("raw/x", 5))
    plant(tmp_path, "1.jpg", "train/2.jpg", "notes/a.txt", "._3.jpg")
    told = read(tmp_path).describe()
    assert "Val/ skipped (4 images)" in told
    assert "raw/ skipped (5 images)" in told
    assert "2 images in no class folder left out" in told
    assert "notes" not in told


def test_a_folder_beside_train_alone_is_passed_over_with_a_word(tmp_path: Path) -> None:
    plant(tmp_path, *in_each(["train"], ["cat", "dog"]), *many("unlabelled", 7))
    assert "unlabelled/ skipped (7 images)" in read(tmp_path).describe()


def test_files_of_the_system_are_neither_pictures_nor_classes(tmp_path: Path) -> None:
    plant(tmp_path, *in_each(["train", "test"], ["cat", "dog"]), "train/.DS_Store", "Thumbs.db")
    plant(tmp_path, "train/cat/._00.jpg", "__MACOSX/train/cat/._00.jpg", "train/cat/desktop.ini")
    dataset = read(tmp_path)
    assert dataset.sizes == {"train": 6, "test": 6}
    assert dataset.classes == ("cat", "dog")
    assert "skipped: " in dataset.describe()


# Without training images


@pytest.mark.parametrize("split", ["test", "val", "Testing"])
def test_a_split_alone_is_that_split(tmp_path: Path, split: str) -> None:
    plant(tmp_path, *in_each([split], ["cat", "dog"]))
    dataset = read(tmp_path)
    name = {"Testing": "test"}.get(split, split)
    assert (counts(dataset), dataset.test_split) == ({name: (3, 3)}, name)
    with pytest.raises(DataError, match=f"without training images; found 6 {name}"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("table", [False, True])
def test_a_test_alone_is_tested_on(
    tmp_path: Path, trained_run: Path, table: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_class_folders(tmp_path / "d" / "test", 2)
    given = tmp_path / "d"
    if table:
        given = tmp_path / "d" / "t.csv"
        rows = [f"test/{p.parent.name}/{p.name},{p.parent.name},test" for p in data.glob("*/*")]
        given.write_text("\n".join(["file,label,split", *rows]))
    arguments = ["--data", str(given), "--json", "--device", "cpu"]
    assert run_program(["evaluate", str(trained_run), *arguments]) == 0
    assert '"images": 6' in capsys.readouterr().out
    assert run_program(["train", str(given), "--out", str(tmp_path / "r"), *flags()]) == 2
    assert "without training images" in capsys.readouterr().err


def test_a_test_alone_is_not_called_fit(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "test", 3)
    assert keys(tmp_path)["no-training"] == "error"


# Names that look the same


def test_names_are_compared_in_one_normal_form(tmp_path: Path) -> None:
    plant(tmp_path, *in_each(["train"], [NFC, "tea"]), *in_each(["val"], [NFD, "tea"]))
    dataset = read(tmp_path)
    assert dataset.classes == (NFC, "tea")
    assert counts(dataset) == {"train": (3, 3), "val": (3, 3)}
    assert dataset.respelled == ()


def test_two_spellings_in_a_split_are_one_class_with_a_warning(tmp_path: Path) -> None:
    write_class_folders(tmp_path, 12, names=["red", "blue"])
    (tmp_path / "red").rename(tmp_path / NFC)
    (tmp_path / NFD).mkdir()
    if len([*tmp_path.iterdir()]) < 3:
        pytest.skip("this file system knows one form only")
    picture = next((tmp_path / NFC).iterdir())
    picture.rename(tmp_path / NFD / picture.name)
    dataset = read(tmp_path)
    assert (dataset.classes, dataset.respelled) == (("blue", NFC), (NFC,))
    assert counts(dataset) == {"all": (12, 12)}
    assert keys(tmp_path)["respelled-classes"] == "warning"


def test_names_that_differ_only_in_case_or_blanks_are_told_of(tmp_path: Path) -> None:
    write_class_folders(tmp_path, 12)
    for old, new in (("red", "Cat"), ("blue", "cat"), ("green", "cat ")):
        (tmp_path / old).rename(tmp_path / new)
    assert read(tmp_path).classes == ("Cat", "cat", "cat ")
    assert "'Cat', 'cat', 'cat '" in read(tmp_path).describe()
    assert keys(tmp_path)["alike-classes"] == "warning"


def test_labels_that_were_not_separated_are_told_of(tmp_path: Path) -> None:
    write_class_folders(tmp_path, 12)
    for name, told in (("red, pink", False), ("red, blue", True)):
        (tmp_path / "green").rename(tmp_path / name)
        assert ("joined-classes" in keys(tmp_path)) == told
        (tmp_path / name).rename(tmp_path / "green")


def test_classes_named_like_splits_are_not_called_fit(tmp_path: Path) -> None:
    write_splits(tmp_path, 6, 0, 6)
    (tmp_path / "train").rename(tmp_path / "Training")
    assert keys(tmp_path, "class-folders")["split-classes"] == "error"
    assert "split-classes" not in keys(tmp_path)


def test_one_class_train_is_nothing_to_speak_of(tmp_path: Path) -> None:
    write_class_folders(tmp_path, 12)
    (tmp_path / "red").rename(tmp_path / "train")
    assert "split-classes" not in keys(tmp_path)
