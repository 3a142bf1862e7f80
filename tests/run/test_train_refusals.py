"""Folders and data that a training refuses, and what a stop says."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from progresses import Listening, Signalling
from tiny import recipe, strict_json, write_class_folders, write_splits
from whole_runs import QUICK, metrics, weights

from verydeep import train
from verydeep.errors import (
    DataError,
    InputError,
    Interrupted,
    ModelError,
    RecipeError,
)


def test_a_run_is_not_written_over(trained_run: Path, pictures: Path) -> None:
    before = weights(trained_run)
    with pytest.raises(ModelError, match=r"already contains a run.*resume=True.*out="):
        train(pictures, recipe(*QUICK), trained_run)
    assert weights(trained_run) == before


def test_another_folder_is_not_written_into(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ModelError, match="not empty"):
        train(pictures, recipe(*QUICK), tmp_path)
    with pytest.raises(ModelError):
        train(pictures, recipe(*QUICK), tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_run_folder(name: str, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match=f"{name}.*: cannot be written"):
        train(pictures, recipe(*QUICK), tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"


def test_what_is_not_there_is_not_resumed(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no run to resume"):
        train(pictures, recipe(*QUICK), tmp_path / "nowhere", resume=True)


def test_an_empty_folder_will_do(pictures: Path, tmp_path: Path) -> None:
    train(pictures, recipe(*QUICK), tmp_path)
    assert (tmp_path / "metrics.json").is_file()


def test_a_finished_run_says_so_and_stays(trained_run: Path, pictures: Path) -> None:
    before, said = weights(trained_run), Listening()
    found = train(pictures, recipe(*QUICK), trained_run, resume=True, progress=said)
    assert found == metrics(trained_run)
    *others, last = said.lines
    assert last == f"{trained_run} is finished already"
    # This recipe is not quite that of the run.
    assert others
    assert all(line.startswith("not taken") for line in others)
    assert weights(trained_run) == before


@pytest.fixture
def unfinished(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder of its own, and a run on it that lacks its final test."""
    data = write_splits(tmp_path / "data", train=3, val=2, test=2)
    train(data, recipe(*QUICK), tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    return data, tmp_path / "run"


def test_other_data_are_refused_on_resumption(
    unfinished: tuple[Path, Path], pictures: Path
) -> None:
    _, run = unfinished
    with pytest.raises(DataError, match="was trained on"):
        train(pictures, recipe(*QUICK), run, resume=True)


def test_changed_training_files_are_refused_on_resumption(unfinished: tuple[Path, Path]) -> None:
    data, run = unfinished
    extra = data / "train" / "red" / "extra.png"
    shutil.copy(data / "train" / "red" / "00.png", extra)
    with pytest.raises(DataError, match="training images are not those"):
        train(data, recipe(*QUICK), run, resume=True)
    extra.unlink()
    moved = data / "train" / "blue" / "02.png"
    moved.rename(data / "train" / "red" / "02-blue.png")
    with pytest.raises(DataError, match="training images are not those"):
        train(data, recipe(*QUICK), run, resume=True)
    (data / "train" / "red" / "02-blue.png").rename(moved)
    assert train(data, recipe(*QUICK), run, resume=True)["epochs"] == 1


def test_a_training_file_that_is_gone_is_noticed_in_a_drawn_split(tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 6)
    train(data, recipe(*QUICK), tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    drawn = strict_json((tmp_path / "run" / "data.json").read_text("utf-8"))["drawn"]
    (data / drawn["train"]["red"][0]).unlink()
    with pytest.raises(DataError):
        train(data, recipe(*QUICK), tmp_path / "run", resume=True)


def test_the_final_test_is_made_up_for(unfinished: tuple[Path, Path]) -> None:
    data, run = unfinished
    before = weights(run)
    assert train(data, recipe(*QUICK), run, resume=True) == metrics(run)
    assert weights(run) == before


@pytest.mark.parametrize("name", ["data.json", "recipe.yaml", "checkpoints/last.pt"])
def test_a_damaged_run_is_refused(name: str, unfinished: tuple[Path, Path]) -> None:
    data, run = unfinished
    (run / name).write_bytes((run / name).read_bytes()[:40])
    with pytest.raises((ModelError, RecipeError), match=name):
        train(data, recipe(*QUICK), run, resume=True)


def test_data_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        train(tmp_path / "nowhere", recipe(*QUICK), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize("title", ["reading the training images", "epoch 1", "testing test"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_at_any_time_says_how_to_go_on(
    title: str, number: signal.Signals, pictures: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="resume=True") as error:
        train(pictures, recipe(*QUICK), tmp_path / "run", progress=Signalling(title, number))
    assert number.name in str(error.value)
    assert signal.getsignal(number) == before
    begun = (tmp_path / "run" / "recipe.yaml").exists()
    assert begun == (title != "reading the training images")
    train(pictures, recipe(*QUICK), tmp_path / "run", resume=begun)
