"""Hugging Face data sets, saved on disk or from a simulated Hub."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import recipe, run_program, write_splits

from verydeep import train
from verydeep.data.dataset import Dataset
from verydeep.data.images.decode import decode
from verydeep.data.layouts.hub import HubRows
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, MissingExtra, PictureError

hub = pytest.importorskip("datasets")
constants = pytest.importorskip("huggingface_hub.constants")
hub.disable_progress_bars()

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file")


def rows(count: int, classes: int = 3, **more: Any) -> Any:
    """Return a split whose images are of one colour, which is their number."""
    pictures = [Image.fromarray(np.full((40, 40, 3), n, np.uint8)) for n in range(count)]
    columns = {"image": pictures, "label": [n % classes for n in range(count)], **more}
    names = ["zebra", "ant", "cat", "unused"][: classes + 1]
    features = {"image": hub.Image(), "label": hub.ClassLabel(names=names)}
    features |= {
        name: hub.features.features.generate_from_dict(
            {"dtype": "string" if isinstance(values[0], str) else "int64", "_type": "Value"}
        )
        for name, values in more.items()
    }
    return hub.Dataset.from_dict(columns, features=hub.Features(features))


def numbers(dataset: Dataset, split: str) -> list[int]:
    return [int(np.asarray(decode(path))[0, 0, 0]) for path in dataset.split(split).paths]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    splits = {"train": rows(18), "validation": rows(6), "test": rows(3), "unsupervised": rows(2)}
    hub.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_data_set_is_read(saved: Path) -> None:
    dataset = read_dataset(saved)
    assert dataset.describe() == (
        "Hugging Face data set, 3 classes, 18 train, 6 val, 3 test, split unsupervised ignored"
    )
    assert dataset.layout_name == "hub"
    assert dataset.classes == ("zebra", "ant", "cat")  # the data set's own order
    assert numbers(dataset, "train") == list(range(18))
    assert dataset.split("val").labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert str(dataset.split("val")[4].path) == "validation/4"
    again = pickle.loads(pickle.dumps(dataset.split("train")[7].path))
    assert again.read() == dataset.split("train")[7].path.read()  # type: ignore[union-attr]


def test_one_split_is_divided_by_rule_and_selections_hold(tmp_path: Path) -> None:
    rows(60).select(range(59, -1, -2)).save_to_disk(tmp_path / "one")
    dataset = read_dataset(tmp_path / "one")
    assert dataset.made_by_rule
    found = [n for split in dataset.splits for n in numbers(dataset, split)]
    assert sorted(found) == list(range(1, 60, 2))
    for split in dataset.splits:
        for number, sample in zip(numbers(dataset, split), dataset.split(split), strict=True):
            assert dataset.classes[sample.label] == ("zebra", "ant", "cat")[number % 3]


def test_each_split_numbers_its_classes_itself(tmp_path: Path) -> None:
    whole = rows(12, name=["cat", "dog", "owl"] * 4).remove_columns("label")
    whole = whole.rename_column("name", "label")
    birds = whole.filter(lambda row: row["label"] != "cat")
    splits = {"train": whole, "test": birds}
    encoded = {split: one.class_encode_column("label") for split, one in splits.items()}
    hub.DatasetDict(encoded).save_to_disk(tmp_path / "s")
    dataset = read_dataset(tmp_path / "s", draw=False)
    for split, one in splits.items():
        assert [*map(dataset.label_text, dataset.split(split).labels)] == one["label"][:], split


def test_a_class_without_training_images_is_named(tmp_path: Path) -> None:
    known = rows(6, classes=2)
    hub.DatasetDict({"train": known, "test": rows(6)}).save_to_disk(tmp_path / "s")
    with pytest.raises(DataError, match="no training class 'cat'"):
        read_dataset(tmp_path / "s")


def test_words_are_classes_too(tmp_path: Path) -> None:
    words = rows(8, target=["b", "a"] * 4).remove_columns("label")
    hub.DatasetDict({"train": words, "test": words}).save_to_disk(tmp_path / "words")
    dataset = read_dataset(tmp_path / "words", draw=False)
    assert dataset.classes == ("a", "b")
    assert dataset.split("test").labels.tolist() == [1, 0] * 4


def test_words_in_two_normal_forms_are_one_class(tmp_path: Path) -> None:
    words = rows(4, target=["caf\u00e9", "cafe\u0301", "a", "a"]).remove_columns("label")
    words.save_to_disk(tmp_path / "words")
    dataset = read_dataset(tmp_path / "words", draw=False)
    assert dataset.classes == ("a", "caf\u00e9")
    assert dataset.split("all").labels.tolist() == [1, 1, 0, 0]


def test_rows_without_a_class_are_left_out(tmp_path: Path) -> None:
    hidden = rows(4).map(lambda row: {"label": -1})
    hub.DatasetDict({"train": rows(9), "test": hidden}).save_to_disk(tmp_path / "s")
    dataset = read_dataset(tmp_path / "s", draw=False)
    assert list(dataset.splits) == ["train"]
    assert "4 of test without a class left out" in dataset.describe()


def test_a_row_without_a_picture_is_unreadable_not_fatal(tmp_path: Path) -> None:
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["a", "b"])})
    pictures = [None, {"bytes": b"no image", "path": None}]
    some = hub.Dataset.from_dict({"image": pictures * 2, "label": [0, 1, 1, 0]}, features=features)
    hub.DatasetDict({"train": some, "test": some}).save_to_disk(tmp_path / "s")
    first, second, *_ = read_dataset(tmp_path / "s", draw=False).split("train").paths
    for path, message in (
        (first, "train/0: the row has no image"),
        (second, "train/1: not an image"),
    ):
        with pytest.raises(PictureError, match=message):
            decode(path)


def test_a_row_may_name_a_file(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4), "red").save(tmp_path / "a.png")
    stored = [{"image": {"bytes": None, "path": str(tmp_path / name)}} for name in ("a.png", "b")]
    places = HubRows("train", stored, "image", np.array([1, 0]), (tmp_path.resolve(),))
    assert decode(places[1]).size == (5, 4)
    with pytest.raises(PictureError, match="train/1: No such file"):
        decode(places[0])


@pytest.mark.parametrize("folder", ["saved", "home", "elsewhere"])
def test_a_row_names_only_files_of_the_data_set_or_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    path = tmp_path / folder / "red.png"
    arrow = [{"bytes": None, "path": str(path)}] * 2
    features = hub.Features({"image": hub.Image(decode=False), "label": hub.Value("string")})
    some = hub.Dataset.from_dict({"image": arrow, "label": ["a", "b"]}, features=features)
    # As a stranger may write it: the package itself puts the bytes into what it saves.
    monkeypatch.setattr("datasets.arrow_writer.embed_table_storage", lambda table, **_: table)
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (5, 4), "red").save(path)
    hub.DatasetDict({"train": some, "test": some}).save_to_disk(tmp_path / "saved")
    image = read_dataset(tmp_path / "saved", draw=False).split("train")[0].path
    if folder == "elsewhere":
        with pytest.raises(PictureError, match="train/0: the row names a file outside"):
            decode(image)
    else:
        assert decode(image).size == (5, 4)


@pytest.mark.parametrize(
    ("more", "drop", "message"),
    [
        ({}, "label", "no columns of class labels among image; name one"),
        ({}, "image", "no columns of images among label"),
    ],
)
def test_columns_that_are_missing_are_asked_for(
    tmp_path: Path, more: dict[str, Any], drop: str, message: str
) -> None:
    rows(6, **more).remove_columns(drop).save_to_disk(tmp_path / "s")
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path / "s")


def test_a_broken_folder_is_one_message(saved: Path) -> None:
    (saved / "train" / "state.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a saved data set"):
        read_dataset(saved)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Stand in for the network: what is fetched is made here."""
    asked: list[tuple[str, str | None]] = []

    def load_dataset(name: str, config: str | None = None) -> Any:
        asked.append((name, config))
        if name == "owner/none":
            raise ConnectionError("Couldn't reach it\nat all")
        coarse = [n % 2 for n in range(18)]
        test = rows(6, coarse=[0, 1] * 3)
        return hub.DatasetDict({"train": rows(18, coarse=coarse), "test": test})

    monkeypatch.setattr(hub, "load_dataset", load_dataset)
    monkeypatch.setattr("verydeep.data.layouts.hub._reachable", lambda: True)
    return asked


def test_an_id_is_fetched(online: list[tuple[str, str | None]]) -> None:
    dataset = read_dataset("hf:owner/pets:large")
    assert online == [("owner/pets", "large")]
    assert (dataset.sizes["test"], len(dataset.classes)) == (6, 3)
    assert read_dataset("hf:owner/pets?label=coarse").classes == ("0", "1")
    with pytest.raises(DataError, match=r"no column 'corse'.*did you mean 'coarse'"):
        read_dataset("hf:owner/pets?label=corse")
    with pytest.raises(DataError, match="'label' holds no images; those that do: image"):
        read_dataset("hf:owner/pets?image=label")
    for wrong in ("hf:owner/pets?lable=x", "hf:"):
        with pytest.raises(DataError, match="must be like hf:owner/name"):
            read_dataset(wrong)


def test_what_cannot_be_fetched_is_one_line(online: list[tuple[str, str | None]]) -> None:
    with pytest.raises(DataError, match=r"not available .*Check name and network") as caught:
        read_dataset("hf:owner/none")
    assert "\n" not in str(caught.value)
    assert f"its cache in {constants.HF_HOME} (set by HF_HOME)" in str(caught.value)


def test_without_network_it_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Nobody listens there.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it tries again"))
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    with pytest.raises(DataError, match=r"hf:owner/none: not available .*Check name and network"):
        read_dataset("hf:owner/none")
    assert capfd.readouterr() == ("", "")
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("answers", [True, False])
def test_the_cache_alone_is_asked_where_the_hub_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    before = (constants.HF_HUB_OFFLINE, hub.config.HF_HUB_OFFLINE)
    seen = []

    def load_dataset(name: str, config: str | None) -> Any:
        seen.append((constants.HF_HUB_OFFLINE, hub.config.HF_HUB_OFFLINE))
        return hub.DatasetDict({"train": rows(18)})

    monkeypatch.setattr(hub, "load_dataset", load_dataset)
    monkeypatch.setattr("verydeep.data.layouts.hub._reachable", lambda: answers)
    assert read_dataset("hf:owner/pets", draw=False).sizes == {"train": 18}
    assert seen == ([before] if answers else [(True, True)])
    assert before == (constants.HF_HUB_OFFLINE, hub.config.HF_HUB_OFFLINE)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, saved: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for data in ("hf:owner/pets", saved):
        with pytest.raises(MissingExtra, match=r"verydeep\[hub\]"):
            read_dataset(data)


def test_a_run_from_a_saved_data_set_is_that_from_the_folder(tmp_path: Path) -> None:
    folder = write_splits(tmp_path / "pets", train=6, val=3, test=3)
    whole = read_dataset(folder)
    splits = {}
    for split in whole.splits:
        samples = whole.split(split)
        pictures = [{"bytes": path.read_bytes(), "path": None} for path in samples.paths]  # type: ignore[union-attr]
        features = {"image": hub.Image(), "label": hub.ClassLabel(names=list(whole.classes))}
        columns = {"image": pictures, "label": samples.labels.tolist()}
        splits[split] = hub.Dataset.from_dict(columns, features=hub.Features(features))
    hub.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    chosen = recipe("training.epochs=1", "training.schedule=cosine", "training.precision=fp32")
    train(folder, chosen, tmp_path / "a")
    train(tmp_path / "saved", chosen, tmp_path / "b")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in "ab"]
    assert weights[0] == weights[1]
    record = json.loads((tmp_path / "b" / "data.json").read_text())
    assert record["layout_name"] == "hub"
    assert run_program(["evaluate", str(tmp_path / "b"), "--json"]) == 0
