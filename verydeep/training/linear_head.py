"""One linear layer on averaged maps, with the strength of its penalty chosen by cross-validation.

The maps are averaged over their positions, and a logistic regression is fitted to the averages by
L-BFGS: multinomial, or one for each class of multi-label images. It is convex, so nothing depends
on a learning rate or on a seed.

M rows (augmented views of images), D channels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.training.head_loss import Cut, HeadLoss, Rows

STEPS = 200
"""Maximum number of L-BFGS steps of a fit."""

LENGTH = 10.0
"""Mean length of the averages in a fit, so that penalties do not depend on a net's scaling."""


@dataclass(frozen=True)
class StrengthTrial:
    """Cross-validation of a penalty.

    Attributes:
        strength: Factor on half of the squared weights.
        loss: Mean weighted loss of held-out rows, in nats.
        error: Held-out rows with a wrong answer, in percent.
    """

    strength: float
    loss: float
    error: float


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted layer: scores are ``averages @ weight.T + bias``.

    Attributes:
        weight: float32 (K, D).
        bias: float32 (K,).
        strength: Penalty that it was fitted with.
        trials: Cross-validation of every candidate; empty for a single one, and where the images
            are too few for it.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    trials: tuple[StrengthTrial, ...] = ()

    def scores(self, values: Tensor) -> Tensor:
        """Return scores (M, K) of averages (M, D)."""
        return F.linear(values, self.weight, self.bias)


def fit_linear_head(
    rows: Rows,
    loss: HeadLoss,
    strengths: Sequence[float],
    *,
    folds: int = 5,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> LinearHead:
    """Fit a linear layer with the penalty of the lowest cross-validated loss.

    Folds are drawn by image and class, so that no image is fitted and held out in two views. If no
    class has two images, nothing can be held out: the middle one of the penalties is taken.

    Args:
        rows: Averaged maps.
        loss: What it learns.
        strengths: Candidate penalties.
        folds: Number of folds; fewer if a class has fewer images.
        seed: Seed of the folds.
        progress: Called with the number of finished fits.
    """
    if len(strengths) == 1:
        return _fit(rows, loss, strengths[0])
    cuts = list(loss.cuts(rows, folds, seed))
    if not cuts:
        return _fit(rows, loss, sorted(strengths)[len(strengths) // 2])
    trials = tuple(_cross_validated(rows, loss, strengths, cuts, progress))
    best = min(trials, key=lambda trial: trial.loss)
    fitted = _fit(rows, loss, best.strength)
    return LinearHead(fitted.weight, fitted.bias, best.strength, trials)


def set_linear_head(layer: nn.Linear, head: LinearHead) -> None:
    """Write a fitted head into the layer that reads a flattened map, (K, D·s·s).

    The score of an average is the average of the scores, so that every position gets 1/s² of the
    weight.
    """
    positions = layer.in_features // head.weight.shape[1]
    with torch.no_grad():
        layer.weight.copy_((head.weight / positions).repeat_interleave(positions, dim=1))
        layer.bias.copy_(head.bias)


def _cross_validated(
    rows: Rows,
    loss: HeadLoss,
    strengths: Sequence[float],
    cuts: Sequence[Cut],
    progress: Callable[[int], None],
) -> Iterator[StrengthTrial]:
    done = 0
    for strength in strengths:
        total, wrong, count = 0.0, 0, 0
        for kept, held in cuts:
            head, tested = _fit(rows.take(kept), loss, strength), rows.take(held)
            scores = head.scores(tested.values)
            total += float(loss.losses(scores, tested.labels).sum())
            wrong += int(loss.wrong(scores, tested.labels).sum())
            count += len(held)
            done += 1
            progress(done)
        yield StrengthTrial(strength, total / count, 100 * wrong / count)


def _fit(rows: Rows, loss: HeadLoss, strength: float) -> LinearHead:
    """Fit on averages of mean length LENGTH, and return the layer for them as they are."""
    scale = rows.values.norm(dim=1).mean().clamp_min(1e-12).double() / LENGTH
    values = rows.values.double() / scale
    weight = torch.zeros(loss.outputs, values.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(loss.outputs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = loss.losses(F.linear(values, weight, bias), rows.labels)
        cost = loss.fit_factor * losses.mean() + strength / 2 * weight.square().sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return LinearHead((weight.detach() / scale).float(), bias.detach().float(), strength)
