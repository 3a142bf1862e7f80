"""Whole runs of box regressors on tiny tables of images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from progresses import Listening, Signalling
from safetensors.torch import load_file
from tiny import recipe, strict_json, write_boxed, write_class_folders

import verydeep
from verydeep import train
from verydeep.errors import DataError, Interrupted, ModelError, RecipeError
from verydeep.localization.localizer import load_localizer
from verydeep.recipe.recipe import Recipe, load_recipe
from verydeep.system.settings import Compute

SETTINGS = (
    "data.flip=false",
    "training.batch=8",
    "training.micro_batch=4",
    "training.learning_rate=0.02",
    "training.epochs=1",
    "training.device=cpu",
    "training.precision=fp32",
)


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boxed(tmp_path_factory.mktemp("boxed"))


def box_recipe(classifier: Path | None, *settings: str) -> Recipe:
    source = [f"initialize.source={classifier}"] if classifier else []
    return load_recipe("localization", [*SETTINGS, *source, *settings])


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def log(run: Path) -> list[dict[str, Any]]:
    return [strict_json(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


# ---- what a run leaves behind ----


@pytest.mark.parametrize(("per_class", "outputs"), [(True, 12), (False, 4)], ids=["PCR", "SCR"])
def test_a_run_is_complete(
    per_class: bool, outputs: int, trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    chosen = box_recipe(trained_run, f"localization.per_class={str(per_class).lower()}")
    metrics = train(boxed, chosen, tmp_path / "run")
    assert metrics == strict_json((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert set(metrics) >= {
        *("localization_error", "mean_iou", "images", "unreadable", "protocol", "scales"),
        *("seconds", "epochs", "drops", "stopped_because", "best_epoch", "tests"),
    }
    assert (metrics["images"], metrics["protocol"]) == (12, "center")
    assert 0 <= metrics["mean_iou"] <= 1
    (row,) = log(tmp_path / "run")
    assert set(row) >= {
        *("train_loss", "train_localization_error"),
        *("val_loss", "val_localization_error", "val_mean_iou"),
    }
    model = load_localizer(tmp_path / "run", compute=Compute(device="cpu", precision="fp32"))
    assert (model.per_class, model.classes) == (per_class, ("blue", "green", "red"))
    assert model.net.num_classes == outputs == len(tensors(tmp_path / "run")["classifier.fc8.bias"])
    assert model.outputs(torch.zeros(2, 3, 32, 64).byte()).shape == (2, outputs // 4, 4, 1, 2)
    report = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "localization error" in report
    assert "top-1" not in report
    assert "localization error" in (tmp_path / "run" / "model" / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_a_box_regressor_learns_where_squares_are(trained_run: Path, tmp_path: Path) -> None:
    data = write_boxed(tmp_path / "data", 96)
    settings = (
        *("training.epochs=25", "training.schedule=one-cycle", "training.learning_rate=0.1"),
        *("training.micro_batch=8", "net.dropout=0", "data.cache=device"),
    )
    metrics = train(data, box_recipe(trained_run, *settings), tmp_path / "run")
    first, *_, last = log(tmp_path / "run")
    assert metrics["mean_iou"] > max(0.35, 2 * first["val_mean_iou"])
    assert last["train_loss"] < 0.2 * first["train_loss"]


def test_the_watched_figure_chooses_the_model(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    for monitor, name in (("loss", "val_loss"), ("accuracy", "val_localization_error")):
        out = tmp_path / monitor
        chosen = box_recipe(trained_run, "training.epochs=4", f"plateau.monitor={monitor}")
        metrics = train(boxed, chosen, out)
        rows = log(out)
        assert rows[metrics["best_epoch"] - 1][name] == min(row[name] for row in rows)


# ---- what comes from the classifier ----


def test_all_but_the_last_layer_and_the_colours_come_from_the_classifier(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    said = Listening()
    chosen = box_recipe(trained_run, "training.learning_rate=1e-20")
    train(boxed, chosen, tmp_path / "run", progress=said)
    begun, given = tensors(tmp_path / "run"), tensors(trained_run)
    for name, tensor in begun.items():
        if "fc8" in name:
            assert tensor.shape != given[name].shape
        elif "norm" not in name:  # statistics are measured anew
            assert torch.equal(tensor, given[name]), name
    assert "  fc8: new (it tells boxes)" in said.lines
    ours = load_localizer(tmp_path / "run", compute=Compute(device="cpu"))
    theirs = verydeep.load(trained_run, compute=Compute(device="cpu"))
    assert ours.preprocessing == theirs.preprocessing
    assert ours.train_scale == theirs.train_scale == (32, 40)
    assert (ours.net.width, ours.net.hidden, ours.net.batch_norm) == (0.125, 64, True)


def test_four_classes_do_not_lend_their_scores_to_one_box(tmp_path: Path) -> None:
    """With K = 4 the last layers of classifier and SCR net have one shape."""
    names = {"a": None, "b": None, "c": None, "d": None}
    table = write_boxed(tmp_path / "data")
    lines = table.read_text("utf-8").splitlines()
    for number, line in enumerate(lines[1:], 1):
        file, _, rest = line.split(",", 2)
        lines[number] = f"{file},{[*names][number % 4]},{rest}"
    table.write_text("\n".join(lines), "utf-8")
    train(table, recipe("training.epochs=1"), tmp_path / "classes")
    slow = ("training.learning_rate=1e-20", "localization.per_class=false")
    train(table, box_recipe(tmp_path / "classes", *slow), tmp_path / "boxes")
    scores, boxes = (
        tensors(tmp_path / run)["classifier.fc8.weight"] for run in ("classes", "boxes")
    )
    assert scores.shape == boxes.shape
    assert not torch.equal(scores, boxes)


def test_with_fc_the_convolutions_stay_as_they_are(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    given = tensors(trained_run)
    for fine_tune in ("fc", "all"):
        out = tmp_path / fine_tune
        train(boxed, box_recipe(trained_run, f"localization.fine_tune={fine_tune}"), out)
        learned = tensors(out)
        for name, tensor in learned.items():
            if name.endswith("num_batches_tracked"):
                continue
            kept = torch.equal(tensor, given[name]) if "fc8" not in name else False
            assert kept == (fine_tune == "fc" and name.startswith("features")), name


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("net.width=0.25", "net.width: must be 0.125"),
        ("net.name=B", "net.name: must be 'A'"),
        ("net.input_size=64", "net.input_size: must be 32"),
        ("net.norm=null", "net.norm: must be 'batch'"),
        ("data.divisor=1", "data.divisor: must be 64"),
    ],
)
def test_another_net_than_the_classifiers_is_refused(
    setting: str, found: str, trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=found) as error:
        train(boxed, box_recipe(trained_run, setting, "data.train_scale=64"), tmp_path / "run")
    assert str(trained_run) in str(error.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_what_need_not_agree_may_differ(trained_run: Path, boxed: Path, tmp_path: Path) -> None:
    settings = ("net.dropout=0", "data.train_scale=36", "test.scales=[32]", "net.width=0.125")
    train(boxed, box_recipe(trained_run, *settings), tmp_path / "run")
    kept = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert (kept.net.dropout, kept.data.train_scale, kept.test_scales) == (0, (36, 36), (32,))


def test_a_scale_below_the_classifiers_crop_is_refused(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    """What the recipe alone allows, the classifier's input size of 32 may not."""
    chosen = box_recipe(trained_run, "test.scales=[33]")
    assert chosen.test_scales == (33,)
    with pytest.raises(RecipeError, match=r"test\.scales: must be at least 224"):
        box_recipe(None, "test.scales=[33]")


def test_a_box_regressor_is_no_classifier_and_the_reverse(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    train(boxed, box_recipe(trained_run), tmp_path / "boxes")
    assert isinstance(verydeep.load(tmp_path / "boxes"), verydeep.Localizer)
    with pytest.raises(ModelError, match=r"a box regressor .* where a classifier is needed"):
        verydeep.load(tmp_path / "boxes", task="classification")
    with pytest.raises(ModelError, match=r"a classifier .* where a box regressor is needed"):
        load_localizer(trained_run)
    with pytest.raises(ModelError, match="begins with a classifier"):
        train(boxed, box_recipe(tmp_path / "boxes"), tmp_path / "again")


def test_a_box_regressor_can_begin_from_nothing(boxed: Path, tmp_path: Path) -> None:
    chosen = recipe("localization.loss=smooth-l1", "training.epochs=1")
    assert train(boxed, chosen, tmp_path / "run")["images"] == 12


# ---- images without a box ----


def test_pictures_without_a_box_are_left_out_and_counted(trained_run: Path, tmp_path: Path) -> None:
    said = Listening()
    data = write_boxed(tmp_path / "data", 24, without_box=5)
    for cache in ("none", "device"):
        out = tmp_path / cache
        train(data, box_recipe(trained_run, f"data.cache={cache}"), out, progress=said)
        # 19 images remain: each is a nineteenth of the training error.
        error = log(out)[0]["train_localization_error"] * 0.19
        assert error == pytest.approx(round(error), abs=1e-9)
    left_out = [line for line in said.lines if "have no box and are left out" in line]
    assert left_out == ["5 of 24 training images have no box and are left out"] * 2


def test_a_test_split_without_boxes_leaves_val_to_test_on(
    trained_run: Path, tmp_path: Path
) -> None:
    data = write_boxed(tmp_path / "data", 8)
    known = data.read_text("utf-8")
    data.write_text(re.sub(",test,.*", ",test,,,,", known), "utf-8")
    said = Listening()
    metrics = train(data, box_recipe(trained_run), tmp_path / "run", progress=said)
    assert (metrics["split"], metrics["images"], metrics["without_box"]) == ("val", 4, 0)
    assert metrics["localization_error"] == log(tmp_path / "run")[0]["val_localization_error"]
    assert "no image of test has a box: tested on val" in said.lines
    with pytest.raises(DataError, match=r"none of the 4 images to test on has a box: .*split="):
        verydeep.evaluate_localization(tmp_path / "run", compute="cpu")
    found = verydeep.evaluate_localization(tmp_path / "run", split="val", compute="cpu")
    assert found.localization_error == metrics["localization_error"]


def test_data_without_boxes_are_refused(trained_run: Path, tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 6)
    with pytest.raises(DataError, match="no image of split 'train' has a box"):
        train(data, box_recipe(trained_run), tmp_path / "run")


# ---- interrupted ----


@pytest.fixture(scope="module", params=["localization.fine_tune=fc", "data.cache=device"])
def whole(
    request: pytest.FixtureRequest,
    trained_run: Path,
    boxed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Recipe, Path]:
    """A recipe, and a run by it that nothing interrupted; not to be changed."""
    chosen = box_recipe(trained_run, "training.epochs=2", request.param)
    run = tmp_path_factory.mktemp("whole") / "run"
    train(boxed, chosen, run)
    return chosen, run


@pytest.mark.parametrize("title", ["epoch 2", "testing val", "finding objects test"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    title: str, whole: tuple[Recipe, Path], boxed: Path, tmp_path: Path
) -> None:
    chosen, uninterrupted = whole
    with pytest.raises(Interrupted, match="resume=True"):
        train(boxed, chosen, tmp_path / "run", progress=Signalling(title))
    train(boxed, chosen, tmp_path / "run", resume=True)
    ours, theirs = tensors(tmp_path / "run"), tensors(uninterrupted)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    model, other = (
        load_localizer(run, compute=Compute(device="cpu"))
        for run in (tmp_path / "run", uninterrupted)
    )
    assert model.preprocessing == other.preprocessing


def test_a_run_goes_on_without_its_classifier(
    trained_run: Path, boxed: Path, tmp_path: Path
) -> None:
    """All that came from it stands in the run."""
    classifier = tmp_path / "classifier"
    verydeep.load(trained_run, compute=Compute(device="cpu")).save(classifier)
    chosen = box_recipe(classifier, "training.epochs=2")
    with pytest.raises(Interrupted):
        train(boxed, chosen, tmp_path / "run", progress=Signalling("epoch 2"))
    classifier.rename(tmp_path / "elsewhere")
    assert train(boxed, chosen, tmp_path / "run", resume=True)["epochs"] == 2
