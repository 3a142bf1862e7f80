"""Losses and errors of the objectives against their components."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, box_iou

from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.localization.head import LOSSES, LossName
from verydeep.training.objective import Classification, Localization, Objective

N, K = 40, 3


def batch(boxes: Tensor | None = None) -> MicroBatch:
    labels = torch.arange(N) % K
    empty = torch.empty(N, 0)
    return MicroBatch(empty, labels, empty, step=0, images=len(labels), last=True, boxes=boxes)


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_classification_is_cross_entropy() -> None:
    scores, part = random(N, K), batch()
    plain: Objective = Classification(K)
    assert torch.equal(
        plain.losses(scores, part), F.cross_entropy(scores, part.labels, reduction="none")
    )
    assert torch.equal(plain.wrong(scores, part), scores.argmax(1) != part.labels)
    weights = torch.tensor([1.0, 2.0, 0.5])
    weighted = Classification(K, class_weights=weights).losses(scores, part)
    assert torch.allclose(weighted, plain.losses(scores, part) * weights[part.labels])


def test_localization_looks_at_the_true_class() -> None:
    true = 0.25 + 0.5 * random(N, 4)
    part = batch(true)
    answers = (true[:, None] + 0.4 * (random(N, K, 4) - 0.5)).flatten(1)
    objective: Objective = Localization("euclidean")
    losses, wrong = objective.losses(answers, part), objective.wrong(answers, part)
    for n in range(N):
        label = n % K
        own = answers[n, 4 * label : 4 * label + 4]
        assert losses[n].item() == torch.sum((own - true[n]) ** 2).item()
        corners = [box_convert(box[None], "cxcywh", "xyxy") for box in (own, true[n])]
        assert bool(wrong[n]) == (float(box_iou(*corners)) <= 0.5)
    assert 0 < int(wrong.sum()) < N


def test_an_overlap_of_a_half_is_wrong() -> None:
    """Only larger overlaps are right."""
    true = torch.tensor([[0.5, 0.5, 0.5, 0.5]]).expand(N, 4)
    half = torch.tensor([[0.5, 0.5, 0.5, 0.25]]).expand(N, 4)
    more = torch.tensor([[0.5, 0.5, 0.5, 0.26]]).expand(N, 4)
    assert bool(Localization().wrong(half, batch(true)).all())
    assert not bool(Localization().wrong(more, batch(true)).any())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_equal_scores_is_chance_level(smoothing: float) -> None:
    objective = Classification(K, smoothing)
    loss = objective.losses(torch.zeros(N, K), batch()).mean().item()
    assert objective.chance_of is not None
    assert loss == pytest.approx(math.log(objective.chance_of))
    assert Localization().chance_of is None


@pytest.mark.parametrize("loss", LOSSES)
def test_a_slice_without_images_has_no_loss(loss: LossName) -> None:
    """A process may get none of the images of an update."""
    labels, empty = torch.empty(0, dtype=torch.long), torch.empty(0, 4)
    boxed = MicroBatch(empty, labels, empty, step=0, images=5, last=True, boxes=empty)
    boxes, scores = torch.empty(0, 12, requires_grad=True), torch.empty(0, 3, requires_grad=True)
    for objective, outputs in ((Localization(loss), boxes), (Classification(3, 0.1), scores)):
        objective.losses(outputs, boxed).sum().backward()
        assert outputs.grad is not None
        assert objective.wrong(outputs, boxed).shape == (0,)
