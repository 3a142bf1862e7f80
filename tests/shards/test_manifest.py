"""Inconsistent manifests are refused before use."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import Outcome, flags, write_splits

from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

Content = dict[str, Any]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("manifest")
    write_shards(read_dataset(write_splits(root / "pets", 6, 4, 3)), root / "out", samples=10)
    return root / "out"


def changed(shards: Path, change: Callable[[Content], object]) -> Path:
    """Return a copy of the shards with another manifest."""
    folder = shards.parent / "changed"
    folder.mkdir(exist_ok=True)
    for path in shards.glob("*.tar"):
        if not (folder / path.name).exists():
            (folder / path.name).hardlink_to(path)
    content = json.loads((shards / "dataset.json").read_text())
    change(content)
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def _put(*keys: str | int, value: object) -> Callable[[Content], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def _drop_train(content: Content) -> None:
    del content["splits"]["train"]


def _one_shard_twice(content: Content) -> None:
    val = content["splits"]["val"]
    val["shards"] = [val["shards"][0], {"file": "./val-000000.tar", "samples": 2}]
    val["counts"] = [4, 4, 4]


def _rename(content: Content) -> None:
    content["splits"]["vall"] = content["splits"].pop("val")


def _shift(content: Content) -> None:
    content["splits"]["val"]["counts"] = [3, 4, 5]


TRAIN = ("splits", "train")
MUTATIONS: dict[str, tuple[Callable[[Content], object], str]] = {
    "a class twice": (
        _put("classes", 1, value="red"),
        r"\(classes: classes: two classes are called 'red'",
    ),
    "one class": (_put("classes", value=["red"]), "at least two classes; found red"),
    "a class without a name": (_put("classes", 0, value=""), "a class name must have printable"),
    "control characters": (_put("classes", 0, value="a\x1b[2J"), r"got 'a\\x1b\[2J'"),
    "a title of control characters": (
        _put("titles", value={"red": "\x1b[2J"}),
        "the title of a class must be printable",
    ),
    "no shards": (_put(*TRAIN, "shards", value=[]), r"\(splits\.train\.shards: "),
    "no samples": (
        _put("splits", "val", "shards", 0, "samples", value=0),
        r"\(splits\.val\.shards\.0\.samples: .*greater than or equal to 1",
    ),
    "countless samples": (
        _put(*TRAIN, "shards", 0, "samples", value=10**30),
        r"\(splits\.train\.shards\.0\.samples: .*less than or equal to",
    ),
    "no train": (_drop_train, "splits: no training images; found val, test"),
    "no splits": (_put("splits", value={}), "splits: no training images; found none"),
    "an unknown split": (
        _rename,
        "splits: must be among train, val, test, all, got 'vall' instead; did you mean 'val'",
    ),
    "a shard twice": (_one_shard_twice, r"the shard val-000000\.tar is listed 2 times"),
    "a shard with an odd name": (
        _put(*TRAIN, "shards", 0, "file", value="a\n.tar"),
        r"a shard's name must have printable characters, got 'a\\n\.tar'",
    ),
    "a negative count": (
        _put(*TRAIN, "counts", value=[-6, 12, 12]),
        r"\(splits\.train\.counts\.0: .*greater than or equal to 0",
    ),
    "counts that do not add up": (
        _put(*TRAIN, "counts", value=[6, 6, 7]),
        r"the classes have 19 samples, the shards 18",
    ),
    "a count too few": (
        _put(*TRAIN, "counts", value=[9, 9]),
        r"splits\.train\.counts: 2 counts for 3 classes",
    ),
    "counts of other classes": (
        _shift,
        "lists 3 images of class blue in val, but the shards hold 4",
    ),
    "a mean of nothing": (_put("colours", "mean", 0, value=math.nan), r"\(colours\.mean\.0: "),
    "an endless mean": (_put("colours", "mean", 2, value=math.inf), r"\(colours\.mean\.2: "),
    "a mean beyond white": (_put("colours", "mean", 2, value=256), r"\(colours\.mean\.2: "),
    "a covariance of nothing": (
        _put("colours", "covariance", 1, 2, value=math.nan),
        r"\(colours\.covariance\.1\.2: ",
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", MUTATIONS)
def test_one_field_changed_is_one_message(shards: Path, what: str, stream: bool) -> None:
    change, message = MUTATIONS[what]
    folder = changed(shards, change)
    with pytest.raises(DataError, match=rf"dataset\.json: .*{message}") as caught:
        read_dataset(folder, stream=stream)
    assert str(caught.value).isprintable()
    assert "verydeep shard" in str(caught.value)


def test_unchanged_it_is_read(shards: Path) -> None:
    folder = changed(shards, lambda content: None)
    assert read_dataset(folder).sizes == read_dataset(folder, stream=True).sizes


@pytest.mark.parametrize("what", ["a class twice", "no train"])
def test_the_program_says_so_before_it_begins(
    shards: Path, what: str, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    folder = changed(shards, MUTATIONS[what][0])
    for verb in (("check", folder), ("train", folder, "--out", tmp_path / "run", *flags())):
        outcome = verydeep(*verb)
        assert outcome.code == 2
        assert outcome.err.startswith(f"verydeep: {folder}/dataset.json: not a valid manifest")
        assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"classes": 3'])
def test_what_is_no_manifest_at_all(shards: Path, text: bytes) -> None:
    folder = changed(shards, lambda content: None)
    (folder / "dataset.json").write_bytes(text)
    with pytest.raises(DataError, match="not a valid manifest"):
        read_dataset(folder)
