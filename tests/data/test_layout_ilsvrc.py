"""ILSVRC's layout gives the same data set from each source of classes and boxes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import counts, listed, plant

from verydeep.data.geometry import Box
from verydeep.data.read import read_dataset
from verydeep.errors import DataError

TRAIN = {"n02": ["n02_1", "n02_2"], "n01": ["n01_7"]}
VAL = {"ILSVRC2012_val_00000001": "n02", "ILSVRC2012_val_00000002": "n01"}
DATA = "Data/CLS-LOC"
NOTES = "Annotations/CLS-LOC"


def xml(*objects: tuple[str, int, int, int, int]) -> str:
    found = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    )
    return f"<annotation>{found}</annotation>"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pictures(root: Path) -> Path:
    for wnid, names in TRAIN.items():
        plant(root, *[f"{DATA}/train/{wnid}/{name}.JPEG" for name in names])
    return plant(root, *[f"{DATA}/val/{name}.JPEG" for name in VAL], f"{DATA}/test/t_1.JPEG")


def with_solutions(root: Path) -> None:
    write(
        root / "LOC_train_solution.csv",
        "ImageId,PredictionString\nn02_1,n01 0 0 9 9 n02 1 2 3 4 n02 5 5 7 7 \nn01_7,n01 0 0 9 9\n",
    )
    write(
        root / "LOC_val_solution.csv",
        "ImageId,PredictionString\n"
        "ILSVRC2012_val_00000002,n01 3 3 8 8 \n"
        "ILSVRC2012_val_00000001,n02 10 20 30 40 n02 0 0 1 1 \n",
    )


def with_annotations(root: Path) -> None:
    notes = root / NOTES
    write(
        notes / "train/n02/n02_1.xml",
        xml(("n01", 0, 0, 9, 9), ("n02", 1, 2, 3, 4), ("n02", 5, 5, 7, 7)),
    )
    write(notes / "train/n01/n01_7.xml", xml(("n01", 0, 0, 9, 9)))
    write(notes / "train/n01/n01_no_picture.xml", xml(("n01", 0, 0, 9, 9)))
    write(
        notes / "val/ILSVRC2012_val_00000001.xml", xml(("n02", 10, 20, 30, 40), ("n02", 0, 0, 1, 1))
    )
    write(notes / "val/ILSVRC2012_val_00000002.xml", xml(("n01", 3, 3, 8, 8)))


def with_devkit(root: Path) -> None:
    data = root / "ILSVRC2012_devkit_t12" / "data"
    write(data / "ILSVRC2012_validation_ground_truth.txt", "1\n2\n")
    write(data / "map_clsloc.txt", "n02 1 great_grey_owl\nn01 2 tench\n")


@pytest.mark.parametrize("tell", [with_solutions, with_annotations])
@pytest.mark.parametrize("below", [".", "ILSVRC"])
def test_boxes_and_classes_come_from_tables_or_annotations(
    tmp_path: Path, tell: object, below: str
) -> None:
    pictures(tmp_path / below)
    assert callable(tell)
    tell(tmp_path if tell is with_solutions else tmp_path / below)
    write(tmp_path / "LOC_synset_mapping.txt", "n01 tench, Tinca tinca\nn02 owl\nn03 none\n")
    dataset = read_dataset(tmp_path)
    start = "" if below == "." else "ILSVRC/"
    assert dataset.classes == ("n01", "n02")
    assert dataset.titles == {"n01": "tench, Tinca tinca", "n02": "owl"}
    assert listed(dataset, "train") == [
        (f"{start}{DATA}/train/n01/n01_7.JPEG", "n01"),
        (f"{start}{DATA}/train/n02/n02_1.JPEG", "n02"),
        (f"{start}{DATA}/train/n02/n02_2.JPEG", "n02"),
    ]
    assert listed(dataset, "val") == [
        (f"{start}{DATA}/val/{name}.JPEG", wnid) for name, wnid in sorted(VAL.items())
    ]
    # The first object of the class; corners are inside there, and the first outside here.
    assert [sample.box for sample in dataset.split("train")] == [
        Box(0, 0, 10, 10),
        Box(1, 2, 4, 5),
        None,
    ]
    assert [sample.box for sample in dataset.split("val")] == [(10, 20, 31, 41), (3, 3, 9, 9)]
    assert [s.others for split in ("train", "val") for s in dataset.split(split)] == [
        (),
        ((5, 5, 8, 8),),
        (),
        ((0, 0, 2, 2),),
        (),
    ]
    assert dataset.describe() == "ILSVRC CLS-LOC layout, 2 classes, 3 train, 2 val, boxes"
    assert dataset.layout_name == "ilsvrc"


def test_the_devkit_tells_classes_and_titles(tmp_path: Path) -> None:
    with_devkit(pictures(tmp_path))
    dataset = read_dataset(tmp_path)
    assert [label for _, label in listed(dataset, "val")] == ["n02", "n01"]
    assert dataset.titles == {"n02": "great grey owl", "n01": "tench"}
    assert dataset.describe() == "ILSVRC CLS-LOC layout, 2 classes, 3 train, 2 val"


def test_titles_of_synset_words(tmp_path: Path) -> None:
    with_solutions(pictures(tmp_path))
    write(tmp_path / "deep" / "er" / "synset_words.txt", "n01 tench\n\nn02 owl\n")
    assert read_dataset(tmp_path).title(1) == "owl"


def test_validation_pictures_may_lie_in_folders_of_classes(tmp_path: Path) -> None:
    plant(
        tmp_path, *[f"{DATA}/{s}/{w}/{n}.JPEG" for s in ("train", "val") for w, n in ("ab", "cd")]
    )
    dataset = read_dataset(tmp_path)
    assert listed(dataset, "val") == [
        (f"{DATA}/val/a/b.JPEG", "a"),
        (f"{DATA}/val/c/d.JPEG", "c"),
    ]


def test_without_validation_pictures_they_are_drawn(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{DATA}/train/{w}/{n}.JPEG" for w in "ab" for n in range(5)])
    assert counts(read_dataset(tmp_path)) == {"train": (4, 4), "val": (1, 1)}


def test_validation_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val_00000001\.JPEG: its class is unknown; put LOC_val"):
        read_dataset(pictures(tmp_path))


def test_the_devkits_numbers_need_their_map(tmp_path: Path) -> None:
    with_devkit(pictures(tmp_path))
    (tmp_path / "ILSVRC2012_devkit_t12" / "data" / "map_clsloc.txt").unlink()
    with pytest.raises(DataError, match="its class is unknown"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ILSVRC2012_validation_ground_truth.txt", "1\n", "has 1 lines for 2 images of val"),
        ("ILSVRC2012_validation_ground_truth.txt", "1\n3\n", "line 2: '3' is not in"),
        ("map_clsloc.txt", "n02 1\n", r"map_clsloc\.txt, line 1: must be a wnid, a number and"),
    ],
)
def test_a_devkit_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with_devkit(pictures(tmp_path))
    write(tmp_path / "ILSVRC2012_devkit_t12" / "data" / name, text)
    with pytest.raises(DataError, match=words):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x", "must be an image, a comma"),
        ("x,n01 1 2 3", "must be an image, a comma"),
        ("x,n01 1 2 3 b", "a box must be four numbers"),
        ("ILSVRC2012_val_00000002,n01", "occurs twice, first in .*line 2"),
    ],
)
def test_a_solution_that_cannot_be_read_is_refused_with_its_line(
    tmp_path: Path, line: str, words: str
) -> None:
    with_solutions(pictures(tmp_path))
    with (tmp_path / "LOC_val_solution.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=rf"LOC_val_solution\.csv, line 4: .*{words}"):
        read_dataset(tmp_path)


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    with_solutions(pictures(tmp_path))
    write(
        tmp_path / "LOC_val_solution.csv",
        "ILSVRC2012_val_00000001,n09\nILSVRC2012_val_00000002,n01\n",
    )
    with pytest.raises(DataError, match="line 1: there is no training class 'n09'"):
        read_dataset(tmp_path)
