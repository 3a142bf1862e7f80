"""The same images in every layout give the same data set, findings and training."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from data.laid_out import (
    LAYOUTS,
    Laid,
    Pictures,
    boxes_of,
    class_folders,
    numbered,
    of,
    shards,
    split_folders,
    tiles,
    wnids,
)
from PIL import Image
from safetensors.torch import load_file
from tiny import recipe
from torch import Tensor

from verydeep import check, train
from verydeep.data.dataset import Dataset
from verydeep.data.images.decode import decode
from verydeep.data.read import read_dataset
from verydeep.system.settings import Compute

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file")  # of the datasets package

TRAIN, VAL = 6, 3


def tiny_pictures(path: Path, classes: int = 3) -> list[Laid]:
    """Return a few real images of Tiny ImageNet."""
    if not path.is_file():
        pytest.skip(f"shared/data has no {path.name}")
    found = []
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name)
        names = [name for name in names if name.endswith(".JPEG")]
        known = sorted({name.split("/")[2] for name in names})[:classes]
        for number, title in enumerate(known, start=1):
            mine = [name for name in names if f"/{title}/" in name]
            wnid = f"n{number:02}"  # as most layouts call classes
            for split, chosen in (("train", mine[:TRAIN]), ("val", mine[-VAL:])):
                found += [numbered(split, wnid, n, archive.read(o)) for n, o in enumerate(chosen)]
    return found


@pytest.fixture(scope="module", params=["photographs", "tiny-imagenet"])
def pictures(request: pytest.FixtureRequest) -> Pictures:
    if request.param == "tiny-imagenet":
        return tiny_pictures(request.getfixturevalue("shared_data") / "tiny-imagenet-40.zip")
    photographs: list[Image.Image] = request.getfixturevalue("photographs")
    return tiles(photographs, TRAIN, VAL)


def weights(data: Path, out: Path, *settings: str) -> dict[str, Tensor]:
    """Return what one epoch of training makes of a tiny net."""
    train(data, recipe("training.epochs=1", "data.workers=0", *settings), out)
    return load_file(out / "model" / "model.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def findings(data: Path) -> list[tuple[str, str]]:
    """Return what a look-over says of errors and warnings; not how files are called."""
    report = check(data, compute=Compute(workers=0))
    return sorted((one.severity, one.key) for one in report.findings if one.severity != "note")


@pytest.fixture(scope="module")
def reference(
    pictures: Pictures, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """What comes of split folders."""
    root = tmp_path_factory.mktemp("reference")
    data = split_folders(root / "set", pictures)
    return weights(data, root / "run"), findings(data)


def assert_same_set(dataset: Dataset, pictures: Pictures, split: str) -> None:
    assert dataset.classes == tuple(wnids(pictures))
    samples, known = dataset.split(split), of(pictures, split)
    assert [dataset.classes[sample.label] for sample in samples] == [one.wnid for one in known]
    for sample, one in zip(samples, known, strict=True):
        assert decode(sample.path).tobytes() == decode(one.data).tobytes()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_what_the_folders_are(
    name: str,
    pictures: Pictures,
    reference: tuple[dict[str, Tensor], list[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    layout = LAYOUTS[name]
    data = layout.write(tmp_path / "set", pictures)
    dataset = read_dataset(data)
    assert dataset.layout_name == layout.name
    for split in ("train", "val"):
        assert_same_set(dataset, pictures, split)
        boxes = [sample.box for sample in dataset.split(split)]
        assert boxes == (boxes_of(pictures, split) if layout.boxes else [None] * len(boxes))
    known, found = reference
    assert findings(data) == found
    assert same(weights(data, tmp_path / "run"), known)


def test_folders_that_nothing_divides_are_what_such_a_table_is(
    pictures: Pictures, tmp_path: Path
) -> None:
    """The rule that draws the splits goes by the images' names within the set."""
    folders = class_folders(tmp_path / "folders", pictures)
    rows = (f"{one.wnid}/{one.name},{one.wnid}\n" for one in sorted(pictures, key=by_name))
    table = class_folders(tmp_path / "table", pictures) / "table.csv"
    table.write_text("".join(["file,label\n", *rows]))
    one, other = read_dataset(folders), read_dataset(table)
    assert (one.layout_name, other.layout_name) == ("class-folders", "table")
    assert one.classes == other.classes == tuple(wnids(pictures))
    assert sum(one.sizes.values()) == len(pictures)
    assert findings(folders) == findings(table)
    assert same(weights(folders, tmp_path / "a"), weights(table, tmp_path / "b"))


def by_name(one: Laid) -> str:
    return one.name


def test_a_stream_holds_what_the_folders_hold(pictures: Pictures, tmp_path: Path) -> None:
    """Its order is its own, and so are the weights; but they are the same each time."""
    data = shards(tmp_path / "set", pictures)
    dataset = read_dataset(data, stream=True)
    assert_same_set(dataset, pictures, "val")
    assert dataset.stream is not None
    read = dataset.stream.read(range(len(dataset.stream)), buffer=5, seed=0, epoch=0)
    held = {one.data: dataset.classes[one.label] for one in read}
    assert held == {one.data: one.wnid for one in of(pictures, "train")}
    one, other = (weights(data, tmp_path / name, "data.stream=true") for name in "ab")
    assert same(one, other)
    assert all(torch.isfinite(values).all() for values in one.values())
