"""Layouts on disk: folders of empty files, as no image is opened, and real data sets."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from data.laid_out import Pictures, coco, csv_table, numbered, shards, split_folders
from PIL import Image
from tiny import counts, listed, plant

from verydeep import Compute, check
from verydeep.data.builtin import digits
from verydeep.data.dataset import Dataset
from verydeep.data.geometry import Box
from verydeep.data.images.image_files import pictures_in
from verydeep.data.read import DataSource, read_dataset
from verydeep.data.registry import LAYOUTS
from verydeep.data.samples import Sample
from verydeep.errors import DataError, InputError


def many(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number:03}.jpg" for number in range(count)]


# A folder a class under each split


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_split_folders_are_the_splits(tmp_path: Path, validation: str) -> None:
    plant(
        tmp_path,
        *["train/dog/1.png", "train/dog/2.png", "train/cat/1.png"],
        *[f"{validation}/cat/3.png", f"{validation}/dog/3.png"],
        *["test/dog/4.png"],
    )
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert list(dataset.splits) == ["train", "val", "test"]
    assert listed(dataset, "train") == [
        ("train/cat/1.png", "cat"),
        ("train/dog/1.png", "dog"),
        ("train/dog/2.png", "dog"),
    ]
    assert listed(dataset, "val") == [
        (f"{validation}/cat/3.png", "cat"),
        (f"{validation}/dog/3.png", "dog"),
    ]
    assert listed(dataset, "test") == [("test/dog/4.png", "dog")]
    assert counts(dataset) == {"train": (1, 2), "val": (1, 1), "test": (0, 1)}
    assert not dataset.made_by_rule


def test_classes_are_in_order_of_their_names_as_text(tmp_path: Path) -> None:
    classes = ["b", "a10", "a2", "B", "ä"]
    plant(tmp_path, *[f"{split}/{name}/1.png" for name in classes for split in ("train", "val")])
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ("B", "a10", "a2", "b", "ä")
    for split in ("train", "val"):
        assert all(name.split("/")[1] == label for name, label in listed(dataset, split))


@pytest.mark.parametrize("empty", ["val/ant/", "val/"])
def test_a_class_without_validation_pictures_shifts_no_label(tmp_path: Path, empty: str) -> None:
    plant(tmp_path, "train/ant/1.png", "train/bee/1.png", "train/cow/1.png", "val/bee/1.png", empty)
    plant(tmp_path, "val/cow/1.png", "test/cow/1.png")
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"train": (1, 1, 1), "val": (0, 1, 1), "test": (0, 0, 1)}


def test_a_folder_without_pictures_is_no_class(tmp_path: Path) -> None:
    plant(tmp_path, "train/ant/1.png", "train/bee/", "train/cow/1.png", "train/notes/a.txt")
    plant(tmp_path, "val/bee/", "val/cow/1.png")
    assert read_dataset(tmp_path).classes == ("ant", "cow")


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_training_lacks_is_refused(tmp_path: Path, split: str) -> None:
    plant(tmp_path, "train/goldfish/1.png", "train/koala/1.png", "val/koala/1.png")
    plant(tmp_path, f"{split}/gold_fish/1.png")
    with pytest.raises(DataError) as refusal:
        read_dataset(tmp_path)
    assert f"{tmp_path / split / 'gold_fish'}: there is no training class" in str(refusal.value)
    assert "did you mean 'goldfish'?" in str(refusal.value)


def test_a_class_whose_training_folder_is_empty_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "train/c/", "val/a/1.png", "val/c/1.png")
    with pytest.raises(DataError, match="every class needs training images"):
        read_dataset(tmp_path)


def test_two_validation_folders_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "validation/a/1.png")
    with pytest.raises(DataError, match=r"has val/ and validation/: keep one of them"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("more", [[], ["val/", "valid_notes.txt"], ["val/a/", "val/b/"]])
def test_without_validation_pictures_they_are_cut_from_the_training_ones(
    tmp_path: Path, more: list[str]
) -> None:
    plant(tmp_path, *many("train/a", 20), *many("train/b", 40), *many("test/a", 3), *more)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"train": (18, 36), "val": (2, 4), "test": (3, 0)}
    assert list(dataset.splits) == ["train", "val", "test"]
    assert all(name.startswith("train/") for name, _ in listed(dataset, "val"))
    assert not set(dataset.split("train")) & set(dataset.split("val"))
    assert dataset.made_by_rule


def test_unsorted_test_pictures_are_no_split(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "test/1.png", "test/2.png")
    assert list(read_dataset(tmp_path).splits) == ["train", "val"]


# A folder a class, nothing else


def test_a_folder_of_classes_is_split_by_rule(tmp_path: Path) -> None:
    plant(tmp_path, *many("cat", 30), *many("dog", 50))
    dataset = read_dataset(tmp_path, validation_share=0.2, test_share=0.1)
    assert dataset.classes == ("cat", "dog")
    assert counts(dataset) == {"train": (21, 35), "val": (6, 10), "test": (3, 5)}
    assert list(dataset.splits) == ["train", "val", "test"]
    assert dataset.made_by_rule
    found = [entry for split in dataset.splits for entry in listed(dataset, split)]
    assert sorted(found) == [(name, name[:3]) for name in [*many("cat", 30), *many("dog", 50)]]


def test_the_rules_seed_decides(tmp_path: Path) -> None:
    plant(tmp_path, *many("cat", 30), *many("dog", 50))
    assert read_dataset(tmp_path, seed=3) == read_dataset(tmp_path, seed=3)
    assert read_dataset(tmp_path, seed=3).splits != read_dataset(tmp_path, seed=4).splits


def test_a_share_of_zero_gives_no_test_split(tmp_path: Path) -> None:
    plant(tmp_path, *many("cat", 10), *many("dog", 10))
    assert counts(read_dataset(tmp_path, test_share=0)) == {"train": (9, 9), "val": (1, 1)}


@pytest.mark.parametrize(
    ("validation", "test", "words"),
    [
        (-0.2, 0.1, "validation_share must be from 0 to below 1, got -0.2"),
        (float("nan"), 0.1, "validation_share must be from 0 to below 1, got nan"),
        (0.1, 1, "test_share must be from 0 to below 1, got 1"),
        (0.5, 0.5, "must leave images to train on .sum below 1., got 0.5 . 0.5"),
    ],
)
@pytest.mark.parametrize("groups", [None, "folder"])
def test_shares_that_are_none_are_refused(
    validation: float, test: float, words: str, groups: str | None, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        read_dataset(tmp_path, validation_share=validation, test_share=test, group_by=groups)


def test_undrawn_it_is_one_split_that_is_tested_on(tmp_path: Path) -> None:
    plant(tmp_path, *many("cat", 3), *many("dog", 1))
    dataset = read_dataset(tmp_path, draw=False)
    assert counts(dataset) == {"all": (3, 1)}
    assert dataset.test_split == "all"
    assert not dataset.made_by_rule


def test_undrawn_training_pictures_stay_together(tmp_path: Path) -> None:
    plant(tmp_path, *many("train/cat", 3), *many("train/dog", 1))
    assert counts(read_dataset(tmp_path, draw=False)) == {"train": (3, 1)}


def test_too_few_pictures_to_split_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, *many("cat", 30), *many("dog", 2))
    with pytest.raises(DataError, match=r"dog has 2 images: too few to split"):
        read_dataset(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    plant(tmp_path, *many("bus", 10), *many("train", 10), "train/notes/a.txt")
    assert read_dataset(tmp_path).classes == ("bus", "train")


# What counts as an image


def test_pictures_are_told_by_their_suffix_wherever_they_lie(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *["a/1.JPG", "a/2.Jpeg", "a/3.png", "a/deep/er/4.webp", "a/b.c/5.tif"],
        *["a/.hidden.png", "a/._1.jpg", "a/notes.txt", "a/Thumbs.db", "a/png", "a/x.jpg.part"],
        *["a/folder.png/6.bmp", "b/1.gif", "b/2.TIFF", "b/3.jfif", ".git/1.png", "README.jpg"],
    )
    dataset = read_dataset(tmp_path, draw=False)
    assert dataset.classes == ("a", "b")
    assert listed(dataset, "all") == [
        ("a/1.JPG", "a"),
        ("a/2.Jpeg", "a"),
        ("a/3.png", "a"),
        ("a/b.c/5.tif", "a"),
        ("a/deep/er/4.webp", "a"),
        ("a/folder.png/6.bmp", "a"),
        ("b/1.gif", "b"),
        ("b/2.TIFF", "b"),
        ("b/3.jfif", "b"),
    ]


def test_pictures_in_hidden_folders_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "1.png", ".thumbnails/1.png", "a/.ipynb_checkpoints/2-checkpoint.png")
    assert list(pictures_in(tmp_path)) == [tmp_path / "1.png"]


def test_a_class_may_be_a_link_to_a_folder(tmp_path: Path) -> None:
    plant(tmp_path, "elsewhere/1.png", "data/cat/1.png", "data/dog/1.png")
    (tmp_path / "data" / "eel").symlink_to(tmp_path / "elsewhere")
    dataset = read_dataset(tmp_path / "data", draw=False)
    assert counts(dataset) == {"all": (1, 1, 1)}


# Tiny ImageNet


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two classes in Tiny ImageNet's layout; wnids.txt is not in order."""
    plant(
        tmp_path,
        *["train/n02/images/n02_0.JPEG", "train/n02/images/n02_1.JPEG"],
        *["train/n01/images/n01_0.JPEG"],
        *["val/images/val_0.JPEG", "val/images/val_1.JPEG", "test/images/test_0.JPEG"],
    )
    (tmp_path / "wnids.txt").write_text("n02\nn01\n")
    (tmp_path / "words.txt").write_text("n00\tnothing\nn01\tkoala, koala bear\nn02\tsnail\n")
    (tmp_path / "train/n02/n02_boxes.txt").write_text(
        "n02_0.JPEG\t0\t10\t63\t58\nn02_1.JPEG\t5\t6\t7\t8\n"
    )
    (tmp_path / "val/val_annotations.txt").write_text(
        "val_1.JPEG\tn01\t1\t2\t3\t4\nval_0.JPEG\tn02\t0\t0\t63\t63\n"
    )
    return tmp_path


def test_tiny_imagenet_is_read_with_its_boxes_and_titles(tiny: Path) -> None:
    dataset = read_dataset(tiny)
    assert dataset.classes == ("n01", "n02")
    assert [dataset.title(label) for label in (0, 1)] == ["koala, koala bear", "snail"]
    # Its corners are the last pixels inside, ours the first outside.
    assert dataset.splits == {
        "train": (
            Sample(tiny / "train/n01/images/n01_0.JPEG", 0),
            Sample(tiny / "train/n02/images/n02_0.JPEG", 1, Box(0, 10, 64, 59)),
            Sample(tiny / "train/n02/images/n02_1.JPEG", 1, Box(5, 6, 8, 9)),
        ),
        "val": (
            Sample(tiny / "val/images/val_1.JPEG", 0, Box(1, 2, 4, 5)),
            Sample(tiny / "val/images/val_0.JPEG", 1, Box(0, 0, 64, 64)),
        ),
    }
    assert dataset.test_split == "val"
    assert not dataset.made_by_rule


def test_tiny_imagenet_without_annotations_is_split_by_rule(tiny: Path) -> None:
    (tiny / "val/val_annotations.txt").unlink()
    plant(tiny, "train/n01/images/n01_1.JPEG")
    dataset = read_dataset(tiny)
    assert counts(dataset) == {"train": (1, 1), "val": (1, 1)}
    assert dataset.made_by_rule
    assert "val/ skipped (2 images)" in dataset.describe()


def test_tiny_imagenet_with_validation_images_in_class_folders(tiny: Path) -> None:
    shutil.rmtree(tiny / "val")
    plant(tiny, "val/n01/images/1.JPEG", "val/n02/2.JPEG")
    dataset = read_dataset(tiny)
    assert dataset.splits["val"] == (
        Sample(tiny / "val/n01/images/1.JPEG", 0),
        Sample(tiny / "val/n02/2.JPEG", 1),
    )
    assert not dataset.made_by_rule
    plant(tiny, "val/n03/3.JPEG")
    with pytest.raises(DataError, match="no training class 'n03'"):
        read_dataset(tiny)


def test_tiny_imagenet_without_words_shows_the_names_of_its_classes(tiny: Path) -> None:
    (tiny / "words.txt").unlink()
    assert read_dataset(tiny).title(1) == "n02"


def test_tiny_imagenet_without_training_pictures_is_refused(tiny: Path) -> None:
    for path in tiny.glob("train/*/images/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"class n01 of wnids\.txt has no images under train/"):
        read_dataset(tiny)


def test_an_annotation_of_an_unknown_class_is_refused_with_its_line(tiny: Path) -> None:
    annotations = tiny / "val/val_annotations.txt"
    with annotations.open("a") as file:
        file.write("val_2.JPEG\tn03\t0\t0\t63\t63\n")
    with pytest.raises(DataError) as refusal:
        read_dataset(tiny)
    assert str(refusal.value) == f"{annotations}, line 3: class 'n03' is not in wnids.txt"


def test_an_empty_line_is_no_annotation(tiny: Path) -> None:
    with (tiny / "val/val_annotations.txt").open("a") as file:
        file.write("\n")
    assert len(read_dataset(tiny).split("val")) == 2


@pytest.mark.parametrize("line", ["val_2.JPEG", "val_2.JPEG\tn01\t0\t0\t63\tx"])
def test_an_annotation_that_cannot_be_read_is_refused_with_its_line(tiny: Path, line: str) -> None:
    with (tiny / "val/val_annotations.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt, line 3"):
        read_dataset(tiny)


def test_a_class_of_tiny_imagenet_without_training_pictures_is_refused(tiny: Path) -> None:
    for path in tiny.glob("train/n02/images/*"):
        path.unlink()
    with pytest.raises(DataError, match="class n02"):
        read_dataset(tiny)


def test_a_training_box_that_cannot_be_read_is_refused_with_its_line(tiny: Path) -> None:
    boxes = tiny / "train/n02/n02_boxes.txt"
    boxes.write_text("n02_0.JPEG\t0\t10\t63\t58\n\nn02_1.JPEG\t5\t6\t7\n")
    with pytest.raises(DataError) as refusal:
        read_dataset(tiny)
    assert str(refusal.value) == (
        f"{boxes}, line 3: a box must be four numbers, got ['5', '6', '7'] instead"
    )


def test_an_annotation_may_have_no_box(tiny: Path) -> None:
    (tiny / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\n")
    assert read_dataset(tiny).split("val") == (Sample(tiny / "val/images/val_0.JPEG", 1),)


def unpack_names(archive: zipfile.ZipFile, folder: Path) -> Path:
    """Write the archive's texts; its images become empty files, since none is opened."""
    for info in archive.infolist():
        path = folder / info.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_bytes(archive.read(info))
        elif not info.is_dir():
            path.touch()
    (root,) = folder.iterdir()
    return root


def open_zip(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        pytest.skip(f"shared/data has no {path.name}")
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_forty_classes_of_the_real_tiny_imagenet(shared_data: Path, tmp_path: Path) -> None:
    with open_zip(shared_data / "tiny-imagenet-40.zip") as archive:
        dataset = read_dataset(unpack_names(archive, tmp_path))
        assert counts(dataset) == {"train": (500,) * 40, "val": (50,) * 40}
        assert dataset.title(dataset.classes.index("n01443537")) == "goldfish, Carassius auratus"
        samples = [*dataset.split("train"), *dataset.split("val")]
        for sample in samples:
            assert 0 <= sample.box.x0 < sample.box.x1 <= 64
            assert 0 <= sample.box.y0 < sample.box.y1 <= 64
        # Boxes that fill the image end at 64, and are the most frequent of all.
        assert Counter(sample.box for sample in samples).most_common(1)[0][0] == (0, 0, 64, 64)
        for sample in samples[::997]:
            name = sample.path.relative_to(tmp_path).as_posix()
            with archive.open(name) as file, Image.open(file) as picture:
                assert picture.size == (64, 64)
            if "/train/" in name:
                assert name.split("/")[2] == dataset.classes[sample.label]


@pytest.mark.slow
def test_ten_classes_of_tiny_imagenet_as_folders(tiny_10: Path) -> None:
    dataset = read_dataset(tiny_10)
    assert counts(dataset) == {"train": (500,) * 10, "val": (50,) * 10}
    assert "goldfish" in dataset.classes


# The built-in digits


def test_digits_are_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"train": 40, "val": 10, "test": 20}
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path))
    monkeypatch.setattr(digits, "make_digits", partial(digits.make_digits, counts=sizes))
    dataset = read_dataset("digits")
    assert dataset.classes == tuple("0123456789")
    assert counts(dataset) == {"train": (4,) * 10, "val": (1,) * 10, "test": (2,) * 10}
    assert dataset.layout == "built-in digits"
    assert not dataset.made_by_rule
    assert dataset.root.is_relative_to(tmp_path)
    drawn = {digit.file: digit for digit in digits.make_digits(0)}
    for split in dataset.splits:
        for sample in dataset.split(split):
            digit = drawn[sample.path.relative_to(dataset.root).as_posix()]
            assert (digit.split, digit.label, digit.box) == (split, sample.label, sample.box)
            assert np.array_equal(Image.open(sample.path), digit.pixels)


# Faults


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file or folder") as error:
        read_dataset(tmp_path / "nowhere")
    for kind in (
        "digits",
        "mnist",
        "table: a .csv",
        "coco: ",
        "voc: ",
        "shards: ",
        "hf:owner/name",
    ):
        assert kind in str(error.value)


def test_a_tilde_is_the_home_folder_of_someone_who_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "pets [v2]", *many("cat", 3), *many("dog", 3))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_dataset("~/pets [v2]", draw=False).root == tmp_path / "pets [v2]"
    for refuses in (read_dataset, partial(check, compute=Compute(workers=0))):
        with pytest.raises(DataError, match="~nobody_there/pets: no such file or folder"):
            refuses("~nobody_there/pets")


def test_a_file_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "1.png")
    with pytest.raises(DataError, match=r"1\.png: no known .*; found a .png file"):
        read_dataset(str(tmp_path / "1.png"))


NO_CLASSES = [[], ["1.png", "2.png"], ["cat/", "dog/"], ["cat/a.txt"]]


@pytest.mark.parametrize("files", NO_CLASSES)
def test_splits_without_training_classes_are_refused(tmp_path: Path, files: list[str]) -> None:
    plant(tmp_path, "train/", *[f"train/{name}" for name in files], "val/cat/1.png")
    with pytest.raises(DataError, match="without training images; found 1 val") as refusal:
        read_dataset(tmp_path)
    assert ("train/ skipped (2 images)" in str(refusal.value)) == ("1.png" in files)


@pytest.mark.parametrize("files", NO_CLASSES)
def test_a_folder_without_any_layout_is_refused(tmp_path: Path, files: list[str]) -> None:
    plant(tmp_path, *files)
    with pytest.raises(DataError) as refusal:
        read_dataset(tmp_path)
    first, *known = str(refusal.value).split("\n")
    found = {name.split("/")[0] + "/" if "/" in name else name for name in files}
    assert first == (
        f"{tmp_path}: no known layout fits; found "
        f"{', '.join(sorted(found)) or 'an empty folder'}. Known layouts:"
    )
    assert [line.split(":")[0].strip() for line in known] == [layout.name for layout in LAYOUTS]


@pytest.mark.parametrize("name", ["two\nlines", "bell\a", "\udcff"])
def test_a_class_whose_name_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "cat/1.png", f"{name}/1.png")
    with pytest.raises(DataError, match="a class name must have printable characters") as refusal:
        read_dataset(tmp_path)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("below", ["", "train/"])
def test_one_class_is_refused(tmp_path: Path, below: str) -> None:
    plant(tmp_path, f"{below}cat/1.png", f"{below}dog/")
    with pytest.raises(DataError, match=r"at least two folders with images.*found cat$"):
        read_dataset(tmp_path)


# What a data set says of itself


@pytest.fixture
def pets() -> Dataset:
    samples = tuple(Sample(Path(f"{n}.png"), n % 2) for n in range(1500))
    boxed = tuple(Sample(sample.path, sample.label, Box(0, 0, 1, 1)) for sample in samples[:3])
    return Dataset(
        Path("pets"),
        "one folder per class",
        ("cat", "dog", "eel"),
        {"train": samples, "val": boxed},
        titles={"dog": "Dog, domestic"},
        made_by_rule=True,
    )


def test_a_split_that_is_not_there_is_refused_with_those_that_are(pets: Dataset) -> None:
    with pytest.raises(DataError) as refusal:
        pets.split("vla")
    assert str(refusal.value) == ("pets has no split 'vla'; it has train, val; did you mean 'val'?")


def test_a_data_set_describes_itself(pets: Dataset) -> None:
    assert pets.describe() == (
        "one folder per class, 3 classes, 1,500 train, 3 val (drawn by rule), boxes"
    )
    assert pets.count("val") == (2, 1, 0)
    assert [pets.title(label) for label in range(3)] == ["cat", "Dog, domestic", "eel"]


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train", "val", "test"], "test"),
        (["train", "val"], "val"),
        (["train"], "train"),
        (["all"], "all"),
    ],
)
def test_the_split_to_test_on(splits: list[str], expected: str) -> None:
    dataset = Dataset(Path("pets"), "one folder per class", ("a", "b"), dict.fromkeys(splits, ()))
    assert dataset.test_split == expected


def one_json(root: Path, pictures: Pictures) -> Path:
    coco(root, pictures)
    return (root / "annotations" / "instances_train.json").rename(root / "train" / "all.json")


def shard_pattern(root: Path, pictures: Pictures) -> Path:
    return shards(root, pictures) / "{train,val}-*.tar"


@pytest.mark.parametrize("write", [csv_table, one_json, shard_pattern, split_folders])
def test_a_data_set_knows_what_it_was_read_from(
    write: Callable[[Path, Pictures], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    pets = [
        numbered(split, wnid, number, stream.getvalue())
        for split in ("train", "val")
        for wnid in ("cat", "dog")
        for number in range(3)
    ]
    place = write(tmp_path, pets)
    monkeypatch.chdir(tmp_path)
    data = str(place.relative_to(tmp_path))
    dataset = read_dataset(data)
    kept = DataSource(dataset, dataset.layout_name)
    assert kept.lasting == DataSource(data).lasting
    monkeypatch.chdir("/")
    again = DataSource(kept.lasting, dataset.layout_name).read()
    assert again.describe() == dataset.describe()


def test_built_in_data_keep_their_name() -> None:
    dataset = read_dataset("digits")
    assert DataSource(dataset, dataset.layout_name).lasting == "digits"
