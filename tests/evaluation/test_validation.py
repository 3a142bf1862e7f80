"""Validation after an epoch: the figures of a test, from sums, for any number of processes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groups import together
from tiny import COLOURS, write_splits

import verydeep
from verydeep.data.samples import Sample
from verydeep.errors import DataError
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.group_sums import sum_over_images
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.validation import validate_samples
from verydeep.system.group.distributed import Group, joined
from verydeep.system.settings import Compute

HOW = TestProtocol("center", (36,), flip=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("validation") / "data", train=2, val=7, test=0)


def mislabelled(root: Path) -> list[Sample]:
    """List images of which every third has a wrong label."""
    paths = [
        (path, label)
        for label, name in enumerate(sorted(COLOURS))
        for path in sorted((root / "val" / name).iterdir())
    ]
    return [Sample(path, (label + (n % 3 == 0)) % 3) for n, (path, label) in enumerate(paths)]


def validated(run: Path, root: Path) -> Any:
    model = verydeep.load(run, compute=Compute("cpu", "fp32"))
    found, unreadable = validate_samples(model, mislabelled(root), HOW, root=root)
    return [found.loss, found.top1_error, found.top5_error, list(unreadable)]


def test_the_figures_are_those_of_a_test(trained_run: Path, data: Path) -> None:
    loss, first, five, unreadable = validated(trained_run, data)
    model = verydeep.load(trained_run, compute=Compute("cpu", "fp32"))
    tested = evaluate_samples([model], mislabelled(data), HOW)
    assert (first, five, unreadable) == (tested.top1_error, tested.top5_error, [])
    assert 0 < first < 100
    assert loss == pytest.approx(tested.loss, abs=1e-9)


def test_every_number_of_processes_finds_the_same_to_the_last_digit(
    trained_run: Path, data: Path, tmp_path: Path
) -> None:
    broken = data / "val" / "green" / "03.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    try:
        alone = validated(trained_run, data)
        assert alone[-1] == ["val/green/03.png"]
        for size in (2, 3):
            act = functools.partial(validated, trained_run, data)
            assert together(act, size, tmp_path) == [alone] * size
    finally:
        broken.write_bytes(whole)


def test_images_that_cannot_be_read_at_all_are_refused(trained_run: Path, tmp_path: Path) -> None:
    model = verydeep.load(trained_run, compute=Compute("cpu", "fp32"))
    with pytest.raises(DataError, match="none of the 1 images"):
        validate_samples(model, [Sample(tmp_path / "nothing.png", 0)], HOW)


# ---- sums ----


def test_sums_do_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).exponential(3.0, (10_000, 1))
    whole = sum_over_images(values, Group())
    assert whole.tolist() == sum_over_images(values[::-1], Group()).tolist()
    parts = sum_over_images(values[:17], Group()) + sum_over_images(values[17:], Group())
    assert whole.tolist() == parts.tolist()
    assert whole == pytest.approx([values.sum(), 10_000], abs=1e-5)


def add_uneven_shares() -> Any:
    with joined() as group:
        values = np.full((2 * group.rank, 2), 0.1 + group.rank)
        return sum_over_images(values, group).tolist()


def test_a_process_may_have_nothing(tmp_path: Path) -> None:
    first, second = together(add_uneven_shares, 2, tmp_path)
    assert first == second == pytest.approx([2.2, 2.2, 2.0])


def test_what_is_not_finite_is_not_hidden() -> None:
    assert np.isnan(sum_over_images([[np.nan], [1.0]], Group())[0])
