"""A data set through models: every image exactly once, labels by name, several tests at once."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics
from tiny import COLOURS, strict_json, write_class_folders, write_splits

import verydeep
from verydeep import Classifier, read_dataset
from verydeep.data.dataset import Dataset
from verydeep.data.geometry import Box
from verydeep.data.samples import Sample
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.calibration import Calibration
from verydeep.evaluation.evaluate import evaluate_samples, evaluate_tests, relabel
from verydeep.evaluation.joint_tests import Test, block_size
from verydeep.evaluation.posteriors import ViewGroup
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.result import Answers
from verydeep.evaluation.views import Center, Dense, Grid
from verydeep.models.preprocessing import Preprocessing
from verydeep.system.settings import Compute


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    loaded = verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))
    return dataclasses.replace(loaded, calibration=None)


@pytest.fixture(scope="module")
def other(model: Classifier) -> Classifier:
    """A net that answers otherwise."""
    return dataclasses.replace(model, preprocessing=Preprocessing((200.0, 90.0, 30.0), 100.0))


def samples(root: Path, split: str) -> list[Sample]:
    """List a split by hand."""
    return [
        Sample(path, label)
        for label, name in enumerate(sorted(COLOURS))
        for path in sorted((root / split / name).iterdir())
    ]


def mislabelled(root: Path) -> list[Sample]:
    """List images of which some labels are wrong on purpose, so that no error is 0 or 100 %."""
    return [
        dataclasses.replace(sample, label=(sample.label + (place % 3 == 0)) % 3)
        for place, sample in enumerate([*samples(root, "train"), *samples(root, "test")])
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
    chosen = mislabelled(pictures)
    result = evaluate_samples([model], chosen, TestProtocol("dense", scales, flip=flip))
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
    whole = evaluate_samples(
        [model], samples(root, "test"), TestProtocol("center", (36,), flip=True)
    )
    assert whole.images == 21
    broken = root / "test" / "green" / "03.png"
    broken.write_bytes(broken.read_bytes()[:100])
    (root / "test" / "red" / "empty.png").write_bytes(b"")
    chosen = samples(root, "test")
    result = evaluate_samples(
        [model], chosen, TestProtocol("center", (36, 40), flip=True), root=root
    )
    assert result.unreadable == ("test/green/03.png", "test/red/empty.png")
    assert result.images == len(chosen) - 2 == 20
    good = [sample for sample in chosen if sample.path.name not in ("empty.png",)]
    good = [sample for sample in good if sample.path != broken]
    alone = evaluate_samples([model], good, TestProtocol("center", (36, 40), flip=True), root=root)
    assert (result.top1_error, result.loss) == pytest.approx((alone.top1_error, alone.loss))


def test_processes_do_not_change_the_result(model: Classifier, pictures: Path) -> None:
    chosen = 3 * samples(pictures, "test")
    protocol = TestProtocol("dense", (36,), flip=True)
    here, there = (
        evaluate_samples([model], chosen, protocol, workers=workers).to_dict() for workers in (0, 2)
    )
    del here["seconds"], there["seconds"]
    assert here == there
    assert here["images"] == len(chosen)


def test_a_result_is_plain_values(model: Classifier, pictures: Path) -> None:
    result = evaluate_samples(
        [model], samples(pictures, "test"), TestProtocol("dense", (36,), flip=True)
    )
    plain = result.to_dict()
    assert strict_json(json.dumps(plain)) == plain
    assert set(plain) >= {
        *("top1_error", "top5_error", "loss", "images"),
        *("unreadable", "protocol", "scales", "seconds"),
    }


def test_pictures_of_which_none_can_be_read_are_refused(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    chosen = [Sample(tmp_path / "broken.png", 0)]
    with pytest.raises(DataError, match=r"none of the 1 images.*\n.*broken\.png: .*empty"):
        evaluate_samples([model], chosen, TestProtocol("dense", (36,), flip=True))


# ---- what is measured ----


def test_the_answers_are_those_to_every_picture(model: Classifier, pictures: Path) -> None:
    chosen = mislabelled(pictures)
    result = evaluate_samples(
        [model], chosen, TestProtocol("dense", (36,), flip=True), root=pictures
    )
    answers = result.answers
    assert list(answers.names) == [s.path.relative_to(pictures).as_posix() for s in chosen]
    assert len(set(answers.names)) == len(chosen)
    assert answers.labels.tolist() == [sample.label for sample in chosen]
    assert answers.classes == model.classes
    likely = by_hand(model, chosen, scales=(36,))
    np.testing.assert_allclose(answers.posteriors, likely, rtol=0, atol=1e-6)
    assert answers.wrong.tolist() == [
        int(row.argmax()) != sample.label for row, sample in zip(likely, chosen, strict=True)
    ]
    assert 100 * answers.wrong.mean() == pytest.approx(result.top1_error)
    assert "answers" not in result.to_dict()


def test_of_equally_likely_classes_the_first_is_the_answer() -> None:
    likely = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]], np.float32)
    answers = Answers(("a", "b", "c"), np.array([0, 1, 1]), likely, ("x", "y", "z"))
    assert answers.wrong.tolist() == [False, True, False]


def test_a_picture_that_is_listed_twice_counts_twice(model: Classifier, pictures: Path) -> None:
    chosen = samples(pictures, "test")[:3]
    twice = evaluate_samples([model], 2 * chosen, TestProtocol("dense", (36,), flip=True))
    once = evaluate_samples([model], chosen, TestProtocol("dense", (36,), flip=True))
    assert (twice.images, once.images) == (6, 3)
    assert twice.loss == pytest.approx(once.loss, rel=1e-5)


def test_intervals_are_wilsons(model: Classifier, pictures: Path) -> None:
    result = evaluate_samples(
        [model], mislabelled(pictures), TestProtocol("dense", (36,), flip=True)
    )
    z, n = 1.959963984540054, result.images
    for error, interval in (
        (result.top1_error, result.top1_interval),
        (result.top5_error, result.top5_interval),
    ):
        p = error / 100
        middle = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
        assert interval == pytest.approx((100 * low, 100 * high), abs=1e-9)
    assert result.top1_interval[0] < result.top1_error < result.top1_interval[1]


def calibration_error(likely: np.ndarray, labels: list[int]) -> float:
    """Return the mean gap of confidence and accuracy in 15 ranges, in percent."""
    total = 0.0
    for number in range(15):
        rows = [
            (float(row.max()), int(row.argmax()) == label)
            for row, label in zip(likely, labels, strict=True)
            if number / 15 < row.max() <= (number + 1) / 15 or (number == 14 and row.max() > 1)
        ]
        total += abs(sum(sure for sure, _ in rows) - sum(right for _, right in rows))
    return 100 * total / len(labels)


def calibrated(model: Classifier, temperature: float) -> Classifier:
    calibration = Calibration(temperature, "val", "dense at Q = 36", 12, 1.0, 0.5)
    return dataclasses.replace(model, calibration=calibration)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_calibration_is_measured_without_and_at_the_models_temperature(
    temperature: float, other: Classifier, pictures: Path
) -> None:
    chosen, protocol = mislabelled(pictures), TestProtocol("dense", (36,), flip=True)
    labels = [sample.label for sample in chosen]
    plain = evaluate_samples([other], chosen, protocol)
    result = evaluate_samples([calibrated(other, temperature)], chosen, protocol)
    likely = by_hand(other, chosen, scales=(36,)).astype(np.float64)
    assert plain.calibrated is None
    assert plain.calibration_error == pytest.approx(calibration_error(likely, labels), abs=1e-3)
    # The temperature stands beside what was measured, and changes nothing of it.
    for name in ("top1_error", "loss", "calibration_error"):
        assert getattr(result, name) == getattr(plain, name)
    powers = likely ** (1 / temperature)
    tempered = powers / powers.sum(1, keepdims=True)
    assert result.calibrated == {
        "temperature": temperature,
        "loss": pytest.approx(metrics.log_loss(labels, tempered), rel=1e-4),
        "calibration_error": pytest.approx(calibration_error(tempered, labels), abs=1e-2),
    }
    assert result.calibrated["loss"] != pytest.approx(plain.loss, rel=1e-2)
    # What people are told is the calibrated probability.
    told = by_hand(calibrated(other, temperature), chosen, scales=(36,))
    np.testing.assert_allclose(told, tempered, rtol=0, atol=1e-5)
    assert strict_json(json.dumps(result.to_dict()))["calibrated"] == result.calibrated


def test_fused_models_have_no_temperature(model: Classifier, pictures: Path) -> None:
    sure = calibrated(model, 2.0)
    result = evaluate_samples(
        [sure, sure], samples(pictures, "test"), TestProtocol("dense", (36,), flip=True)
    )
    assert result.calibrated is None


# ---- several tests at once ----


def test_several_tests_at_once_are_each_alone(
    model: Classifier, other: Classifier, tmp_path: Path
) -> None:
    root = write_splits(tmp_path / "data", train=0, val=0, test=6)
    (root / "test" / "green" / "02.png").write_bytes(b"broken")
    chosen = samples(root, "test")
    both = (
        TestProtocol("both", (36, 48), grid=(2, 3), flip=True),
        TestProtocol("both", (40,), grid=(2, 3), flip=True),
    )
    tests = [
        Test(((0, TestProtocol("dense", (36,), flip=True)),)),
        Test(((1, TestProtocol("ten-crop", (36,), flip=False)),)),
        Test(((0, both[0]), (1, both[1]))),
        Test(((0, TestProtocol("crops", (36, 48), grid=(2, 3), flip=True)),)),
        Test(
            (
                (1, TestProtocol("googlenet", (48,), flip=True)),
                (0, TestProtocol("googlenet", (36,), flip=True)),
            )
        ),
    ]
    together = evaluate_tests([model, other], chosen, tests, split="test", root=root)
    for test, result in zip(tests, together, strict=True):
        nets = [(model, other)[number] for number, _ in test.members]
        alone = evaluate_samples(nets, chosen, test.protocols, split="test", root=root)
        ours, theirs = result.to_dict(), alone.to_dict()
        assert ours.pop("seconds") > 0
        assert theirs.pop("seconds") > 0
        for name in ("loss", "calibration_error", "calibration_error_by_chance"):
            assert ours.pop(name) == pytest.approx(theirs.pop(name), rel=1e-5, abs=1e-6)
        assert ours == theirs
        assert ours["images"] == 17
        assert ours["unreadable"] == ["test/green/02.png"]
        one, two = result.answers, alone.answers
        assert (one.names, one.classes) == (two.names, two.classes)
        assert np.array_equal(one.labels, two.labels)
        assert np.allclose(one.posteriors, two.posteriors, rtol=0, atol=1e-6)
        assert np.allclose(one.posteriors.sum(1), np.ones(17))


def test_a_mixture_weighs_nets_then_scales_and_kinds_alike() -> None:
    test = Test(
        (
            (0, TestProtocol("both", (36, 48), grid=(2, 3), flip=True)),
            (2, TestProtocol("center", (40,), flip=True)),
        )
    )
    assert test.mixture() == {
        ViewGroup(0, 36, Dense(flip=True)): 1 / 8,
        ViewGroup(0, 36, Grid(2, 3, flip=True)): 1 / 8,
        ViewGroup(0, 48, Dense(flip=True)): 1 / 8,
        ViewGroup(0, 48, Grid(2, 3, flip=True)): 1 / 8,
        ViewGroup(2, 40, Center(flip=True)): 1 / 2,
    }


@given(
    name=st.sampled_from(NAMES),
    scales=st.lists(
        st.lists(st.integers(32, 512), min_size=1, max_size=5, unique=True), min_size=1, max_size=4
    ),
    flip=st.booleans(),
)
def test_the_weights_of_a_mixture_sum_to_one(
    name: str, scales: list[list[int]], flip: bool
) -> None:
    protocols = [TestProtocol(name, own, flip=flip) for own in scales]
    weights = Test(tuple(enumerate(protocols))).mixture()
    assert math.fsum(weights.values()) == pytest.approx(1, abs=1e-12)
    for net, protocol in enumerate(protocols):
        of_net = [weight for part, weight in weights.items() if part.net == net]
        assert len(of_net) == len(protocol.scales) * len(protocol.kinds)
        assert math.fsum(of_net) == pytest.approx(1 / len(protocols), abs=1e-12)


@given(images=st.integers(0, 2_000_000))
def test_blocks_are_of_8_to_256_pictures_and_grow_with_the_set(images: int) -> None:
    size = block_size(images)
    assert 8 <= size <= 256
    assert size <= block_size(images + 1)
    assert images <= 16 * size or size == 256


# ---- several models ----


def test_two_models_are_fused_by_their_mean(
    model: Classifier, other: Classifier, pictures: Path
) -> None:
    chosen = [*samples(pictures, "val"), *samples(pictures, "test")]
    result = evaluate_samples([model, other], chosen, TestProtocol("dense", (36,), flip=True))
    one, two = by_hand(model, chosen), by_hand(other, chosen)
    assert np.abs(one - two).max() > 0.1
    labels = [sample.label for sample in chosen]
    assert result.loss == pytest.approx(metrics.log_loss(labels, (one + two) / 2), rel=1e-5)
    assert result.models == ("A", "A")
    assert (result.images, result.views) == (len(chosen), 4)


def test_fused_models_each_have_their_own_scales(
    model: Classifier, other: Classifier, pictures: Path
) -> None:
    chosen = mislabelled(pictures)
    protocols = [
        TestProtocol("dense", (36,), flip=True),
        TestProtocol("dense", (48, 33, 40), flip=True),
    ]
    result = evaluate_samples([model, other], chosen, protocols)
    one = by_hand(model, chosen, scales=(36,))
    two = by_hand(other, chosen, scales=(33, 40, 48))
    likely = (one + two) / 2
    np.testing.assert_allclose(result.answers.posteriors, likely, rtol=0, atol=1e-6)
    labels = [sample.label for sample in chosen]
    assert result.loss == pytest.approx(metrics.log_loss(labels, likely), rel=1e-5)
    assert result.scales == (33, 36, 40, 48)
    assert result.views == 2 + 6


def test_the_scales_of_every_model_are_checked(model: Classifier, pictures: Path) -> None:
    protocols = [TestProtocol("dense", (36,), flip=True), TestProtocol("dense", (31,), flip=True)]
    with pytest.raises(InputError, match=r"at least 32.* got 31"):
        evaluate_samples([model, model], samples(pictures, "test"), protocols)


def test_models_of_other_classes_are_not_fused(model: Classifier, pictures: Path) -> None:
    other = dataclasses.replace(model, classes=("red", "green", "blue"))
    with pytest.raises(InputError, match="same classes in the same order"):
        evaluate_samples(
            [model, other], samples(pictures, "test"), TestProtocol("dense", (36,), flip=True)
        )


def test_a_scale_below_the_input_size_is_refused(model: Classifier, pictures: Path) -> None:
    with pytest.raises(InputError, match=r"at least 32.* got 31"):
        evaluate_samples(
            [model], samples(pictures, "test"), TestProtocol("dense", (64, 31), flip=True)
        )


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


def test_relabelling_keeps_boxes_and_order() -> None:
    box = Box(1, 2, 3, 4)
    inside = (Sample(Path("1"), 1, box), Sample(Path("2"), 0), Sample(Path("3"), 1))
    dataset = Dataset(Path("root"), "by hand", ("cat", "dog"), {"test": inside, "val": ()})
    assert relabel(dataset, "test", ("ant", "dog", "eel", "cat")) == (
        Sample(Path("1"), 1, box),
        Sample(Path("2"), 3),
        Sample(Path("3"), 1),
    )
    assert relabel(dataset, "val", ("dog", "cat")) == ()


def test_a_class_that_the_model_does_not_know_is_named(model: Classifier, tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "three", 2)
    (root / "green").rename(root / "grean")
    with pytest.raises(DataError, match=r"'grean'; did you mean 'green'\?"):
        verydeep.evaluate(model, root)


def test_without_data_those_of_the_run_are_taken(trained_run: Path, pictures: Path) -> None:
    how = {"compute": verydeep.Compute("cpu", "fp32")}
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
        with pytest.raises(InputError, match="data="):
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
    record["data"] = record["root"] = str(root / "gone")
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
        evaluate_samples([model], chosen, TestProtocol(name, (40,), flip=True))
        for name in ("center", "dense")
    )
    assert center.loss < dense.loss
