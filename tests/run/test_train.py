"""Whole runs on tiny folders: what a run leaves behind, what it refuses, what it repeats."""

from __future__ import annotations

import json
import math
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tiny import COLOURS, recipe, strict_json, write_class_folders, write_splits

import verydeep
from verydeep import train
from verydeep.errors import (
    DataError,
    InputError,
    Interrupted,
    ModelError,
    RecipeError,
    VeryDeepError,
)
from verydeep.evaluation.protocol import TestProtocol
from verydeep.recipe.recipe import known_keys, load_recipe
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

QUICK = ("training.epochs=1", "training.precision=fp32")


class Said(Progress):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        with super().task(title, total) as silent:
            yield silent


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def metrics(run: Path) -> Any:
    return strict_json((run / "metrics.json").read_text("utf-8"))


def log(run: Path) -> list[dict[str, Any]]:
    return [strict_json(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


# ---- what a run leaves behind ----


def test_a_run_is_complete(trained_run: Path) -> None:
    found = {str(path.relative_to(trained_run)) for path in trained_run.rglob("*")}
    assert found == {
        *("recipe.yaml", "environment.json", "data.json", "log.jsonl", "metrics.json"),
        *("pictures.npz", "answers.jsonl", "report.html", "checkpoints", "checkpoints/last.pt"),
        *("model", "model/config.json", "model/model.safetensors", "model/README.md"),
    }


def test_its_recipe_has_every_setting_and_the_machines_choices(trained_run: Path) -> None:
    tree = yaml.safe_load((trained_run / "recipe.yaml").read_text("utf-8"))
    assert tree.pop("localization") is None  # it is a classifier
    written = {
        f"{section}.{key}": value for section, keys in tree.items() for key, value in keys.items()
    }
    assert set(written) == {key for key in known_keys() if not key.startswith("localization.")}
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


# ---- the same again ----


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    pictures: Path, tmp_path: Path
) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        torch.manual_seed(len(name) + seed)  # what others draw must not matter
        torch.rand(len(str(tmp_path)) + ord(name))
        train(pictures, recipe(*QUICK, f"training.seed={seed}"), tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c
    assert [row["train_loss"] for row in log(tmp_path / "a")] == [
        row["train_loss"] for row in log(tmp_path / "b")
    ]


@pytest.mark.parametrize(
    ("switch", "random"),
    [
        ("net.dropout=0", False),
        ("data.crop=random", True),
        ("data.flip=true", True),
        ("data.colour_shift=0.1", True),
        ("data.train_scale=[32, 48]", True),
    ],
)
def test_the_seed_is_that_of_the_augmentation_which_can_be_switched_off(
    switch: str, random: bool, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    """All runs begin with the same net and show it all images in one update."""
    settings = (
        *("net.norm=batch", "net.dropout=0", "training.batch=24", "training.micro_batch=24"),
        *("data.train_scale=40", "data.crop=center", "data.flip=false", "data.colour_shift=null"),
        *(f"initialize.source={trained_run}", "initialize.layers=all", switch),
    )
    losses = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        train(pictures, recipe(*QUICK, *settings, f"training.seed={seed}"), out)
        losses.append(log(out)[0]["train_loss"])
    assert (losses[0] != pytest.approx(losses[1], rel=1e-5)) == random


def test_training_leaves_the_callers_random_numbers_alone(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(pictures, recipe(*QUICK), tmp_path / "run")
    assert torch.equal(torch.rand(3), wanted)


def test_workers_do_not_change_a_run_and_caches_only_round(pictures: Path, tmp_path: Path) -> None:
    names = ("data.workers=0", "data.workers=2", "data.cache=ram", "data.cache=device")
    for name in names:
        train(pictures, recipe(*QUICK, name), tmp_path / name)
    files, workers, ram, device = (tmp_path / name for name in names)
    assert weights(files) == weights(workers)
    losses = [log(run)[0]["train_loss"] for run in (files, ram, device)]
    assert losses == pytest.approx([losses[0]] * 3, abs=0.01)


def test_large_jpegs_are_decoded_at_a_reduced_size_if_wanted(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    for number, photograph in enumerate(photographs * 2):
        for split in ("train", "val"):
            folder = tmp_path / "data" / split / f"{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            photograph.rotate(90 * (number // 2)).save(folder / f"{number}.jpg")
    found = []
    for wanted in ("true", "false", "false"):
        out = tmp_path / f"{len(found)}"
        train(tmp_path / "data", recipe(*QUICK, f"data.reduced_decoding={wanted}"), out)
        found.append(weights(out))
    assert found[1] == found[2]
    assert found[0] != found[1]


# ---- refusals ----


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
    before, said = weights(trained_run), Said()
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


class Signalling(Progress):
    """Sends a signal to this process when a piece of work begins."""

    def __init__(self, title: str, number: signal.Signals) -> None:
        self.title, self.number = title, number

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        if title == self.title:
            signal.raise_signal(self.number)
        with super().task(title, total) as silent:
            yield silent


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


# ---- broken images ----


def test_more_than_one_percent_of_broken_pictures_stop_a_training(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=34, val=1, test=0)
    for name in ("00", "33"):
        (data / "train" / "green" / f"{name}.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="2 of 102 training images cannot be read") as error:
        train(data, recipe(*QUICK), tmp_path / "run")
    for part in ("green/00.png", "green/33.png", "1.0%", "data.unreadable_limit"):
        assert part in str(error.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
    train(data, recipe(*QUICK, "data.unreadable_limit=0.02"), tmp_path / "run")


@pytest.mark.parametrize("cache", ["none", "device"])
def test_one_broken_picture_of_two_hundred_is_listed_and_left_out(
    cache: str, tmp_path: Path
) -> None:
    data = write_splits(tmp_path / "data", train=67, val=1, test=0)
    broken = data / "train" / "red" / "05.png"
    broken.write_bytes(broken.read_bytes()[:50])
    said = Said()
    settings = (*QUICK, f"data.cache={cache}", "training.batch=50", "training.micro_batch=50")
    train(data, recipe(*settings), tmp_path / "run", progress=said)
    (noted,) = strict_json((tmp_path / "run" / "data.json").read_text("utf-8"))["unreadable"]
    assert str(broken) in noted
    assert any("1 image cannot be read" in line for line in said.lines)
    assert any(str(broken) in line for line in said.lines)
    # 200 images remain, and each is a 200th of the training error.
    error = log(tmp_path / "run")[0]["train_top1_error"]
    assert error * 2 == pytest.approx(round(error * 2), abs=1e-9)
    assert metrics(tmp_path / "run")["unreadable_in_training"] == []
    assert "05.png" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_broken_validation_picture_is_listed_and_not_counted(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=3, test=0)
    (data / "val" / "blue" / "01.png").write_bytes(b"")
    found = train(data, recipe(*QUICK), tmp_path / "run")
    assert found["unreadable"] == ["val/blue/01.png"]
    assert found["images"] == 8
    assert log(tmp_path / "run")[0]["val_top1_error"] * 8 % 100 == pytest.approx(0, abs=1e-9)


def test_a_broken_validation_picture_is_told_of_besides_a_test_split(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=3, test=2)
    (data / "val" / "blue" / "01.png").write_bytes(b"")
    said = Said()
    found = train(data, recipe(*QUICK), tmp_path / "run", progress=said)
    assert "val/blue/01.png" in json.dumps(found.to_dict()) + "\n".join(said.lines)


def test_a_validation_set_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=1, test=2)
    for path in (data / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError):
        train(data, recipe(*QUICK), tmp_path / "run")


class Vandal(Progress):
    """Breaks a training image when the first epoch begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        if title == "epoch 1":
            self.path.write_bytes(b"")
        with super().task(title, total) as silent:
            yield silent


@pytest.fixture
def vandalized(tmp_path: Path) -> dict[str, Any]:
    """The metrics of a run during which an image broke."""
    data = write_splits(tmp_path / "data", train=8, val=1, test=0)
    vandal = Vandal(data / "train" / "green" / "03.png")
    settings = (*QUICK, "training.epochs=2", "data.unreadable_limit=0.1")
    train(data, recipe(*settings), tmp_path / "run", progress=vandal)
    return dict(metrics(tmp_path / "run"))


def test_a_picture_that_breaks_during_a_training_is_listed(vandalized: dict[str, Any]) -> None:
    listed = vandalized["unreadable_in_training"]
    assert listed
    assert all("train/green/03.png" in name for name in listed)


def test_a_picture_that_breaks_during_a_training_is_listed_once(vandalized: dict[str, Any]) -> None:
    assert len(vandalized["unreadable_in_training"]) == 1


def test_too_many_pictures_that_break_during_a_training_stop_it(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=4, val=1, test=0)
    vandal = Vandal(data / "train" / "green" / "03.png")  # of twelve
    with pytest.raises(VeryDeepError, match=r"03\.png"):
        train(data, recipe(*QUICK), tmp_path / "run", progress=vandal)


# ---- a start from another model ----


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def start(data: Path, out: Path, *settings: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Train so slowly that the weights stay where they began."""
    said = Said()
    train(data, recipe(*QUICK, "training.learning_rate=1e-20", *settings), out, progress=said)
    return tensors(out), [line.strip() for line in said.lines]


def test_a_net_begins_with_the_layers_of_a_shallower_one(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = ("net.name=B", "net.norm=batch", f"initialize.source={trained_run}")
    begun, said = start(pictures, tmp_path / "b", *settings)
    plain, _ = start(pictures, tmp_path / "plain", *settings[:2])
    given = tensors(trained_run)
    copied = ["conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"]
    for name, tensor in begun.items():
        if not name.endswith("weight") or "norm" in name:
            continue
        layer = name.split(".")[1]
        if layer in copied:
            assert torch.equal(tensor, given[name]), layer
            assert f"{layer}: copied" in said
        else:
            assert torch.equal(tensor, plain[name]), layer
            assert any(line.startswith(f"{layer}: new (") for line in said)


def test_with_other_classes_the_last_layer_is_new(trained_run: Path, tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=2, val=1, test=0)
    for split in ("train", "val"):
        (data / split / "red").rename(data / split / "vermilion")
    begun, said = start(
        data, tmp_path / "run", "net.norm=batch", f"initialize.source={trained_run}"
    )
    given = tensors(trained_run)
    assert begun["classifier.fc8.weight"].shape == given["classifier.fc8.weight"].shape
    assert not torch.equal(begun["classifier.fc8.weight"], given["classifier.fc8.weight"])
    assert torch.equal(begun["classifier.fc7.weight"], given["classifier.fc7.weight"])
    assert "fc8: new (the classes differ)" in said


def test_all_layers_can_be_copied(trained_run: Path, pictures: Path, tmp_path: Path) -> None:
    begun, _ = start(
        pictures,
        tmp_path / "run",
        "net.norm=batch",
        "initialize.layers=all",
        f"initialize.source={trained_run}",
    )
    given = tensors(trained_run)
    for name, tensor in begun.items():
        if "norm" not in name:  # statistics are measured anew
            assert torch.equal(tensor, given[name]), name


def test_a_source_that_fits_nowhere_or_is_none_is_refused(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "net.norm=batch", "net.width=0.0625")
    other = recipe(*settings, f"initialize.source={trained_run}")
    with pytest.raises(ModelError, match="no layer of it fits") as error:
        train(pictures, other, tmp_path / "run")
    assert "conv1_1: new (shape" in str(error.value)
    with pytest.raises(ModelError, match="no such folder"):
        train(pictures, recipe(*QUICK, "initialize.source=nowhere"), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize("scheme", ["he", "glorot"])
def test_a_new_net_begins_at_the_loss_of_a_guess(
    scheme: str, pictures: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "training.learning_rate=1e-20", f"initialize.scheme={scheme}")
    train(pictures, recipe(*settings), tmp_path / "run")
    assert log(tmp_path / "run")[0]["train_loss"] == pytest.approx(math.log(3), rel=0.1)
