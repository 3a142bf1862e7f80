"""Binary cross-entropy of label sets against PyTorch's and its closed form."""

from __future__ import annotations

import math

import pytest
import torch
from test_objective import batch, random
from torch import Tensor
from torch.nn import functional as F

from verydeep.data.label_sets import LabelSets
from verydeep.data.pipeline.balance import positive_weights
from verydeep.training.label_objective import MultiLabel
from verydeep.training.objective import AUXILIARY_WEIGHT, Objective

SETS = LabelSets.of([(), (0, 2), (1,)])
TABLE = torch.from_numpy(SETS.indicators(4))
PART = batch()  # labels 0, 1, 2 in turn
TRUTH = TABLE[PART.labels].float()


def scores() -> Tensor:
    return 6 * (random(len(PART.labels), 4) - 0.5)


def test_the_loss_is_the_mean_over_classes() -> None:
    objective: Objective = MultiLabel(TABLE)
    given = scores()
    expected = F.binary_cross_entropy(given.sigmoid(), TRUTH, reduction="none").mean(1)
    assert torch.allclose(objective.losses(given, PART), expected, atol=1e-6)
    assert torch.equal(objective.wrong(given, PART), ((given >= 0) != TRUTH.bool()).any(1))
    assert objective.losses(torch.zeros_like(given), PART).tolist() == pytest.approx(
        [math.log(2)] * len(given)
    )
    assert (objective.error, objective.chance_of) == ("subset_error", None)


def test_the_loss_is_stable_for_extreme_scores() -> None:
    given = torch.full((len(PART.labels), 4), 1e4).requires_grad_()
    losses = MultiLabel(TABLE).losses(given, PART)
    assert losses.tolist() == pytest.approx((1e4 * (1 - TRUTH).mean(1)).tolist())
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()


def test_smoothing_spreads_a_share_over_both_outcomes() -> None:
    given, share = scores(), 0.2
    probability = given.double().sigmoid()
    soft = TRUTH.double() * (1 - share) + share / 2
    expected = -(soft * probability.log() + (1 - soft) * (1 - probability).log()).mean(1)
    found = MultiLabel(TABLE, share).losses(given, PART)
    assert torch.allclose(found.double(), expected, atol=1e-6)


def test_weights_balance_presence_and_absence() -> None:
    counts = SETS.images_of_classes(PART.labels.numpy(), 4)
    weights = torch.tensor(positive_weights(counts, len(PART.labels)))
    found = MultiLabel(TABLE, positive_weights=weights)
    zero = torch.zeros(len(PART.labels), 4)
    by_class = F.binary_cross_entropy_with_logits(
        zero, TRUTH, pos_weight=weights.float(), reduction="none"
    )
    assert torch.allclose(found.losses(zero, PART), by_class.mean(1))
    for label in range(3):  # the fourth class never occurs
        present = by_class[:, label][TRUTH[:, label].bool()].sum()
        absent = by_class[:, label][~TRUTH[:, label].bool()].sum()
        assert float(present) == pytest.approx(float(absent), rel=1e-5)


def test_auxiliary_heads_count_with_their_weight() -> None:
    first, second = scores(), scores() + 1
    one = MultiLabel(TABLE)
    both = one.losses(torch.stack([first, second], 1), PART)
    expected = one.losses(first, PART) + AUXILIARY_WEIGHT * one.losses(second, PART)
    assert torch.allclose(both, expected)
    assert torch.equal(one.wrong(torch.stack([first, second], 1), PART), one.wrong(first, PART))
