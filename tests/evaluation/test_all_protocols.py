"""All protocols at once: the paper's rows, each with the numbers of its test alone."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import COLOURS, strict_json

from verydeep.data.pipeline import workers as loading
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError, InputError
from verydeep.evaluation.all_protocols import EvaluationTable, measure_table, plan_tests
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.joint_tests import check_tests, measure_tests, one_test
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.protocol_table import letter_of
from verydeep.evaluation.softmax import softmax
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine
from verydeep.system.group.distributed import Group

SCALES = (
    {"single": (36,), "multi": (32, 36, 41)},
    {"single": (40,), "multi": (36, 40, 44)},
)
"""Of each net by section 4.2 of the paper, 32 pixels being 5 of a crop of 32."""

OWN = {"ten-crop": (37,), "googlenet": (37, 41, 46, 50)}

COMMON = TestProtocol(grid=(2, 2), flip=True)

ONE_NET = (
    ("a", 3, "dense", "single", (0,)),
    ("b", 4, "dense", "multi", (0,)),
    ("c", 5, "crops", "multi", (0,)),
    ("d", 5, "both", "multi", (0,)),
    ("e", None, "center", "single", (0,)),
    ("f", None, "ten-crop", None, (0,)),
    ("g", None, "googlenet", None, (0,)),
)
TWO_NETS = (
    ("a", 3, "dense", "single", (0,)),
    ("b", 3, "dense", "single", (1,)),
    ("c", 4, "dense", "multi", (0,)),
    ("d", 4, "dense", "multi", (1,)),
    ("e", 5, "crops", "multi", (0,)),
    ("f", 5, "both", "multi", (0,)),
    ("g", 5, "crops", "multi", (1,)),
    ("h", 5, "both", "multi", (1,)),
    ("i", 6, "dense", "multi", (0, 1)),
    ("j", 6, "crops", "multi", (0, 1)),
    ("k", 6, "both", "multi", (0, 1)),
    ("l", None, "center", "single", (0,)),
    ("m", None, "center", "single", (1,)),
    ("n", None, "ten-crop", None, (0,)),
    ("o", None, "googlenet", None, (0,)),
    ("p", None, "ten-crop", None, (1,)),
    ("q", None, "googlenet", None, (1,)),
)
"""Letter, table of the paper, protocol, scales, nets."""


def classifier(seed: int, name: str, train_scale: tuple[int, int] = (36, 36)) -> Classifier:
    torch.manual_seed(seed)
    net = vgg(name, 3, input_size=32, width=0.125, hidden=64)
    torch.nn.init.normal_(net.classifier.fc8.weight, 0, 2)
    return Classifier(
        net=net.eval(),
        classes=tuple(sorted(COLOURS)),
        preprocessing=Preprocessing((120.0, 110.0, 100.0), 50.0),
        train_scale=train_scale,
        test_scales=(36,),
        machine=choose_machine("cpu", "fp32"),
    )


@pytest.fixture(scope="module")
def models() -> list[Classifier]:
    return [classifier(1, "A"), classifier(2, "B", (36, 44))]


@pytest.fixture(scope="module")
def samples(pictures: Path) -> list[Sample]:
    return [
        Sample(path, label)
        for label, name in enumerate(sorted(COLOURS))
        for path in sorted((pictures / "test" / name).iterdir())
    ]


def by_hand(net: int, name: str, scales: str | None) -> TestProtocol:
    return TestProtocol(name, SCALES[net][scales] if scales else OWN[name], grid=(2, 2), flip=True)


@pytest.fixture(scope="module")
def measure(
    models: list[Classifier], samples: list[Sample], pictures: Path
) -> Callable[[int], EvaluationTable]:
    """The table of the first nets, measured once."""
    found: dict[int, EvaluationTable] = {}

    def table(count: int) -> EvaluationTable:
        if count not in found:
            how = {"split": "test", "root": pictures, "workers": 0}
            found[count] = measure_table(models[:count], samples, COMMON, **how)
        return found[count]

    return table


both = pytest.mark.parametrize(("count", "rows"), [(1, ONE_NET), (2, TWO_NETS)])


@both
def test_rows_stand_in_the_order_of_the_papers_tables(
    count: int, rows: tuple, measure: Callable, models: list[Classifier]
) -> None:
    table = measure(count)
    assert [row.letter for row in table.rows] == [letter for letter, *_ in rows]
    for row, (_, number, name, scales, nets) in zip(table.rows, rows, strict=True):
        own = {q for net in nets for q in (SCALES[net][scales] if scales else OWN[name])}
        assert row.result.protocol == name
        assert row.result.scales == tuple(sorted(own))
        assert row.result.models == tuple(models[net].name for net in nets)
        others = "other protocols" in row.table
        assert others if number is None else f"(Table {number})" in row.table


@both
def test_every_row_is_its_test_alone(
    count: int, rows: tuple, measure: Callable, models: list[Classifier], samples: list[Sample]
) -> None:
    for row, (_, _, name, scales, nets) in zip(measure(count).rows, rows, strict=True):
        protocols = [by_hand(net, name, scales) for net in nets]
        alone = evaluate_samples([models[net] for net in nets], samples, protocols, workers=0)
        ours = row.result
        assert ours.loss == pytest.approx(alone.loss, rel=1e-6, abs=1e-6)
        assert (ours.top1_error, ours.top5_error) == (alone.top1_error, alone.top5_error)
        assert (ours.images, ours.views, ours.steps) == (12, alone.views, alone.steps)
        likely, theirs = ours.answers.posteriors, alone.answers.posteriors
        assert np.allclose(likely, theirs, rtol=0, atol=1e-6)


def test_the_rows_differ(measure: Callable) -> None:
    losses = [row.result.loss for row in measure(2).rows]
    assert len({round(loss, 6) for loss in losses}) == len(losses)
    assert len({row.result.top1_error for row in measure(2).rows}) > 1


@both
def test_every_pair_of_rows_is_compared(count: int, rows: tuple, measure: Callable) -> None:
    table = measure(count)
    comparisons = list(table.comparisons())
    pairs = [(first.letter, second.letter) for first, second, _ in comparisons]
    letters = [letter for letter, *_ in rows]
    assert pairs == [(a, b) for i, a in enumerate(letters) for b in letters[i + 1 :]]
    for first, second, comparison in comparisons:
        only = Counter(
            zip(
                first.result.answers.wrong.tolist(),
                second.result.answers.wrong.tolist(),
                strict=True,
            )
        )
        one, two = only[True, False], only[False, True]
        assert (comparison.only_first_wrong, comparison.only_second_wrong) == (one, two)
        tail = sum(math.comb(one + two, k) for k in range(min(one, two) + 1))
        assert comparison.p_value == pytest.approx(min(1, 2 * tail / 2 ** (one + two)))
        difference = first.result.top1_error - second.result.top1_error
        assert difference == pytest.approx(100 * (one - two) / 12)


@both
def test_the_papers_strongest_row_stands_at_the_top(
    count: int, rows: tuple, measure: Callable
) -> None:
    table = measure(count)
    best = table.best_known
    assert best.letter == [letter for letter, _, name, _, _ in rows if name == "both"][-1]
    assert len(best.result.models) == count
    plain = strict_json(json.dumps(table.to_dict()))
    assert plain == table.to_dict()
    assert set(plain) >= {
        *("top1_error", "top5_error", "loss", "images", "unreadable", "protocol", "scales"),
        *("seconds", "top_row", "tests", "comparisons"),
    }
    of_row = best.result.to_dict()
    for name in ("top1_error", "top5_error", "loss", "images", "unreadable", "models", "split"):
        assert plain[name] == of_row[name]
    assert (plain["protocol"], plain["top_row"]) == ("all", best.letter)
    all_scales = sorted({32, 36, 37, 41, 46, 50} | ({40, 44} if count > 1 else set()))
    assert plain["scales"] == all_scales
    assert plain["seconds"] == table.seconds > 0


@both
def test_all_rows_and_pairs_are_in_the_plain_values(
    count: int, rows: tuple, measure: Callable
) -> None:
    table = measure(count)
    plain = table.to_dict()
    assert [test["row"] for test in plain["tests"]] == [letter for letter, *_ in rows]
    for test, row in zip(plain["tests"], table.rows, strict=True):
        assert test == {"row": row.letter, "table": row.table, **row.result.to_dict()}
        assert test["split"] == "test"
    for entry, (first, second, found) in zip(
        plain["comparisons"], table.comparisons(), strict=True
    ):
        assert entry == {
            "first": first.letter,
            "second": second.letter,
            "only_first_wrong": found.only_first_wrong,
            "only_second_wrong": found.only_second_wrong,
            "p_value": found.p_value,
        }


def test_every_picture_is_read_once(
    models: list[Classifier], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, read = loading.decode, []
    monkeypatch.setattr(loading, "decode", lambda path, *a: read.append(path) or decode(path, *a))
    measure_table(models, samples[:3], COMMON, workers=0)
    assert sorted(read) == sorted(sample.path for sample in samples[:3])


def test_what_tests_share_is_shown_once(
    models: list[Classifier], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Counter()
    score_map = Classifier.score_map

    def counting(self: Classifier, views: torch.Tensor) -> torch.Tensor:
        shown[self.name, views.shape[2] == views.shape[3] == 32] += len(views)
        return score_map(self, views)

    monkeypatch.setattr(Classifier, "score_map", counting)
    measure_table(models, samples[:1], COMMON, workers=0)  # an image of 40x48
    # Whole images at three scales, with mirror images, for Tables 3 to 6 together.
    assert (shown["A", False], shown["B", False]) == (6, 6)


def test_unreadable_pictures_are_named_in_every_row(
    models: list[Classifier], samples: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    chosen = [samples[0], Sample(tmp_path / "broken.png", 1), samples[-1]]
    table = measure_table(models[:1], chosen, COMMON, root=tmp_path, workers=0)
    for row in table.rows:
        assert (row.result.images, row.result.unreadable) == (2, ("broken.png",))
    assert table.to_dict()["unreadable"] == ["broken.png"]
    with pytest.raises(DataError, match="none of the 1 images"):
        measure_table(models[:1], chosen[1:2], COMMON, workers=0)


def test_a_scale_below_the_input_size_is_refused(
    models: list[Classifier], samples: list[Sample]
) -> None:
    small = dataclasses.replace(models[0], train_scale=(31, 31))
    with pytest.raises(InputError, match="at least 32"):
        measure_table([small], samples, COMMON)


def test_volumes_are_tested_by_all_protocols_but_those_of_images(
    models: list[Classifier],
) -> None:
    net = vgg("A", 3, input_size=32, width=0.03, hidden=8, dimensions=3).eval()
    solid = dataclasses.replace(models[0], net=net)
    tests = [test for _, test in plan_tests([solid], COMMON)]
    check_tests([solid], tests)
    names = [protocol.name for test in tests for protocol in test.protocols]
    assert names == ["dense", "dense", "crops", "both", "center"]
    for name in ("ten-crop", "googlenet"):
        with pytest.raises(InputError, match="are of images"):
            check_tests([solid], [one_test([solid], TestProtocol(name))])


def test_posteriors_are_copied_only_to_leave_out_unreadable_images(
    models: list[Classifier],
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole: list[np.ndarray] = []

    def join_rows(*given: Any, **more: Any) -> Any:
        whole.append(join(*given, **more))
        return whole[-1]

    join = Group.join_rows
    monkeypatch.setattr(Group, "join_rows", join_rows)
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = Sample(tmp_path / "broken.png", 0)
    tests = [one_test(models[:1], TestProtocol("center", (36,)))]
    for chosen, copied in ((samples[:2], False), ([samples[0], broken, samples[1]], True)):
        found = measure_tests(models[:1], Samples.of(chosen), tests, softmax, workers=0)
        assert np.shares_memory(found.posteriors, whole[-1]) is not copied
        assert np.array_equal(found.posteriors, whole[-1][:, found.good])


def test_more_rows_than_letters_go_on_with_two() -> None:
    letters = [letter_of(place) for place in range(60)]
    assert letters[25:28] == ["z", "aa", "ab"]
    assert letters[51:53] == ["az", "ba"]
    assert len(set(letters)) == 60
