"""Recipe auto in a whole run: chosen from the data, said, written, kept by a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image
from progresses import Listening
from tiny import write_class_folders, write_splits
from whole_runs import log, metrics, weights

import verydeep
from verydeep import train
from verydeep.data.read import DataSource, read_dataset
from verydeep.errors import RecipeError
from verydeep.recipe.recipe import load_recipe
from verydeep.run.training.auto import choose_recipe, facts_of
from verydeep.run.training.resume_settings import ignored
from verydeep.system.device import choose_machine

TINY = (
    *("net.width=0.125", "net.hidden=16", "net.input_size=32", "training.epochs=2"),
    *("training.device=cpu", "training.precision=fp32"),
)


def test_a_recipe_is_chosen_said_and_written(tmp_path: Path) -> None:
    data, run, said = write_class_folders(tmp_path / "data", 10), tmp_path / "run", Listening()
    found = train(data, out=run, settings=TINY, progress=said)
    recipe = load_recipe(run / "recipe.yaml")
    assert (recipe.net.width, recipe.net.input_size, recipe.training.epochs) == (0.125, 32, 2)
    assert (recipe.net.name, recipe.net.norm, recipe.training.schedule) == (
        *("A", "batch"),
        "one-cycle",
    )
    text = "\n".join(said.lines)
    for path in ("net.name=A", "training.batch=16", "data.validation_share=0.2"):
        assert path in text
    assert "net.width" not in text  # it was given
    first_epoch = next(n for n, line in enumerate(said.lines) if line.startswith("epoch 1:"))
    assert any("2 epochs of" in line for line in said.lines[:first_epoch])
    # A fifth of ten images of three classes, in one split; nothing was selected on it.
    assert (found["split"], found["images"], found["selected_on"]) == ("val", 6, None)
    again = train(data, out=tmp_path / "again", settings=TINY)
    assert again["top1_error"] == found["top1_error"]
    assert weights(tmp_path / "again") == weights(run)


def test_all_layers_of_a_net_of_torchvision_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # empty: the recipe needs no weights
    source = DataSource(write_class_folders(tmp_path / "data", 10))
    said = {"initialize": {"source": "torchvision/vgg13_bn"}, "net": {"hidden": 16}}
    machine = choose_machine("cpu", "fp32")
    recipe = choose_recipe(
        source, read_dataset(source.data, draw=False), said, machine, Listening()
    )
    assert (recipe.net.name, recipe.net.norm, recipe.net.input_size) == ("B", "batch", 224)
    assert (recipe.net.hidden, recipe.initialize.layers) == (16, "all")
    said["initialize"]["layers"] = "paper"
    recipe = choose_recipe(
        source, read_dataset(source.data, draw=False), said, machine, Listening()
    )
    assert recipe.initialize.layers == "paper"


def test_a_resumed_run_keeps_its_recipe_although_more_pictures_have_come(tmp_path: Path) -> None:
    data, run = write_class_folders(tmp_path / "data", 10), tmp_path / "run"
    train(data, out=run, settings=TINY)
    before = (run / "recipe.yaml").read_text()
    (run / "metrics.json").unlink()
    said = Listening()
    train(data, out=run, settings=TINY, resume=True, progress=said)
    assert (run / "recipe.yaml").read_text() == before
    assert not any(line.startswith(("recipe auto", "not taken")) for line in said.lines)
    assert len(log(run)) == metrics(run)["epochs"] == 2


def test_a_deeper_net_takes_the_shape_of_the_one_it_begins_with(tmp_path: Path) -> None:
    data, first, said = write_splits(tmp_path / "data"), tmp_path / "a", Listening()
    train(data, out=first, settings=TINY)
    settings = ("net.name=B", f"initialize.source={first}", "training.epochs=1", *TINY[4:])
    train(data, out=tmp_path / "b", settings=settings, progress=said)
    net = verydeep.load(tmp_path / "b").net
    assert (net.name, net.width, net.input_size) == ("B", 0.125, 32)
    assert "  conv1_1: copied" in said.lines


def test_a_wrong_setting_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.bacht"):
        train(tmp_path / "nowhere", out=tmp_path / "run", settings=["training.bacht=3"])
    assert not (tmp_path / "run").exists()


def test_facts_are_those_of_the_pictures(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "data", 6)
    (folder / "red" / "03.png").write_bytes(b"broken")
    cpu = choose_machine("cpu", "fp32")
    facts = facts_of(DataSource(folder), read_dataset(folder, draw=False), cpu)
    sizes = []
    for path in folder.rglob("*.png"):
        if path.stat().st_size > 9:
            with Image.open(path) as picture:
                sizes.append(picture.size)
    middle = sorted(min(size) for size in sizes)[len(sizes) // 2]
    assert (facts.pictures, facts.classes, facts.side) == (18, 3, middle)
    assert (facts.undivided, facts.streamed, facts.mirrored, facts.gpu) == (
        *(True, False, True),
        False,
    )
    splits = write_splits(tmp_path / "splits", train=5)
    divided = facts_of(DataSource(splits), read_dataset(splits, draw=False), cpu)
    assert (divided.pictures, divided.undivided) == (15, False)
    digits = facts_of(DataSource("digits"), read_dataset("digits", draw=False), cpu)
    assert not digits.mirrored


def test_few_updates_are_pointed_out_unless_layers_are_copied(tmp_path: Path) -> None:
    data, said = write_splits(tmp_path / "data"), Listening()
    train(data, "paper", tmp_path / "run", settings=(*TINY, "net.name=A"), progress=said)
    assert any("recipe='auto'" in line and "updates" in line for line in said.lines)


def test_what_a_resumed_run_does_not_take_is_compared_by_value() -> None:
    recipe = load_recipe("small")
    said = {"data": {"train_scale": [64, 96]}, "training": {"epochs": 9, "device": None}}
    assert not list(ignored(recipe, said))
    chain = recipe.replace(
        net__name="B", initialize__stages=["A"], initialize__source="runs/b/stages/A"
    )
    assert not list(ignored(chain, {"initialize": {"source": "runs/other"}}))
    assert list(ignored(recipe, {"initialize": {"source": "runs/other"}}))
    (line,) = ignored(recipe, {"data": {"train_scale": 64}})
    assert "data.train_scale" in line
    assert yaml.safe_load("[64, 96]") == recipe.model_dump(mode="json")["data"]["train_scale"]
