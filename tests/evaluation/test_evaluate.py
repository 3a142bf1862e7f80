"""A data set through models: every picture exactly once, labels by name."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics
from tiny import COLOURS, strict_json, write_class_folders, write_splits

import verydeep
from verydeep import Classifier, read_dataset
from verydeep.data.samples import Sample
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.evaluate import evaluate_samples, relabel
from verydeep.evaluation.protocol import make_protocol


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    return verydeep.load(trained_run, device="cpu", precision="fp32")


def samples(root: Path, split: str) -> list[Sample]:
    """List a split by hand."""
    return [
        Sample(path, label)
        for label, name in enumerate(sorted(COLOURS))
        for path in sorted((root / split / name).iterdir())
    ]


def by_hand(model: Classifier, chosen: list[Sample], **how: object) -> np.ndarray:
    """Return the posteriors of single predictions, which name the classes."""
    rows = []
    for sample in chosen:
        (prediction,) = model.predict(sample.path, top=3, **how)
        likely = dict(prediction.ranking)
        rows.append([likely[name] for name in model.classes])
    return np.array(rows, np.float32)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("scales", [(36,), (32, 48)])
def test_the_result_is_that_of_single_predictions(
    flip: bool, scales: tuple[int, ...], model: Classifier, pictures: Path
) -> None:
    chosen = [*samples(pictures, "train"), *samples(pictures, "test")]
    # Some labels are wrong on purpose, so that no error is 0 or 100 %.
    chosen = [
        dataclasses.replace(sample, label=(sample.label + (place % 3 == 0)) % 3)
        for place, sample in enumerate(chosen)
    ]
    result = evaluate_samples([model], chosen, make_protocol("dense", scales, flip=flip))
    likely = by_hand(model, chosen, scales=scales, flip=flip)
    labels = [sample.label for sample in chosen]
    wrong = 100 * (1 - metrics.accuracy_score(labels, likely.argmax(1)))
    assert 20 < wrong < 80
    assert result.top1_error == pytest.approx(wrong)
    assert result.top5_error == 0  # of three classes
    assert result.loss == pytest.approx(metrics.log_loss(labels, likely), rel=1e-5)
    assert (result.images, result.unreadable) == (len(chosen), ())
    assert (result.protocol, result.scales, result.flip) == ("dense", scales, flip)
    assert result.models == ("A",)
    assert result.seconds > 0


def test_every_picture_is_counted_once_and_broken_ones_are_named(
    model: Classifier, tmp_path: Path
) -> None:
    root = write_splits(tmp_path / "data", train=2, val=0, test=7)
    whole = evaluate_samples([model], samples(root, "test"), make_protocol("center", (36,)))
    assert whole.images == 21
    broken = root / "test" / "green" / "03.png"
    broken.write_bytes(broken.read_bytes()[:100])
    (root / "test" / "red" / "empty.png").write_bytes(b"")
    chosen = samples(root, "test")
    result = evaluate_samples([model], chosen, make_protocol("center", (36, 40)), root=root)
    assert result.unreadable == ("test/green/03.png", "test/red/empty.png")
    assert result.images == len(chosen) - 2 == 20
    good = [sample for sample in chosen if sample.path.name not in ("empty.png",)]
    good = [sample for sample in good if sample.path != broken]
    alone = evaluate_samples([model], good, make_protocol("center", (36, 40)), root=root)
    assert (result.top1_error, result.loss) == pytest.approx((alone.top1_error, alone.loss))


def test_processes_do_not_change_the_result(model: Classifier, pictures: Path) -> None:
    chosen = 3 * samples(pictures, "test")
    protocol = make_protocol("dense", (36,))
    here, there = (
        evaluate_samples([model], chosen, protocol, workers=workers).to_dict() for workers in (0, 2)
    )
    del here["seconds"], there["seconds"]
    assert here == there
    assert here["images"] == len(chosen)


def test_a_result_is_plain_values(model: Classifier, pictures: Path) -> None:
    result = evaluate_samples([model], samples(pictures, "test"), make_protocol("dense", (36,)))
    plain = result.to_dict()
    assert strict_json(json.dumps(plain)) == plain
    assert set(plain) >= {
        *("top1_error", "top5_error", "loss", "images"),
        *("unreadable", "protocol", "scales", "seconds"),
    }


def test_pictures_of_which_none_can_be_read_are_refused(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    chosen = [Sample(tmp_path / "broken.png", 0)]
    with pytest.raises(DataError, match=r"none of the 1 pictures.*\n.*broken\.png: .*empty"):
        evaluate_samples([model], chosen, make_protocol("dense", (36,)))


# ---- several models ----


def test_two_models_are_fused_by_their_mean(model: Classifier, pictures: Path) -> None:
    other = dataclasses.replace(
        model, preprocessing=verydeep.classifier.Preprocessing((200.0, 90.0, 30.0), 100.0)
    )
    chosen = [*samples(pictures, "val"), *samples(pictures, "test")]
    result = evaluate_samples([model, other], chosen, make_protocol("dense", (36,)))
    one, two = by_hand(model, chosen), by_hand(other, chosen)
    assert np.abs(one - two).max() > 0.1
    labels = [sample.label for sample in chosen]
    assert result.loss == pytest.approx(metrics.log_loss(labels, (one + two) / 2), rel=1e-5)
    assert result.models == ("A", "A")
    assert result.images == len(chosen)


def test_models_of_other_classes_are_not_fused(model: Classifier, pictures: Path) -> None:
    other = dataclasses.replace(model, classes=("red", "green", "blue"))
    with pytest.raises(InputError, match="same classes in the same order"):
        evaluate_samples([model, other], samples(pictures, "test"), make_protocol("dense", (36,)))


def test_a_scale_below_the_input_size_is_refused(model: Classifier, pictures: Path) -> None:
    with pytest.raises(InputError, match=r"at least 32.* got 31"):
        evaluate_samples([model], samples(pictures, "test"), make_protocol("dense", (64, 31)))


# ---- data sets ----


def test_labels_follow_the_names_of_classes(model: Classifier, tmp_path: Path) -> None:
    # Without "green", and so with other class numbers than the model's.
    root = write_class_folders(tmp_path / "two", 5, names=["blue", "red"])
    dataset = read_dataset(root, draw=False)
    assert dataset.classes == ("blue", "red")
    relabelled = relabel(dataset, "all", model.classes)
    assert Counter(model.classes[sample.label] for sample in relabelled) == {"blue": 5, "red": 5}
    assert all(sample.path.parent.name == model.classes[sample.label] for sample in relabelled)
    result = verydeep.evaluate(model, root)
    assert (result.split, result.images, result.top1_error) == ("all", 10, 0)


def test_a_class_that_the_model_does_not_know_is_named(model: Classifier, tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "three", 2)
    (root / "green").rename(root / "grean")
    with pytest.raises(DataError, match=r"'grean'; did you mean 'green'\?"):
        verydeep.evaluate(model, root)


def test_without_data_those_of_the_run_are_taken(trained_run: Path, pictures: Path) -> None:
    how = {"device": "cpu", "precision": "fp32"}
    of_run = verydeep.evaluate(trained_run, **how).to_dict()
    named = verydeep.evaluate(trained_run / "model", pictures, **how).to_dict()
    inside = verydeep.evaluate(str(trained_run / "model"), **how).to_dict()
    metrics = json.loads((trained_run / "metrics.json").read_text())
    for result in (of_run, named, inside):
        assert (result["split"], result["images"]) == ("test", 12)
        for key in ("top1_error", "top5_error", "loss", "scales", "protocol"):
            assert result[key] == metrics[key]


def test_a_split_can_be_named(trained_run: Path, pictures: Path) -> None:
    result = verydeep.evaluate(trained_run, split="val")
    assert (result.split, result.images) == ("val", 12)
    with pytest.raises(DataError, match=r"no split 'tests'.*did you mean 'test'"):
        verydeep.evaluate(trained_run, pictures, split="tests")


def test_a_model_without_its_run_needs_data(
    model: Classifier, trained_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained_run / "model", tmp_path / "alone")
    for lonely in (model, tmp_path / "alone"):
        with pytest.raises(InputError, match="--data"):
            verydeep.evaluate(lonely)
    with pytest.raises(InputError, match="at least one model"):
        verydeep.evaluate([])
    with pytest.raises(ModelError, match="no such folder"):
        verydeep.evaluate(tmp_path / "nowhere")


def test_a_run_whose_data_are_gone_says_so(trained_run: Path, tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "data", 3)
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    record = json.loads((run / "data.json").read_text())
    record["data"] = str(root / "gone")
    (run / "data.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="gone"):
        verydeep.evaluate(run)


def test_dense_and_center_differ_on_pictures_that_do(model: Classifier, tmp_path: Path) -> None:
    # Red in the middle, blue left and right of it.
    wide = np.zeros((40, 160, 3), np.uint8)
    wide[:] = COLOURS["blue"]
    wide[:, 60:100] = COLOURS["red"]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    chosen = [Sample(tmp_path / "wide.png", model.classes.index("red"))]
    center, dense = (
        evaluate_samples([model], chosen, make_protocol(name, (40,)))
        for name in ("center", "dense")
    )
    assert center.loss < dense.loss
