"""A model learns when to abstain: kept in its folder, told by predictions, tests and files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from progresses import Listening
from random_nets import random_classifier
from tiny import Outcome, strict_json, write_class_folders

import verydeep
from verydeep.errors import InputError, ModelError
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.familiarity import fit_familiarity
from verydeep.evaluation.abstention.fit import LearnedAbstention
from verydeep.evaluation.abstention.promises import Promises
from verydeep.evaluation.abstention.selective import Threshold
from verydeep.evaluation.calibration import temper
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.file_names import FAMILIARITY
from verydeep.models.identity import model_key
from verydeep.run.bulk.predictions import prediction_table
from verydeep.run.export import export
from verydeep.run.report import report
from verydeep.run.testing.abstain import learn_abstention
from verydeep.run.testing.calibrate import calibrate, forget_calibration
from verydeep.run.testing.evaluate import evaluate
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32", 0)
PROMISES = Promises(promise_error=40.0, confidence=80.0, coverage=80.0, refuse=5.0)


@pytest.fixture(scope="module")
def data(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the run, with many more for calibration."""
    folder = tmp_path_factory.mktemp("data") / "many"
    write_class_folders(folder / "val", 40, seed=21)
    shutil.copytree(pictures / "train", folder / "train")
    shutil.copytree(pictures / "test", folder / "test")
    return folder


@pytest.fixture(scope="module")
def taught(
    trained_run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, LearnedAbstention]:
    """A run that errs, since it sees through other eyes, and has learned to abstain."""
    run = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(trained_run, run)
    path = run / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["preprocessing"] = {"mean": [140.0, 80.0, 170.0], "divisor": 90.0}
    path.write_text(json.dumps(config), "utf-8")
    return run, learn_abstention(run, "val", data, promises=PROMISES, compute=CPU)


@pytest.fixture
def run(taught: tuple[Path, LearnedAbstention], tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(taught[0], tmp_path / "run")


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    return request.getfixturevalue("verydeep")


# ---- what is kept ----


def test_all_is_kept_in_the_model_folder(taught: tuple[Path, LearnedAbstention]) -> None:
    folder, learned = taught
    abstention = learned.abstention
    assert abstention.threshold is not None
    assert abstention.sets is not None
    assert abstention.familiar is not None
    assert (abstention.familiar.layer, abstention.familiar.reference) == ("fc7", 24)
    assert (learned.images, learned.first) == (120, 40)
    kept = strict_json((folder / "model" / "config.json").read_text("utf-8"))
    assert kept["abstention"] == json.loads(json.dumps(dataclasses.asdict(abstention)))
    model = verydeep.load(folder, compute=CPU)
    assert model.abstention == abstention
    assert model.familiarity is not None
    assert model.familiarity.images == 24
    assert (folder / "model" / FAMILIARITY).stat().st_size < 3 * 4 * model.feature_size + 1000


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(
    taught: tuple[Path, LearnedAbstention], run: Path, data: Path
) -> None:
    together = dataclasses.replace(CPU, processes=2)
    learned = learn_abstention(run, "val", data, promises=PROMISES, compute=together)
    alone = taught[1]
    assert (learned.images, learned.first) == (alone.images, alone.first)
    for part in ("threshold", "sets", "familiar"):
        mine, other = (
            dataclasses.asdict(getattr(one.abstention, part)) for one in (learned, alone)
        )
        assert mine == {
            key: pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
            for key, value in other.items()
        }


def test_a_model_that_has_not_learned_it_is_written_as_before(trained_run: Path) -> None:
    config = strict_json((trained_run / "model" / "config.json").read_text("utf-8"))
    assert "abstention" not in config
    assert not (trained_run / "model" / FAMILIARITY).exists()
    assert verydeep.load(trained_run, compute=CPU).abstention is None


def test_a_copy_keeps_it_and_forgetting_removes_it(
    run: Path, tmp_path: Path, program: Callable[..., Outcome]
) -> None:
    model = verydeep.load(run, compute=CPU)
    model.save(tmp_path / "copy")
    again = verydeep.load(tmp_path / "copy", compute=CPU)
    assert again.abstention == model.abstention
    assert model_key(again) == model_key(model)
    outcome = program("calibrate", run, "none")
    assert "were removed" in outcome.out
    assert not (run / "model" / FAMILIARITY).exists()
    plain = verydeep.load(run, compute=CPU)
    assert (plain.abstention, plain.calibration, plain.familiarity) == (None, None, None)
    assert model_key(plain) != model_key(model)
    assert forget_calibration(run) is False


def test_another_temperature_forgets_what_held_for_the_first(run: Path) -> None:
    progress = Listening()
    calibrate(run, "val", compute=CPU, progress=progress)
    model = verydeep.load(run, compute=CPU)
    if model.calibration and model.calibration.images == 12:  # it was kept
        assert model.abstention is None
        assert any("is forgotten" in line for line in progress.lines)
        assert not (run / "model" / FAMILIARITY).exists()


def test_damaged_files_are_refused(run: Path) -> None:
    path = run / "model" / FAMILIARITY
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"familiarity.safetensors: cannot be used"):
        verydeep.load(run, compute=CPU)
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    config["abstention"]["threshold"]["least"] = "high"
    (run / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match=r"threshold\.least: must be of type float"):
        verydeep.load(run, compute=CPU)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"nothing")])
def test_calibration_mends_lost_features(
    run: Path, data: Path, damage: Callable[[Path], object]
) -> None:
    path = run / "model" / FAMILIARITY
    whole = path.read_bytes()
    damage(path)
    learn_abstention(run, "val", data, promises=PROMISES, compute=CPU)
    assert path.read_bytes() == whole
    damage(path)
    assert forget_calibration(run)
    assert verydeep.load(run, compute=CPU).abstention is None


# ---- what is refused ----


def test_images_of_the_training_promise_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the net was trained on 24 of the 24 images of train"):
        learn_abstention(run, "train", compute=CPU)
    with pytest.raises(InputError, match="val has 12 images; at least 30 are needed"):
        learn_abstention(run, "val", compute=CPU)
    with pytest.raises(InputError, match=r"learned on test cannot be judged on test.*tested="):
        learn_abstention(run, "test", compute=CPU)


def test_images_that_are_the_only_split_of_their_data_are_not_the_tested_ones(
    run: Path, tmp_path: Path
) -> None:
    write_class_folders(tmp_path / "one" / "val", 12, seed=4)
    learned = learn_abstention(run, "val", tmp_path / "one", promises=PROMISES, compute=CPU)
    assert learned.abstention.split == "val"
    with pytest.raises(InputError, match="learned on val cannot be judged on val"):
        learn_abstention(run, "val", tmp_path / "one", tested="val", compute=CPU)


def test_data_without_training_images_tell_no_unlike_ones(run: Path, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "two" / "val", 12, seed=4)
    write_class_folders(tmp_path / "two" / "test", 1, seed=5)
    learned = learn_abstention(run, "val", tmp_path / "two", promises=PROMISES, compute=CPU)
    assert learned.abstention.familiar is None
    assert any("no split train" in note for note in learned.notes)
    assert not (run / "model" / FAMILIARITY).exists()


# ---- predictions ----


def test_predictions_say_what_is_not_known(
    taught: tuple[Path, LearnedAbstention], pictures: Path
) -> None:
    model = verydeep.load(taught[0], compute=CPU)
    learned = taught[1].abstention
    assert learned.sets is not None
    assert learned.threshold is not None
    assert learned.familiar is not None
    files = sorted((pictures / "test").rglob("*.png"))
    plain = model.predict(files, abstain=False)
    assert {(p.abstained, p.reason, p.class_set) for p in plain} == {(None, None, None)}
    found = model.predict(files)
    features = verydeep.features(taught[0], pictures, compute=CPU)
    test = features.vectors[features.splits == "test"]
    assert model.familiarity is not None
    distances = model.familiarity.distances(test)  # found in another way than by predict
    for before, one, distance in zip(plain, found, distances, strict=True):
        assert one.ranking == before.ranking
        np.testing.assert_allclose(one.probabilities, before.probabilities, atol=1e-6)
        unlike = distance > learned.familiar.limit
        assert one.probability is not None
        unsure = one.probability < learned.threshold.least
        assert one.abstained is bool(unlike or unsure)
        assert (one.reason is not None) == one.abstained
        assert one.class_set is not None
        likely = [k for k, p in one.ranking if p >= learned.sets.least]
        assert list(one.class_set) == (likely or [one.label])


def test_it_is_not_applied_to_another_test(run: Path, pictures: Path) -> None:
    model, progress = verydeep.load(run, compute=CPU), Listening()
    found = model.predict(pictures / "test", scales=[40], progress=progress)
    assert all(one.abstained is None and one.class_set is None for one in found)
    assert any("says nothing about dense at Q = 40" in line for line in progress.lines)
    with pytest.raises(InputError, match="abstain=True: this model has learned when to abstain in"):
        model.predict(pictures / "test", scales=[40], abstain=True)
    forget_calibration(run)
    with pytest.raises(InputError, match="this model has not learned when to abstain"):
        verydeep.load(run, compute=CPU).predict(pictures / "test", abstain=True)


def test_an_unreadable_file_is_neither_known_nor_unknown(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    broken, red = verydeep.load(run, compute=CPU).predict(
        [tmp_path / "broken.png", tmp_path / "red.png"]
    )
    assert (broken.abstained, broken.class_set) == (None, None)
    assert broken.fault
    assert red.abstained is not None


def test_noise_is_unlike_plain_images(tmp_path: Path) -> None:
    """To a net of random weights that has seen one plain image in training."""
    model = random_classifier(name="A")
    how = model.test_protocol()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    plain = np.full((40, 40, 3), 30, np.uint8)
    for split in ("train", "val", "test"):
        for name in ("one", "two"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(plain).save(tmp_path / split / name / "plain.png")
    features = verydeep.features(model, tmp_path, compute=CPU).vectors
    reference = fit_familiarity(features, np.zeros(len(features), np.int64))
    learned = Abstention.from_dict(
        {
            "split": "val",
            "protocol": str(how),
            "familiar": {
                "limit": 1e-3,
                "refused": 1.0,
                "images": 99,
                "layer": "fc7",
                "reference": 3,
            },
        }
    )
    knowing = dataclasses.replace(model, abstention=learned, familiarity=reference)
    known, unknown = knowing.predict([plain, noise])
    assert known.abstained is False
    assert unknown.abstained is True
    assert unknown.reason is not None
    assert unknown.reason.startswith("unlike the training images: distance")


# ---- tests ----


def test_a_test_reports_answers_and_coverage(
    taught: tuple[Path, LearnedAbstention], data: Path
) -> None:
    folder, learned = taught
    result = evaluate(folder, data, split="val", compute=CPU)
    found, answers = result.abstention, result.answers
    assert found is not None
    assert answers.distances is not None
    likely = answers.posteriors
    if learned.calibration and learned.calibration.kept:
        likely = temper(likely, learned.calibration.temperature)
    threshold, familiar = learned.abstention.threshold, learned.abstention.familiar
    assert threshold is not None
    assert familiar is not None
    given = (likely.max(1) >= threshold.least) & (answers.distances <= familiar.limit)
    assert found["answered"] == pytest.approx(100 * given.mean())
    assert found["answered_error"] == pytest.approx(100 * answers.wrong[given].mean())
    assert found["promised_error"] == 40.0
    # Of several fused, in another test, and of a table, nothing is known.
    assert evaluate(folder, data, "center", split="val", compute=CPU).abstention is None
    assert evaluate([folder, folder], data, split="val", compute=CPU).abstention is None


def test_the_distances_do_not_change_the_posteriors(
    taught: tuple[Path, LearnedAbstention], trained_run: Path, data: Path, tmp_path: Path
) -> None:
    forgetful = shutil.copytree(taught[0], tmp_path / "run")
    forget_calibration(forgetful)
    with_them = evaluate(taught[0], data, split="val", compute=CPU)
    without = evaluate(forgetful, data, split="val", compute=CPU)
    np.testing.assert_allclose(with_them.answers.posteriors, without.answers.posteriors, atol=1e-6)
    assert without.answers.distances is None


def test_features_of_many_images_are_held_in_parts(
    taught: tuple[Path, LearnedAbstention], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(taught[0], data, split="val", compute=CPU).answers
    monkeypatch.setattr("verydeep.evaluation.feature_mixing.PART_BYTES", 1)
    parts = evaluate(taught[0], data, split="val", compute=CPU).answers
    np.testing.assert_array_equal(parts.posteriors, whole.posteriors)
    assert parts.distances is not None
    np.testing.assert_allclose(parts.distances, whole.distances, atol=1e-6)


# ---- the program ----


def test_the_program_learns_and_tells(
    run: Path, data: Path, pictures: Path, tmp_path: Path, program: Callable[..., Outcome]
) -> None:
    learned = program(
        "calibrate", run, "val", "--data", data, "--promise-error", 40, "--confidence", 80,
        "--coverage", 80, "--refuse", 5, "--precision", "fp32",
    )  # fmt: skip
    assert learned.code == 0
    for part in ("answers from", "at most 40 % of the answers wrong, with 80 % confidence"):
        assert part in learned.out
    out = tmp_path / "test"
    tested = program("evaluate", run, "--precision", "fp32", "--out", out, "--json")
    value = strict_json(tested.out)["abstention"]
    assert value["promised_coverage"] == 80.0
    assert 0 <= value["answered"] <= 100
    page = (out / "report.html").read_text("utf-8")
    assert "The model answers" in page
    assert "Coverage by class" in page
    shown = program("evaluate", run, "--precision", "fp32").out
    assert "answered" in shown
    assert "contain the true class" in shown
    where = pictures / "test"
    said = strict_json(program("predict", run, where, "--json", "--precision", "fp32").out)
    assert {type(one["abstained"]) for one in said["predictions"]} == {bool}
    assert all(one["set"] for one in said["predictions"])
    silent = program("predict", run, where, "--json", "--no-abstain", "--precision", "fp32").out
    assert {one["abstained"] for one in strict_json(silent)["predictions"]} == {None}
    rows = list(csv.reader(io.StringIO(program("predict", run, where, "--csv").out)))
    assert rows[0][-3:] == ["abstained", "reason", "set"]
    assert {row[-3] for row in rows[1:]} <= {"yes", "no"}
    assert len({len(row) for row in rows}) == 1


def test_the_program_says_i_dont_know(
    run: Path, tmp_path: Path, program: Callable[..., Outcome]
) -> None:
    config = run / "model" / "config.json"
    values = json.loads(config.read_text("utf-8"))
    values["abstention"]["threshold"]["least"] = 1.0
    values["abstention"]["familiar"]["limit"] = 2.0
    config.write_text(json.dumps(values), "utf-8")
    Image.new("RGB", (40, 40), (120, 120, 120)).save(tmp_path / "grey.png")
    out = program("predict", run, tmp_path / "grey.png", "--precision", "fp32").out
    assert "I don't know: uncertain: " in out
    assert "100.0 % needed" in out
    assert "one of " in out
    outcome = program("predict", run, tmp_path / "grey.png", "--abstain", "--scales", 40)
    assert outcome.code == 2
    assert "--abstain: this model has learned when to abstain in the test" in outcome.err


def test_the_report_of_a_run_shows_the_chosen_point_after_a_new_test(run: Path) -> None:
    before = report(run).read_text("utf-8")
    assert "Error among the answered" in before
    assert "as the model decides" not in before
    after = report(run, test=True).read_text("utf-8")
    assert "as the model decides" in after
    assert "Coverage by class" in after


def test_the_card_tells_the_promises(run: Path) -> None:
    card = (run / "model" / "README.md").read_text("utf-8")
    assert "at most 40 % of its answers are wrong" in card
    assert "80 % of images" in card


# ---- exported files ----


def test_an_exported_file_knows_when_to_abstain(run: Path, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    export(run, path, dense=True, pictures=pictures / "test")
    file, model = verydeep.load(path), verydeep.load(run, compute=CPU)
    assert model.abstention is not None
    assert file.abstention == model.abstention  # with the threshold of familiar images
    for ours, theirs in zip(
        model.predict(pictures / "test"), file.predict(pictures / "test"), strict=True
    ):
        assert (theirs.abstained, theirs.class_set) == (ours.abstained, ours.class_set)
        assert theirs.abstained is not None
    # The example beside the file needs nothing of this package.
    image = next((pictures / "test").rglob("*.png"))
    script = tmp_path / "net.onnx.example.py"
    done = subprocess.run(
        [sys.executable, script, image], capture_output=True, text=True, check=True
    )
    assert "one of: " in done.stdout
    assert "promise holds only roughly" in script.read_text("utf-8")


def test_a_file_that_takes_crops_only_answers_every_image(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    path, progress = tmp_path / "net.onnx", Listening()
    export(run, path, pictures=pictures / "test")
    found = verydeep.load(path).predict(pictures / "test", progress=progress)
    assert all(one.abstained is None for one in found)
    assert any("it answers every image" in line for line in progress.lines)


def test_the_test_of_crops_can_be_learned_for_such_a_file(
    run: Path, data: Path, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    learn_abstention(run, "val", data, "center", promises=PROMISES, compute=CPU)
    path = tmp_path / "net.onnx"
    export(run, path, pictures=pictures / "test")
    found = verydeep.load(path).predict(pictures / "test")
    assert all(one.class_set for one in found)


def test_what_is_learned_is_typed(taught: tuple[Path, LearnedAbstention]) -> None:
    assert isinstance(taught[1].abstention.threshold, Threshold)
    model = verydeep.load(taught[0], compute=CPU)
    assert isinstance(model, Classifier)
    assert model.abstention is not None
    assert model.abstention.protocol == str(TestProtocol("dense").for_model(model))


# ---- in bulk ----


def test_rows_in_bulk_have_the_same_columns_for_every_part(
    taught: tuple[Path, LearnedAbstention], pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    model = verydeep.load(taught[0], compute=CPU)
    files = [next((pictures / "test").rglob("*.png")), tmp_path / "broken.png"]
    files[1].write_bytes(b"no image")
    found = model.predict(files)
    tables = [
        prediction_table(0, ["name"], [file], [one], "model", decided=True)
        for file, one in zip(files, found, strict=True)
    ]
    assert tables[0].schema == tables[1].schema
    row, broken = (table.to_pylist()[0] for table in tables)
    assert (row["abstained"], row["set"]) == (found[0].abstained, list(found[0].class_set or ()))
    assert (broken["abstained"], broken["reason"], broken["set"]) == (None, None, None)
    plain = prediction_table(0, ["name"], files[:1], found[:1], "model")
    assert "abstained" not in plain.column_names
