"""A multi-label run as a whole: training, tests, predictions, export, page, refusals."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from multi_label import SETS
from numpy.typing import NDArray
from PIL import Image
from sklearn import metrics as sk
from tiny import COLOURS, Outcome, flags, recipe, strict_json

import verydeep as package
from verydeep.checks.check import check
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, InputError, ModelError, RecipeError
from verydeep.evaluation.label_metrics import average_precisions
from verydeep.evaluation.multi_label import MultiLabelResult, truth_of
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.thresholds import fit_thresholds
from verydeep.models.classifier import Classifier
from verydeep.recipe.auto import DataFacts, auto_recipe
from verydeep.run.sort_pictures import sort_pictures
from verydeep.run.testing.calibrate import calibrate
from verydeep.system.settings import Compute
from verydeep.training.run_list import summarize

EXACT = Compute("cpu", "fp32")
NAMES = sorted(COLOURS)


@pytest.fixture(scope="module")
def model(multi_label_run: Path) -> Classifier:
    return package.load(multi_label_run, EXACT)


def measured(given: Any, protocol: TestProtocol | str = "dense", **how: Any) -> MultiLabelResult:
    result = package.evaluate(given, protocol=protocol, compute=EXACT, progress=False, **how)
    assert isinstance(result, MultiLabelResult)
    return result


def truth(count: int) -> NDArray[np.bool_]:
    """The labels of the first images of a split, by the rule that they were drawn by."""
    return np.array([[name in SETS[n % len(SETS)] for name in NAMES] for n in range(count)])


def test_the_run_records_its_task_and_measures(multi_label_run: Path) -> None:
    metrics = json.loads((multi_label_run / "metrics.json").read_text())
    assert "top1_error" not in metrics
    assert metrics["mean_average_precision"] > 75  # at random about 60
    assert metrics["thresholds_fitted_on"] == "val"
    assert metrics["unlabelled"] == 2
    assert [test["protocol"] for test in metrics["tests"]] == ["center", "dense"]
    config = json.loads((multi_label_run / "model" / "config.json").read_text())
    assert config["task"] == "multi-label"
    assert len(config["thresholds"]["values"]) == 3
    assert json.loads((multi_label_run / "data.json").read_text())["task"] == "multi-label"
    assert "task: multi-label" in (multi_label_run / "recipe.yaml").read_text()
    log = [json.loads(line) for line in (multi_label_run / "log.jsonl").read_text().splitlines()]
    assert log[-1]["val_loss"] < log[0]["val_loss"]
    assert {"val_mean_average_precision", "val_map_error", "train_subset_error"} <= log[0].keys()
    card = (multi_label_run / "model" / "README.md").read_text()
    assert "| mean average precision | " in card
    assert "may have several of them, or none" in card
    summary = summarize(multi_label_run)
    assert summary.measure == "mAP"
    assert summary.error == pytest.approx(100 - metrics["mean_average_precision"])


def test_a_test_is_the_mean_of_sigmoids(model: Classifier, stripes: Path) -> None:
    how = TestProtocol("dense", scales=(36, 40), flip=True)
    result = measured(model, how, data=stripes)
    assert (result.answers.truth == truth(16)).all()
    samples = read_dataset(stripes).split("test")
    for place in (0, 5):
        image = Image.open(str(samples[place].path))
        views = []
        for side in (36, 40):
            small = image.resize((side, side), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None]
            both = (pixels, pixels.flip(3))
            views += [model.score_map(view).mean((2, 3)).sigmoid()[0] for view in both]
        expected = torch.stack(views).mean(0).numpy()
        np.testing.assert_allclose(result.answers.posteriors[place], expected, atol=2e-3)


def test_measures_are_those_of_sklearn(model: Classifier, stripes: Path) -> None:
    result = measured(model, data=stripes)
    true, likely = result.answers.truth, result.answers.posteriors
    assert model.thresholds is not None
    predicted = likely >= np.array(model.thresholds.values)
    for name, expected in {
        "mean_average_precision": sk.average_precision_score(true, likely),
        "micro_average_precision": sk.average_precision_score(true, likely, average="micro"),
        "micro_f1": sk.f1_score(true, predicted, average="micro"),
        "macro_f1": sk.f1_score(true, predicted, average="macro"),
        "micro_precision": sk.precision_score(true, predicted, average="micro"),
        "micro_recall": sk.recall_score(true, predicted, average="micro"),
        "subset_accuracy": sk.accuracy_score(true, predicted),
        "hamming_loss": sk.hamming_loss(true, predicted),
    }.items():
        assert getattr(result, name) == pytest.approx(100 * expected), name
    low, high = result.mean_average_precision_interval
    assert low <= result.mean_average_precision <= high
    by_class = dict(zip(NAMES, 100 * average_precisions(likely, true), strict=True))
    assert result.average_precision == pytest.approx(by_class)
    assert "sigmoid" in " ".join(result.steps)
    assert "softmax" not in " ".join(result.steps)


def test_thresholds_were_fitted_on_val(model: Classifier, stripes: Path) -> None:
    result = measured(model, TestProtocol("dense", (38,)), data=stripes, split="val")
    fitted = fit_thresholds(
        result.answers.posteriors, result.answers.truth, split="val", protocol=""
    )
    assert model.thresholds is not None
    assert model.thresholds.values == pytest.approx(fitted.values, abs=1e-3)


@pytest.mark.parametrize("protocol", ["center", "dense", "crops", "both", "ten-crop", "googlenet"])
def test_every_protocol_tests_every_image(model: Classifier, stripes: Path, protocol: str) -> None:
    result = measured(model, protocol, data=stripes, split="val")
    assert (result.images, result.protocol) == (16, protocol)
    assert result.answers.posteriors.min() > 0
    assert result.answers.posteriors.max() < 1


def test_all_protocols_and_fusion(
    multi_label_run: Path, verydeep: Callable[..., Outcome], tmp_path: Path
) -> None:
    run = (multi_label_run, "--precision", "fp32", "--device", "cpu")
    out = verydeep("evaluate", *run, "--protocol", "all", "--json", "--out", tmp_path / "t")
    table = strict_json(out.out)
    assert {one["protocol"] for one in table["tests"]} >= {"dense", "crops", "both", "ten-crop"}
    assert (tmp_path / "t" / "a" / "classes.csv").is_file()
    text = verydeep("evaluate", *run, "--protocol", "all").out
    assert "mAP" in text
    assert "one scale, dense (Table 3)" in text
    twice = strict_json(verydeep("evaluate", multi_label_run, *run, "--json").out)
    once = strict_json(verydeep("evaluate", *run, "--json").out)
    assert twice["mean_average_precision"] == pytest.approx(once["mean_average_precision"])
    assert twice["models"] == ["A", "A"]


def test_files_and_page_of_a_test(
    multi_label_run: Path, verydeep: Callable[..., Outcome], tmp_path: Path
) -> None:
    said = verydeep("evaluate", multi_label_run, "--out", tmp_path, "--precision", "fp32").out
    assert "mean average precision" in said
    with (tmp_path / "posteriors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [row["labels"].split("|") if row["labels"] else [] for row in rows]
    assert found == [[*SETS[n % len(SETS)]] for n in range(16)]
    with (tmp_path / "classes.csv").open(newline="") as file:
        classes = {row["class"]: row for row in csv.DictReader(file)}
    result = strict_json((tmp_path / "result.json").read_text())
    for name, precision in result["average_precision"].items():
        assert float(classes[name]["average_precision"]) == pytest.approx(precision, abs=1e-5)
    with (tmp_path / "precision_recall.csv").open(newline="") as file:
        curve = [row for row in csv.DictReader(file) if row["class"] == "blue"]
    assert float(curve[-1]["recall"]) == 1
    page = (tmp_path / "report.html").read_text()
    assert "Labels most clearly missed" in page
    assert "Precision over recall of" in page


def test_the_page_of_the_run(multi_label_run: Path) -> None:
    page = (multi_label_run / "report.html").read_text()
    for words in ("mean average precision (%)", "subset accuracy", "Precision and recall"):
        assert words in page
    assert "Calibration" not in page
    assert "data:image" in page


def test_predictions_name_the_classes_above_their_thresholds(
    model: Classifier, multi_label_run: Path, stripes: Path, verydeep: Callable[..., Outcome]
) -> None:
    limits = dataclasses.replace(model.thresholds, values=(0.0, 1.0, 0.0))  # type: ignore[type-var]
    sure = dataclasses.replace(model, thresholds=limits)
    image = stripes.parent / "test05.png"
    (found,) = sure.predict(image)
    assert set(found.labels or ()) == {"blue", "red"}
    assert len(found.ranking) == 3
    assert found.labels == tuple(n for n, _ in found.ranking if n != "green")
    (alone,) = dataclasses.replace(model, thresholds=None).predict(image, top=1)
    likely = dict(zip(NAMES, alone.probabilities.tolist(), strict=True))  # type: ignore[union-attr]
    assert set(alone.labels or ()) == {name for name in NAMES if likely[name] >= 0.5}
    (one,) = strict_json(verydeep("predict", multi_label_run, image, "--json").out)["predictions"]
    assert one.keys() == {"file", "classes", "labels", "abstained", "reason", "set"}
    assert one["abstained"] is None
    rows = list(csv.reader(verydeep("predict", multi_label_run, image, "--csv").out.splitlines()))
    assert rows[0][-1] == "labels"
    assert rows[1][-1] == "|".join(one["labels"])
    text = verydeep("predict", multi_label_run, image).out
    assert f"{image}: {', '.join(one['labels']) or 'none'}" in text


def test_a_broken_image_has_no_labels(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    (found,) = model.predict(tmp_path / "broken.png")
    assert (found.labels, found.ranking) == (None, ())


def test_saved_and_loaded_again(model: Classifier, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = package.load(tmp_path / "model", EXACT)
    assert (again.multi_label, again.thresholds) == (True, model.thresholds)
    assert package.load(tmp_path / "model", EXACT, task="multi-label").classes == model.classes
    with pytest.raises(ModelError, match=r"a multi-label classifier .*one class per image"):
        package.load(tmp_path / "model", EXACT, task="classification")


@pytest.mark.parametrize(
    ("name", "dense"),
    [("net.onnx", True), pytest.param("net.pt2", False, marks=pytest.mark.slow)],
)
def test_exported_files_have_sigmoids(
    model: Classifier, stripes: Path, tmp_path: Path, name: str, dense: bool
) -> None:
    pytest.importorskip("onnxruntime")
    image = stripes.parent / "test05.png"
    kind = {"net.onnx": "onnx", "net.pt2": "torch"}[name]
    package.export(model, tmp_path / name, to=kind, dense=dense, pictures=image)
    exported = package.load(tmp_path / name)
    assert exported.multi_label
    how = {"scales": 38, "flip": False}
    ours = dataclasses.replace(model)
    (theirs,) = exported.predict(image, **how)
    if dense:
        (mine,) = ours.predict(image, **how)
        assert theirs.labels == mine.labels
        np.testing.assert_allclose(theirs.probabilities, mine.probabilities, atol=1e-4)
    script = tmp_path / f"{name}.example.py"
    out = subprocess.run(
        [sys.executable, script, image], capture_output=True, text=True, check=True
    )
    shown = [line.split()[1] for line in out.stdout.splitlines()]
    assert shown == list(theirs.labels or ())


def test_a_page_for_browsers_knows_the_thresholds(model: Classifier) -> None:
    from verydeep.models.export.web.page import _facts, _lines

    assert model.thresholds is not None
    assert _facts(model)["thresholds"] == list(model.thresholds.values)
    assert "may have several of them or none" in " ".join(_lines(model, "float32"))
    single = dataclasses.replace(model, multi_label=False, thresholds=None)
    assert _facts(single)["thresholds"] is None


def test_explanations_are_of_one_class(model: Classifier, stripes: Path, tmp_path: Path) -> None:
    image = stripes.parent / "test05.png"
    package.explain(model, image, tmp_path / "page", label="red", only=["saliency"])
    content = (tmp_path / "page" / "explain.json").read_text()
    assert "before the sigmoid" in (tmp_path / "page" / "index.html").read_text()
    scale = model.test_scales[0]
    (found,) = dataclasses.replace(model).predict(image, scales=scale, flip=False)
    assert found.probabilities is not None
    (part,) = json.loads(content)["pictures"]
    shown = {one["class"]: one["probability"] for one in part["ranking"]}
    assert '"class": "red"' in content
    expected = dict(zip(NAMES, found.probabilities.tolist(), strict=True))
    assert shown == pytest.approx(expected, abs=1e-4)


def test_resumed_and_whole_runs_are_the_same(stripes: Path, tmp_path: Path) -> None:
    short = recipe("training.epochs=2", "training.keep=last", "data.balance=weights")
    whole = package.train(stripes, short, tmp_path / "whole", progress=False)
    one = recipe("training.epochs=1", "training.keep=last", "data.balance=weights")
    package.train(stripes, one, tmp_path / "parts", progress=False)
    again = package.train(stripes, one, tmp_path / "parts", resume=True, epochs=2, progress=False)
    for name in ("mean_average_precision", "loss", "thresholds"):
        assert again[name] == whole[name]


def test_splits_are_drawn_and_kept(stripes: Path, tmp_path: Path) -> None:
    rows = [line.rsplit(",", 1)[0] for line in stripes.read_text().splitlines()]
    folder = shutil.copytree(stripes.parent, tmp_path / "data")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    short = recipe("training.epochs=1", "data.validation_share=0.2", "data.test_share=0.2")
    run = package.train(folder / "labels.csv", short, tmp_path / "run", progress=False).run
    result = measured(run)
    assert result.images == 11
    data = json.loads((run / "data.json").read_text())
    held = {Path(name).name for names in data["drawn"]["test"].values() for name in names}
    assert {Path(name).name for name in result.answers.names} == held


def test_net_of_one_class_per_image_as_the_beginning(
    trained_run: Path, multi_label_run: Path, stripes: Path, tmp_path: Path
) -> None:
    start = recipe("training.epochs=1", "net.norm=batch", "initialize.layers=all")
    copied = start.replace(initialize__source=str(trained_run))
    result = package.train(stripes, copied, tmp_path / "a", progress=False)
    assert "mean_average_precision" in result
    back = start.replace(initialize__source=str(multi_label_run))
    assert package.train(stripes, back, tmp_path / "b", progress=False).epochs == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.balance=sampling"], "data.balance: must be none or weights"),
        (["training.loss=squared-error"], "training.loss: must be cross-entropy"),
        (["initialize.stages=[B]"], "initialize.stages"),
        (["localization.loss=euclidean"], "localization: a box regressor"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(
    stripes: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(*settings, "data.task=multi-label")
    if "localization" not in message and "stages" not in message:
        with pytest.raises(RecipeError, match=message):
            package.train(stripes, recipe(*settings), tmp_path / "run", progress=False)


def test_what_needs_one_class_per_image_refuses_the_model(
    multi_label_run: Path, trained_run: Path, stripes: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be fused"):
        package.evaluate([multi_label_run, trained_run], data=stripes, progress=False)
    with pytest.raises(DataError, match="gives each image one class"):
        package.evaluate(multi_label_run, data="digits", progress=False)
    with pytest.raises(DataError, match="this model needs one class per image"):
        package.evaluate(trained_run, data=stripes, progress=False)
    with pytest.raises(ModelError, match="a temperature is of classes"):
        calibrate(multi_label_run, "val", progress=False)
    image = stripes.parent / "test05.png"
    found = package.load(multi_label_run, EXACT).predict(image)
    with pytest.raises(InputError, match="puts each image into the folder of one class"):
        sort_pictures(found, tmp_path / "sorted")


def test_the_program_names_the_task(
    pictures: Path, stripes: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    out = verydeep("train", pictures, "--task", "multi-label", "--out", tmp_path / "a", *flags())
    assert (out.code, "gives each image one class" in out.err) == (2, True)
    out = verydeep("train", stripes, "--task", "nothing", "--out", tmp_path / "b", *flags())
    assert (out.code, "data.task" in out.err) == (2, True)


def test_check_counts_labels(stripes: Path, tmp_path: Path) -> None:
    report = check(stripes, out=tmp_path / "check", progress=False)
    labels = report.to_dict()["statistics"]["labels"]
    assert labels["per_image"] == {"0": 7, "1": 21, "2": 21, "3": 7}
    assert labels["unlabelled"] == {"train": 3, "val": 2, "test": 2}
    assert labels["mean"] == pytest.approx(1.5)
    pairs = {tuple(pair["classes"]): pair for pair in labels["together"]}
    assert {pair: one["images"] for pair, one in pairs.items()} == {
        ("blue", "green"): 14,
        ("blue", "red"): 14,
        ("green", "red"): 14,
    }
    assert pairs["blue", "red"]["ratio"] == pytest.approx(14 * 56 / 28**2)
    keys = {finding.key: finding for finding in report.findings}
    assert keys["unlabelled"].count == 7
    assert report.exit_code == 0
    assert "Classes that occur together" in (tmp_path / "check" / "check.html").read_text()


def test_copies_with_other_labels_contradict(stripes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stripes.parent, tmp_path / "data")
    shutil.copy(folder / "train01.png", folder / "train02.png")
    report = check(folder / "labels.csv", progress=False)
    (found,) = [one for one in report.findings if one.key == "contradiction"]
    assert {file.class_name for file in found.files} == {"blue", "green"}


def test_auto_chooses_for_several_labels() -> None:
    chosen, _ = auto_recipe(DataFacts(4000, 10, 64, 64 * 64, multi_label=True), {})
    assert chosen.data.task == "multi-label"
    assert chosen.training.label_smoothing == 0
    # As for one class per image, with a loss that is larger by 8.
    assert chosen.training.learning_rate == pytest.approx(8 * 0.05)
    assert chosen.training.weight_decay == pytest.approx(0.001 / 8)
    assert chosen.data.train_scale == (64, 72)
    single, _ = auto_recipe(DataFacts(4000, 10, 64, 64 * 64), {})
    assert (single.data.task, single.data.train_scale) == (None, (64, 96))


def test_truth_is_that_of_the_table(stripes: Path) -> None:
    data = read_dataset(stripes)
    assert (truth_of(data.split("train"), 3) == truth(24)).all()
