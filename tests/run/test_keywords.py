"""``verydeep.train`` takes settings as keywords, finds a free folder, and hands back a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from progresses import Listening
from tiny import recipe

import verydeep
from verydeep.errors import InputError, ModelError, RecipeError
from verydeep.recipe.keywords import keyword_settings
from verydeep.recipe.recipe import check, said_settings
from verydeep.run.training.default_out import default_out, run_name

QUICK = {"epochs": 1, "precision": "fp32", "workers": 0}


@pytest.mark.parametrize(
    ("keywords", "settings"),
    [
        ({"epochs": 3}, {"training.epochs": 3}),
        ({"learning_rate": 0.1, "net": "A"}, {"training.learning_rate": 0.1, "net.name": "A"}),
        ({"data__flip": False, "test__flip": True}, {"data.flip": False, "test.flip": True}),
        ({"training__seed": 3}, {"training.seed": 3}),
        ({"init_from": Path("runs/a")}, {"initialize.source": "runs/a"}),
        ({"batch": np.int64(8)}, {"training.batch": 8}),
        ({}, {}),
    ],
)
def test_keywords_are_settings(keywords: dict[str, object], settings: dict[str, object]) -> None:
    found = keyword_settings(keywords)
    assert found == settings
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in settings.items()
    }


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [
        ("epoch", "'epochs'"),
        ("lr", "'learning_rate'"),
        ("batch_size", "'batch'"),
        ("num_workers", "'workers'"),
        ("flip", "data__flip= or test__flip="),
        ("training__lr", "'learning_rate'"),
        ("model", "'net'"),
        ("pretrained", "'init_from'"),
        ("num_classes", "follows from the data"),
        ("learning_rat", "'learning_rate'"),
    ],
)
def test_an_unknown_keyword_is_told_what_was_meant(keyword: str, meant: str) -> None:
    with pytest.raises(TypeError, match="=") as raised:
        keyword_settings({keyword: 1})
    assert isinstance(raised.value, RecipeError)
    assert keyword in str(raised.value)
    assert meant in str(raised.value)


def test_all_unknown_keywords_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"(?s)lr=.*bs="):
        keyword_settings({"lr": 1, "epochs": 1, "bs": 2})


def test_a_recipe_a_name_and_a_file_take_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("training: {batch: 8}\n")
    for given in ("paper", tmp_path / "mine.yaml", recipe()):
        assert check(said_settings(given, {"training.epochs": 2})).training.epochs == 2
    with pytest.raises(RecipeError, match=r"training\.epochs"):
        said_settings("paper", {"training.epochs": 0})


def test_a_training_by_keywords(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = verydeep.train(pictures, recipe(), settings={"net.hidden": 32}, **QUICK)
    assert found.run == Path("runs/pictures")
    made = verydeep.load_recipe(found.run / "recipe.yaml")
    assert (made.training.epochs, made.net.hidden) == (1, 32)
    assert (found.epochs, found["epochs"], found.images) == (1, 1, 12)
    assert found.top1_error == found["top1_error"] == found.to_dict()["top1_error"]
    low, high = found.interval
    assert low <= found.top1_error <= high
    assert verydeep.load(found.model).classes == ("blue", "green", "red")
    assert found.report.is_file()
    assert len(repr(found)) < 200
    assert verydeep.train(pictures, resume=True) == found


def test_a_wrong_model_to_begin_with_leaves_nothing(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="nowhere"):
        verydeep.train(pictures, recipe(), init_from="nowhere")
    assert list(tmp_path.iterdir()) == []


class TestDefaultOut:
    def test_names(self) -> None:
        assert run_name("digits") == "digits"
        assert run_name("a b/ü.csv") == "ü"
        assert run_name("hf:owner/name") == "name"
        assert run_name("shards/train-*.tar") == "train"
        assert run_name("../..//") != ""
        assert "/" not in run_name("/")

    def test_no_folder_is_taken_twice(self, tmp_path: Path) -> None:
        for expected in ("pets", "pets-2", "pets-3"):
            folder = default_out("data/pets", runs=tmp_path)
            assert folder == tmp_path / expected
            folder.mkdir()
            (folder / "recipe.yaml").touch()

    def test_what_a_failed_start_left_is_free(self, tmp_path: Path) -> None:
        (tmp_path / "pets").mkdir()
        (tmp_path / "pets-2").touch()
        assert default_out("pets", runs=tmp_path) == tmp_path / "pets"

    def test_resuming_takes_the_latest_that_is_not_finished(self, tmp_path: Path) -> None:
        import os

        for age, name in enumerate(("pets-3", "pets-2", "pets", "petshop", "pets-4")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "recipe.yaml").touch()
            os.utime(tmp_path / name, (1000 - age, 1000 - age))
        assert default_out("pets", resume=True, runs=tmp_path) == tmp_path / "pets-3"
        (tmp_path / "pets-3" / "metrics.json").touch()
        os.utime(tmp_path / "pets-3", (2000, 2000))
        assert default_out("pets", resume=True, runs=tmp_path) == tmp_path / "pets-2"

    def test_there_is_none_to_resume(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="resume=True"):
            default_out("pets", resume=True, runs=tmp_path)


def test_the_first_line_says_where_the_run_is(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = Listening()
    with pytest.raises(InputError):
        verydeep.train(pictures, recipe(), layout="coco", progress=told)
    assert told.lines[0].endswith("runs/pictures")
