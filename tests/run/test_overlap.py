"""Images that a net was trained on are counted, whatever they are called, wherever they lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome, recipe, strict_json, write_boxed, write_class_folders, write_splits

import verydeep as package
from verydeep import train
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards

Program = Callable[..., Outcome]
QUICK = ("training.epochs=1", "training.precision=fp32")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images without splits, and a run on them: 24 to train, 3 to validate, 3 to test."""
    root = tmp_path_factory.mktemp("overlap")
    write_class_folders(root / "pets", 10)
    train(root / "pets", recipe(*QUICK), root / "run")
    return root / "pets"


@pytest.fixture
def evaluate(pets: Path, verydeep: Program) -> Callable[..., tuple[dict, str]]:
    """The figures of a test of the run, and what was said."""

    def measure(*words: object, run: Path = pets.parent / "run") -> tuple[dict, str]:
        outcome = verydeep("evaluate", run, *words, "--json")
        assert outcome.code == 0, outcome.err
        return strict_json(outcome.out), outcome.err

    return measure


def seen(result: dict) -> tuple[int, int, int]:
    return result["images"], result["trained_on"], result["validated_on"]


def test_the_runs_own_data_are_tested_by_the_runs_own_split(
    pets: Path, evaluate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = evaluate()
    assert (expected["split"], seen(expected)) == ("test", (3, 0, 0))
    (tmp_path / "link").symlink_to(pets)
    monkeypatch.chdir(pets)
    for name in (pets, tmp_path / "link", pets / ".." / "pets", "."):
        found, said = evaluate("--data", name)
        assert found | {"seconds": 0} == expected | {"seconds": 0}
        assert "24 train" in said


def test_training_pictures_are_counted(pets: Path, evaluate: Callable) -> None:
    for words in (["--data", pets], []):
        found, said = evaluate(*words, "--split", "train")
        assert seen(found) == (24, 24, 0)
        assert said.count("too low") == 1
    whole, said = evaluate("--data", pets, "--split", "all")
    assert seen(whole) == (30, 24, 3)
    assert "24 of 30 images" in said


def test_copies_are_known_again(pets: Path, evaluate: Callable, tmp_path: Path) -> None:
    shutil.copytree(pets, tmp_path / "copy")
    assert seen(evaluate("--data", tmp_path / "copy")[0]) == (30, 24, 3)
    for number, path in enumerate(sorted((tmp_path / "copy").rglob("*.png"))):
        path.rename(path.with_name(f"other-{number}.png"))
    assert seen(evaluate("--data", tmp_path / "copy")[0]) == (30, 24, 3)
    write_shards(read_dataset(tmp_path / "copy", draw=False), tmp_path / "shards")
    assert seen(evaluate("--data", tmp_path / "shards")[0]) == (30, 24, 3)


def test_a_folder_above_or_a_part_is_known_again(
    pets: Path, evaluate: Callable, tmp_path: Path
) -> None:
    for name in ("blue", "green"):
        shutil.copytree(pets / name, tmp_path / "part" / name)
    assert evaluate("--data", tmp_path / "part")[0]["trained_on"] == 16
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "test").symlink_to(pets)
    shutil.copytree(pets, tmp_path / "above" / "train")
    found, _ = evaluate("--data", tmp_path / "above", "--split", "train")
    assert seen(found) == (30, 24, 3)


def test_other_pictures_are_not_suspected(evaluate: Callable, tmp_path: Path) -> None:
    other = write_class_folders(tmp_path / "other", 10, seed=7)
    found, said = evaluate("--data", other)
    assert seen(found) == (30, 0, 0)
    assert "trained on" not in said


def test_of_a_large_data_set_names_and_sizes_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.data.fingerprint.HASHED", 100)
    data = write_class_folders(tmp_path / "data", 10)
    train(data, recipe(*QUICK), tmp_path / "run")
    shutil.copytree(data, tmp_path / "above" / "train")
    shutil.copytree(write_class_folders(tmp_path / "x", 2, seed=3), tmp_path / "above" / "val")
    found = package.evaluate(tmp_path / "run", tmp_path / "above", split="train")
    assert (found.images, found.trained_on) == (30, 24)
    assert package.evaluate(tmp_path / "run", tmp_path / "above", split="val").trained_on == 0


def test_of_fused_nets_the_pictures_of_each_count(pets: Path, tmp_path: Path) -> None:
    train(pets, recipe(*QUICK, "training.seed=1"), tmp_path / "second")
    first = {path.name for path in tmp_path.iterdir()}
    assert first == {"second"}
    runs = [pets.parent / "run", tmp_path / "second"]
    drawn = [strict_json((run / "data.json").read_text())["drawn"]["train"] for run in runs]
    sets = [{name for names in by_class.values() for name in names} for by_class in drawn]
    both = package.evaluate(runs, pets, split="all")
    assert both.trained_on == len(sets[0] | sets[1]) > 24
    few = package.TestProtocol(flip=False, grid=(1, 1))  # how often a view is shown says nothing
    table = package.evaluate_all(runs, pets, few, split="all").to_dict()
    assert table["trained_on"] == both.trained_on


def test_a_leak_between_splits_is_said_at_the_end_of_a_training(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=4, val=2, test=2)
    shutil.copy(data / "train" / "red" / "00.png", data / "test" / "red" / "00.png")
    metrics = train(data, recipe(*QUICK), tmp_path / "run")
    assert (metrics["images"], metrics["trained_on"]) == (6, 1)


def test_a_model_without_its_run_knows_nothing(pets: Path, tmp_path: Path) -> None:
    shutil.copytree(pets.parent / "run" / "model", tmp_path / "model")
    assert package.evaluate(tmp_path / "model", pets, split="all").trained_on is None
    loaded = package.load(tmp_path / "model")
    assert package.evaluate(loaded, pets, split="all").trained_on is None


def test_box_regressors_learn_from_pictures_with_a_box(tmp_path: Path, verydeep: Program) -> None:
    table = write_boxed(tmp_path / "boxed", 12, without_box=4)
    learn = recipe(*QUICK, "localization.per_class=false", "initialize.layers=all")
    train(table, learn, tmp_path / "run")
    found = verydeep("evaluate", tmp_path / "run", "--split", "train", "--json")
    assert strict_json(found.out)["trained_on"] == 8
    assert "beware" in verydeep("evaluate", tmp_path / "run", "--split", "train").out
