"""What is learned about abstaining, what is decided, and what a test measures of it."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from verydeep.errors import InputError
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.fit import LearnedAbstention, fit_abstention
from verydeep.evaluation.abstention.measured import learned_for, measure_abstention
from verydeep.evaluation.abstention.promises import Promises
from verydeep.evaluation.calibration import temper
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.significance import wilson_interval

PROMISES = Promises(promise_error=8.0, confidence=90.0, coverage=90.0, refuse=5.0)


def images(
    generator: np.random.Generator, count: int, classes: int = 4
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Return overconfident posteriors, true classes, and distances that grow with the doubt."""
    true = generator.dirichlet(np.full(classes, 0.15), count)
    labels = (generator.random((count, 1)) > true.cumsum(1)).sum(1).clip(max=classes - 1)
    sharp = (true + 1e-4) ** 1.7
    likely = (sharp / sharp.sum(1, keepdims=True)).astype(np.float32)
    distances = generator.random(count).astype(np.float32) + (1 - true.max(1)).astype(np.float32)
    return likely, labels, distances


def learn(count: int, seed: int = 0, promises: Promises = PROMISES) -> LearnedAbstention:
    found = images(np.random.default_rng(seed), count)
    return fit_abstention(
        *found, promises, split="val", protocol="dense", layer="fc7", reference=100
    )


# ---- what is promised together ----


@pytest.mark.slow
def test_all_promises_hold_for_the_rule_as_a_whole() -> None:
    """With temperature, limit and threshold in play, as images meet them, over many draws."""
    generator = np.random.default_rng(7)
    broken, covered, refused, answering, repeats = 0, [], [], 0, 150
    new, labels, far = images(generator, 8_000)
    for _ in range(repeats):
        given = images(generator, 300)
        learned = fit_abstention(*given, PROMISES, split="val", protocol="dense")
        likely = new
        if learned.calibration and learned.calibration.kept:
            likely = temper(new, learned.calibration.temperature)
        decided = learned.abstention.decide(likely, far)
        assert decided.sets is not None
        assert decided.unlike is not None
        covered.append(decided.sets[np.arange(len(labels)), labels].mean())
        refused.append(decided.unlike.mean())
        if learned.abstention.threshold and decided.abstained is not None:
            answering += 1
            wrong = (likely.argmax(1) != labels)[~decided.abstained]
            broken += wrong.mean() > 0.08
    assert answering > repeats / 2
    assert broken / repeats <= 0.1 + 3 * (0.09 / repeats) ** 0.5
    assert np.mean(covered) >= 0.9 - 3 * np.std(covered) / repeats**0.5
    assert np.mean(refused) <= 0.05 + 3 * np.std(refused) / repeats**0.5


def test_learning_is_the_same_every_time_and_divides_the_images() -> None:
    first, second = learn(400), learn(400)
    assert first == second
    assert (first.images, first.first) == (400, 133)
    abstention = first.abstention
    assert first.calibration is not None
    assert abstention.threshold is not None
    assert abstention.familiar is not None
    assert abstention.sets is not None
    assert first.calibration.images == abstention.familiar.images == 133
    assert abstention.threshold.images == abstention.sets.images == 267
    assert first.notes == ()


# ---- what cannot be promised ----


def test_few_images_say_what_is_missing() -> None:
    learned = learn(30, promises=Promises(1.0, 99.0, 99.0, 1.0))
    abstention = learned.abstention
    assert (abstention.threshold, abstention.sets, abstention.familiar) == (None, None, None)
    assert not abstention.refuses
    threshold, sets, familiar = learned.notes
    assert "1 % error among the answered cannot be promised with 99 % confidence" in threshold
    assert "about" in threshold
    assert "needs at least 99 images besides the 10" in sets
    assert "at least 296 calibration images, and there are 30" in familiar
    assert learn(295, promises=Promises(refuse=1.0)).abstention.familiar is None
    assert learn(296, promises=Promises(refuse=1.0)).abstention.familiar is not None


def test_what_is_no_number_is_not_answered() -> None:
    abstention = learn(400).abstention
    likely = np.array([[0.999, 0.001], [np.nan, np.nan]], np.float32)
    for distances in (None, np.zeros(2, np.float32)):
        abstained = abstention.decide(likely, distances).abstained
        assert abstained is not None
        assert abstained.tolist() == [False, True]


def test_images_that_are_all_recognised_need_no_temperature() -> None:
    likely = np.tile(np.array([[0.97, 0.03]], np.float32), (300, 1))
    learned = fit_abstention(
        likely, np.zeros(300, np.int64), None, PROMISES, split="val", protocol="dense"
    )
    assert learned.calibration is None
    threshold = learned.abstention.threshold
    assert threshold is not None
    assert (threshold.wrong, threshold.answered) == (0, 200)
    assert learned.abstention.familiar is None


@pytest.mark.parametrize("name", ["promise_error", "confidence", "coverage", "refuse"])
@pytest.mark.parametrize("value", [0.0, 100.0, -1.0, float("nan")])
def test_promises_are_shares(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}= is in percent, above 0 and below 100"):
        Promises(**{name: value})


# ---- decisions ----


def test_images_are_refused_for_a_reason() -> None:
    learned = learn(400).abstention
    assert learned.threshold is not None
    assert learned.familiar is not None
    limit, least = learned.familiar.limit, learned.threshold.least
    likely = np.array([[0.999, 0.001, 0, 0], [0.999, 0.001, 0, 0], [0.3, 0.3, 0.2, 0.2]])
    decided = learned.decide(likely, [limit, 2 * limit, 0.0])
    assert decided.abstained is not None
    assert decided.abstained.tolist() == [False, True, True]
    assert decided.reason(0) is None
    assert decided.reason(1) == (
        f"unlike the training images: distance {2 * limit:.3g}, limit {limit:.3g}"
    )
    assert decided.reason(2) == (
        f"uncertain: 30.0 % for the likeliest class, {100 * least:.1f} % needed"
    )
    nowhere = learned.decide(likely, np.full(3, np.nan))
    assert nowhere.abstained is not None
    assert nowhere.abstained.all()


def test_without_distances_the_threshold_of_its_own_counts() -> None:
    learned = learn(400).abstention
    assert learned.threshold_alone is not None
    least = learned.threshold_alone.least
    likely = np.array([[least, 1 - least, 0, 0], [least - 1e-6, 1 - least, 0, 0]])
    decided = learned.decide(likely)
    assert decided.unlike is None
    assert decided.threshold == learned.threshold_alone
    assert decided.abstained is not None
    assert decided.abstained.tolist() == [False, True]
    nothing = Abstention("val", "dense").decide(likely)
    assert (nothing.abstained, nothing.sets, nothing.reason(0)) == (None, None, None)


# ---- kept as plain values ----


def test_plain_values_are_read_back() -> None:
    for learned in (learn(400), learn(30, promises=Promises(1.0, 99.0, 99.0, 1.0))):
        assert Abstention.from_dict(asdict(learned.abstention)) == learned.abstention


def test_damaged_values_are_refused() -> None:
    good = asdict(learn(400).abstention)
    for change, message in (
        ({"threshold": 3}, "threshold: no object"),
        ({"sets": {**good["sets"], "least": "much"}}, "sets.least: must be of type float"),
        ({"sets": {"least": 0.5}}, "sets: missing"),
        ({"unknown": 1}, "unexpected keyword argument 'unknown'"),
        ({"split": None}, "abstention.split: must be of type str"),
    ):
        with pytest.raises(ValueError, match=message):
            Abstention.from_dict({**good, **change})


# ---- measured ----


def test_a_test_counts_answers_and_sets() -> None:
    learned = learn(400).abstention
    likely, labels, far = images(np.random.default_rng(5), 100)
    decided = learned.decide(likely, far)
    wrong = likely.argmax(1) != labels
    found = measure_abstention(decided, wrong, labels)
    assert decided.abstained is not None
    assert decided.sets is not None
    given = [i for i in range(100) if not decided.abstained[i]]
    mistakes = sum(bool(wrong[i]) for i in given)
    assert found["answered_images"] == len(given)
    assert found["answered"] == pytest.approx(len(given))
    assert found["answered_error"] == pytest.approx(100 * mistakes / len(given))
    assert found["answered_interval"] == wilson_interval(mistakes, len(given))
    covered = sum(bool(decided.sets[i, labels[i]]) for i in range(100))
    assert found["set_coverage"] == pytest.approx(covered)
    assert found["mean_set_size"] == pytest.approx(decided.sets.sum() / 100)
    assert (found["promised_error"], found["promised_coverage"]) == (8.0, 90.0)


def test_a_test_of_what_was_not_learned_measures_nothing() -> None:
    likely, labels, _ = images(np.random.default_rng(5), 10)
    found = measure_abstention(
        Abstention("val", "dense").decide(likely), np.zeros(10, np.bool_), labels
    )
    assert set(found.values()) == {None}
    unlike = replace(learn(400).abstention, threshold=None, threshold_alone=None)
    decided = unlike.decide(likely, np.full(10, 99.0))
    found = measure_abstention(decided, np.zeros(10, np.bool_), labels)
    assert (found["answered"], found["answered_error"], found["unlike"]) == (0.0, None, 100.0)


def test_it_holds_for_one_model_and_its_own_test_alone() -> None:
    class Net:
        abstention = Abstention("val", str(TestProtocol("dense", (32,), flip=True)))

    same, other = TestProtocol("dense", (32,), flip=True), TestProtocol("dense", (40,), flip=True)
    assert learned_for([Net()], [same]) is Net.abstention
    assert learned_for([Net()], [other]) is None
    assert learned_for([Net(), Net()], [same, same]) is None
