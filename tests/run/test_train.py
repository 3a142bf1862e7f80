"""Whole runs on tiny folders: their files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny import COLOURS, recipe, strict_json, write_class_folders, write_splits
from whole_runs import QUICK, log, metrics

import verydeep
from verydeep import train
from verydeep.errors import (
    RecipeError,
)
from verydeep.evaluation.protocol import TestProtocol
from verydeep.recipe.recipe import known_keys, load_recipe
from verydeep.system.settings import Compute


def test_a_run_is_complete(trained_run: Path) -> None:
    found = {str(path.relative_to(trained_run)) for path in trained_run.rglob("*")}
    assert found == {
        *("recipe.yaml", "environment.json", "data.json", "log.jsonl", "metrics.json"),
        *("pictures.npz", "answers.jsonl", "report.html", "checkpoints", "checkpoints/last.pt"),
        *("model", "model/config.json", "model/model.safetensors", "model/README.md"),
    }


def test_its_recipe_has_every_setting_and_the_machines_choices(trained_run: Path) -> None:
    tree = yaml.safe_load((trained_run / "recipe.yaml").read_text("utf-8"))
    others = ("localization", "transfer")  # it is a classifier, from random weights
    assert [tree.pop(section) for section in others] == [None, None]
    written = {
        f"{section}.{key}": value for section, keys in tree.items() for key, value in keys.items()
    }
    assert set(written) == {key for key in known_keys() if key.partition(".")[0] not in others}
    assert written["training.micro_batch"] == 8
    assert written["training.device"] == "cpu"
    assert written["training.precision"] == "fp32"
    assert load_recipe(trained_run / "recipe.yaml").training.schedule == "cosine"


def test_a_micro_batch_that_fits_is_chosen(pictures: Path, tmp_path: Path) -> None:
    train(pictures, recipe(*QUICK, "training.micro_batch=null"), tmp_path / "run")
    chosen = load_recipe(tmp_path / "run" / "recipe.yaml").training
    assert chosen.micro_batch == 8  # a tiny net: the whole batch fits
    assert chosen.precision == "fp32"


def test_it_notes_the_machine_and_the_data(trained_run: Path, pictures: Path) -> None:
    environment = strict_json((trained_run / "environment.json").read_text("utf-8"))
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {"processor", "cores", "amx", "accelerator", "precision", "command"} <= set(environment)
    data = strict_json((trained_run / "data.json").read_text("utf-8"))
    assert data["data"] == str(pictures)
    assert data["classes"] == ["blue", "green", "red"]
    assert data["counts"] == {"train": 24, "val": 12, "test": 12}
    assert (data["drawn"], data["unreadable"]) == (None, [])


def test_the_mean_colour_is_that_of_all_training_pictures(
    trained_run: Path, pictures: Path
) -> None:
    means = [
        np.asarray(Image.open(path), np.float64).mean((0, 1))
        for path in (pictures / "train").rglob("*.png")
    ]
    config = strict_json((trained_run / "model" / "config.json").read_text("utf-8"))
    assert config["preprocessing"]["mean"] == pytest.approx(np.mean(means, axis=0), abs=1e-3)
    assert config["preprocessing"]["divisor"] == 64


def test_the_metrics_hold_what_others_rely_on(trained_run: Path) -> None:
    found = metrics(trained_run)
    assert set(found) >= {
        *("top1_error", "top5_error", "loss", "images", "unreadable", "protocol", "scales"),
        *("seconds", "epochs", "drops", "stopped_because"),
    }
    assert found["stopped_because"] == "the ceiling of 20 epochs"
    assert (found["epochs"], found["drops"], found["images"]) == (20, 0, 12)
    assert (found["protocol"], found["scales"]) == ("dense", [36])
    assert [test["protocol"] for test in found["tests"]] == ["center", "dense"]
    assert {key: found[key] for key in found["tests"][1]} == found["tests"][1]
    assert found["training_seconds"] == pytest.approx(
        sum(row["seconds"] for row in log(trained_run))
    )


@pytest.mark.parametrize("protocol", ["center", "dense"])
def test_the_metrics_are_those_of_a_test_by_itself(protocol: str, trained_run: Path) -> None:
    again = verydeep.evaluate(
        trained_run, protocol=protocol, compute=Compute(device="cpu", precision="fp32")
    ).to_dict()
    (noted,) = [test for test in metrics(trained_run)["tests"] if test["protocol"] == protocol]
    del again["seconds"], noted["seconds"]
    assert again == noted


@pytest.mark.parametrize(
    ("schedule", "keep", "last", "selected_on"),
    [
        ("plateau", "auto", False, "val"),
        ("plateau", "last", True, "val"),  # its drops and its end come from val
        ("cosine", "auto", True, None),
        ("one-cycle", "auto", True, None),
        ("one-cycle", "best", False, "val"),
    ],
)
def test_the_model_is_that_of_the_epoch_that_the_rule_names(
    schedule: str, keep: str, last: bool, selected_on: str | None, tmp_path: Path
) -> None:
    data = write_splits(tmp_path / "data", train=4, val=4, test=0)
    settings = (
        *("training.epochs=6", "training.precision=fp32", "plateau.patience=9"),
        *(f"training.schedule={schedule}", f"training.keep={keep}"),
    )
    found = train(data, recipe(*settings), tmp_path / "run")
    rows = log(tmp_path / "run")
    best = min(rows, key=lambda row: row["val_loss"])
    kept = rows[-1] if last else best
    assert (found["best_epoch"], found["kept_epoch"]) == (best["epoch"], kept["epoch"])
    assert found["selected_on"] == selected_on
    assert load_recipe(tmp_path / "run" / "recipe.yaml").training.keep == (
        "last" if last else "best"
    )
    again = verydeep.evaluate(
        tmp_path / "run",
        protocol=TestProtocol("center", flip=False),
        split="val",
        compute=Compute(device="cpu", precision="fp32"),
    )
    assert again.loss == pytest.approx(kept["val_loss"], rel=1e-5)
    assert again.top1_error == pytest.approx(kept["val_top1_error"])
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert ("optimistic" in page) == (selected_on == "val")


def test_the_model_knows_what_was_measured(trained_run: Path) -> None:
    measured = verydeep.load(trained_run).measured
    assert measured is not None
    assert {key: metrics(trained_run)[key] for key in measured} == measured


def test_a_run_without_a_test_split_says_what_it_tested_on(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=2, val=2, test=0)
    found = train(data, recipe(*QUICK), tmp_path / "run")
    assert (found["split"], found["selected_on"], found["images"]) == ("val", "val", 6)
    assert "optimistic" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_single_folder_of_classes_is_split_and_the_split_noted(tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 10)
    found = train(data, recipe(*QUICK), tmp_path / "run")
    assert (found["split"], found["images"]) == ("test", 3)
    noted = strict_json((tmp_path / "run" / "data.json").read_text("utf-8"))
    names = {split: noted["drawn"][split] for split in ("train", "val", "test")}
    listed = [name for classes in names.values() for files in classes.values() for name in files]
    assert sorted(listed) == sorted(str(path.relative_to(data)) for path in data.rglob("*.png"))
    # Images that come later are in no split of this run.
    write_class_folders(tmp_path / "more", 3, seed=9)
    for name in COLOURS:
        for path in (tmp_path / "more" / name).iterdir():
            shutil.copy(path, data / name / f"later-{path.name}")
    assert verydeep.evaluate(tmp_path / "run", compute=Compute(precision="fp32")).images == 3


def test_a_split_data_set_counts_each_picture_once(tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 10)
    train(data, recipe(*QUICK), tmp_path / "run")
    noted = strict_json((tmp_path / "run" / "data.json").read_text("utf-8"))
    assert noted["counts"] == {"train": 24, "val": 3, "test": 3}


def test_the_recipe_may_be_a_file(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe(*QUICK, "net.name=A-LRN").to_yaml())
    train(pictures, file, str(tmp_path / "run"))
    assert verydeep.load(tmp_path / "run").net.name == "A-LRN"
    with pytest.raises(RecipeError):
        train(pictures, "papr", tmp_path / "other")
