"""Data that changed while a run was not looking: refused by a resumption, said by a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome, flags, recipe, strict_json, write_class_folders, write_splits

from verydeep import train

Program = Callable[..., Outcome]
QUICK = ("training.epochs=1", "training.precision=fp32")


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with splits of their own, data without, and an unfinished run on each."""
    root = tmp_path_factory.mktemp("began")
    write_splits(root / "data", train=3, val=3, test=3)
    write_class_folders(root / "pets", 10)
    for data, run in (("data", "run"), ("pets", "pets-run")):
        train(root / data, recipe(*QUICK), root / run)
    return root


@pytest.fixture
def place(began: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same to change; runs know their data by the whole path, so they take its place."""
    kept = tmp_path / "kept"
    shutil.copytree(began, kept)
    yield began
    shutil.rmtree(began)
    shutil.copytree(kept, began)


def remove(path: Path) -> None:
    path.unlink()


def relabel(path: Path) -> None:
    path.rename(path.parents[1] / "green" / "from-red.png")


def replace(path: Path) -> None:
    shutil.copy(path.parents[1] / "blue" / path.name, path)


def add(path: Path) -> None:
    shutil.copy(path, path.with_name("new.png"))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    ("change", "word"),
    [(remove, "removed"), (relabel, "relabelled"), (add, "added"), (replace, "1 of another")],
)
def test_a_changed_split_is_refused_on_resumption_and_named(
    split: str, change: Callable[[Path], None], word: str, place: Path, verydeep: Program
) -> None:
    (place / "run" / "metrics.json").unlink()
    change(place / "data" / split / "red" / "01.png")
    command = ("train", place / "data", "--out", place / "run", *flags(*QUICK), "--resume")
    refused = verydeep(*command)
    assert refused.code == 2
    for part in (split, word, "red/01.png" if change is not add else "red/new.png"):
        assert part in refused.err
    assert not (place / "run" / "metrics.json").exists()
    tested = verydeep("evaluate", place / "run", "--split", split, "--json")
    assert tested.code == 0
    assert word in tested.err
    assert strict_json(tested.out)["images"] == {remove: 8, add: 10}.get(change, 9)


def test_a_drawn_split_names_what_is_gone_and_takes_nothing_new(
    place: Path, verydeep: Program
) -> None:
    run, pets = place / "pets-run", place / "pets"
    drawn = strict_json((run / "data.json").read_text())["drawn"]
    (run / "metrics.json").unlink()
    shutil.copy(pets / "red" / "00.png", pets / "red" / "new.png")
    command = ("train", pets, "--out", run, *flags(*QUICK), "--resume")
    resumed = verydeep(*command)
    assert resumed.code == 0
    assert "1 image came to" in resumed.err
    (run / "metrics.json").unlink()
    gone, moved = drawn["val"]["red"][0], drawn["test"]["red"][0]
    (pets / gone).unlink()
    (pets / moved).rename(pets / "blue" / "moved.png")
    refused = verydeep(*command)
    assert refused.code == 2
    assert f"1 removed ({gone})" in refused.err
    assert f"1 relabelled ({moved}: red → blue)" in refused.err
    tested = verydeep("evaluate", run, "--json")
    assert "relabelled" in tested.err
    assert strict_json(tested.out)["images"] == 2


def test_a_report_that_tests_again_says_that_the_test_has_changed(
    place: Path, verydeep: Program
) -> None:
    remove(place / "data" / "test" / "red" / "01.png")
    tested = verydeep("report", place / "run", "--test")
    assert tested.code == 0
    assert "1 removed (test/red/01.png)" in tested.err


def test_data_that_did_not_change_are_not_spoken_of(place: Path, verydeep: Program) -> None:
    for path in (place / "data").rglob("*.png"):
        path.touch()
    assert "no longer" not in verydeep("evaluate", place / "run").err
    (place / "run" / "metrics.json").unlink()
    command = ("train", place / "data", "--out", place / "run", *flags(*QUICK), "--resume")
    assert verydeep(*command).code == 0
