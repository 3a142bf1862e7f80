"""Losses of boxes: closed form, PyTorch's own, gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from verydeep.localization.head import (
    BEND,
    LOSSES,
    as_boxes,
    euclidean,
    of_class,
    outputs_for,
    smooth_l1,
)

Loss = Callable[[Tensor, Tensor], Tensor]
NUMBERS = st.lists(st.floats(-3, 3), min_size=8, max_size=8)


@given(NUMBERS)
def test_euclidean_is_the_square_of_the_distance(numbers: list[float]) -> None:
    found, true = torch.tensor(numbers, dtype=torch.float64).view(2, 4)
    distance = torch.linalg.vector_norm(found - true)
    assert euclidean(found, true).item() == pytest.approx(float(distance) ** 2, abs=1e-12)


@given(NUMBERS)
def test_smooth_l1_is_pytorchs_but_for_its_unit(numbers: list[float]) -> None:
    found, true = torch.tensor(numbers, dtype=torch.float64).view(2, 4)
    theirs = 2 * BEND * F.smooth_l1_loss(found, true, reduction="sum", beta=BEND)
    assert smooth_l1(found, true).item() == pytest.approx(theirs.item(), abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_are_finite_differences(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(1)
    # Far from the bend, where the second derivative jumps.
    found = torch.tensor([[0.5, 0.2, 1.4, -0.3], [0.52, 0.47, 0.49, 0.51]], dtype=torch.float64)
    true = 0.5 + 0.01 * torch.rand(2, 4, generator=generator, dtype=torch.float64)
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, true), found)
    assert loss(true, true).tolist() == [0, 0]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_only_the_true_class_bears_loss(loss: Loss) -> None:
    """PCR: the four numbers of every other class have no gradient at all."""
    K, labels = 5, torch.tensor([3, 0, 4])
    answers = torch.rand(3, 4 * K, requires_grad=True)
    loss(of_class(as_boxes(answers), labels), torch.rand(3, 4)).sum().backward()
    assert answers.grad is not None
    for row, label in zip(answers.grad, labels.tolist(), strict=True):
        own = slice(4 * label, 4 * label + 4)
        assert bool((row[own] != 0).all())
        row[own] = 0
        assert not row.any()


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_boxes_lie_one_behind_the_other(shape: tuple[int, ...]) -> None:
    answers = torch.arange(24.0).view(2, 12, *[1 for _ in shape]).expand(2, 12, *shape)
    boxes = as_boxes(answers)
    assert boxes.shape == (2, 3, 4, *shape)
    second = of_class(boxes, torch.tensor([1, 2]))
    assert second.shape == (2, 4, *shape)
    assert second.reshape(2, 4, -1)[..., 0].tolist() == [[4, 5, 6, 7], [20, 21, 22, 23]]


def test_one_box_for_all_is_that_of_any_class() -> None:
    answers = torch.rand(4, outputs_for(7, per_class=False))
    assert torch.equal(of_class(as_boxes(answers), torch.tensor([6, 0, 3, 3])), answers)
