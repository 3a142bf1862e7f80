"""What is kept of a test's answers, against the whole posteriors and naive sorting."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.evaluation.calibration import reliability
from verydeep.evaluation.confusion import class_errors, confusion_matrix
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import Answers


def answers(images: int, classes: int, seed: int = 0, sharpness: float = 1.0) -> Answers:
    generator = torch.Generator().manual_seed(seed)
    scores = sharpness * torch.randn(images, classes, generator=generator)
    labels = torch.randint(classes, (images,), generator=generator)
    names = tuple(f"p{number:05}.png" for number in range(images))
    likely = scores.softmax(1).numpy()
    return Answers(names, labels.numpy(), likely, tuple(f"class {k}" for k in range(classes)))


SIZES = [(1, 2), (40, 2), (200, 3), (300, 7), (500, 60)]


@pytest.mark.parametrize(("images", "classes"), SIZES)
def test_the_worst_mistakes_are_those_of_naive_sorting(images: int, classes: int) -> None:
    given_ = answers(images, classes)
    record = Record.of(given_)
    wrong = []
    for number, (label, likely) in enumerate(
        zip(given_.labels.tolist(), given_.posteriors.tolist(), strict=True)
    ):
        if int(np.argmax(likely)) != label:
            wrong.append((-max(likely), number))
    assert record.worst_mistakes(12) == [number for _, number in sorted(wrong)[:12]]


@pytest.mark.parametrize(("images", "classes"), SIZES)
def test_the_most_doubtful_have_the_smallest_margins(images: int, classes: int) -> None:
    given_ = answers(images, classes)
    margins = []
    for number, likely in enumerate(given_.posteriors.tolist()):
        first, second, *_ = sorted(likely, reverse=True)
        margins.append((first - second, number))
    expected = [number for _, number in sorted(margins)[:12]]
    assert Record.of(given_).most_doubtful(12) == expected


def test_equal_ones_come_in_the_order_of_the_test() -> None:
    likely = np.full((5, 2), 0.5, np.float32)
    record = Record.of(Answers(tuple("abcde"), np.ones(5, np.int64), likely, ("x", "y")))
    assert record.worst_mistakes(3) == [0, 1, 2]
    assert record.most_doubtful(9) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("images", "classes"), SIZES)
def test_errors_pairs_and_reliability_are_those_of_the_posteriors(
    images: int, classes: int
) -> None:
    given_ = answers(images, classes, sharpness=2.0)
    record = Record.of(given_)
    matrix = confusion_matrix(given_.posteriors, given_.labels)
    assert repr(record.class_errors()) == repr(class_errors(matrix, given_.classes))  # NaN too
    assert np.array_equal(record.wrong, given_.wrong)
    expected = Counter(
        (label, guess)
        for label, guess in zip(given_.labels.tolist(), given_.guesses.tolist(), strict=True)
        if label != guess
    )
    pairs = record.mistaken_pairs()
    assert {(true, guess): count for true, guess, count in pairs} == expected
    assert [count for *_, count in pairs] == sorted(expected.values(), reverse=True)
    assert repr(record.reliability()) == repr(reliability(given_.posteriors, given_.labels))


@given(
    st.integers(1, 30), st.integers(2, 9), st.integers(0, 1000), st.sampled_from([0.1, 1, 30, 200])
)
def test_what_is_written_is_read_back_to_the_last_digit(
    images: int, classes: int, seed: int, sharpness: float
) -> None:
    record = Record.of(answers(images, classes, seed, sharpness))
    lines = [json.dumps(row) for row in record.rows()]
    again = Record.from_rows(map(json.loads, lines), record.classes)
    assert again.names == record.names
    for name in ("labels", "guesses"):
        assert np.array_equal(getattr(again, name), getattr(record, name))
    for name in ("probabilities", "confidences"):
        one, other = (getattr(record_, name).astype(np.float32) for record_ in (again, record))
        assert np.array_equal(one, other)


def test_few_numbers_are_kept_of_many_classes() -> None:
    (row, *_) = Record.of(answers(3, 1000)).rows()
    assert len(row["likeliest"]) == len(row["probabilities"]) == 5
    assert len(json.dumps(row)) < 300


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row.pop("likeliest"),
        lambda row: row.update({"class": "unknown"}),
        lambda row: row.update(likeliest=["class 0"]),
        lambda row: row.update(probabilities="none"),
    ],
)
def test_rows_that_make_no_sense_are_refused(damage: object) -> None:
    rows = list(Record.of(answers(4, 3)).rows())
    damage(rows[2])  # type: ignore[operator]
    with pytest.raises((KeyError, ValueError, TypeError)):
        Record.from_rows(rows, ["class 0", "class 1", "class 2"])
