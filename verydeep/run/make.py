"""The net and the optimiser of a recipe."""

from __future__ import annotations

import torch

from verydeep.classifier import load
from verydeep.data.samples import Dataset
from verydeep.errors import ModelError
from verydeep.nets.initialize import LayerOrigin, copy_layers, initialize
from verydeep.nets.vgg import VGG
from verydeep.progress import Progress
from verydeep.recipe import Recipe


def make_net(
    recipe: Recipe, dataset: Dataset, progress: Progress, *, initialized: bool = True
) -> VGG:
    """Make the recipe's net for a data set's classes, and initialise it unless told not to."""
    net = VGG(classes=len(dataset.classes), **recipe.net.model_dump())
    if not initialized:
        return net
    initialize(net, recipe.initialize.scheme, variance=recipe.initialize.variance)
    source = recipe.initialize.source
    if source:
        shallower = load(source, device="cpu", precision="fp32")
        same = shallower.classes == dataset.classes
        refuse = {} if same else {"fc8": "the classes differ"}
        report = copy_layers(shallower.net, net, recipe.initialize.layers, refuse=refuse)
        _check_copied(report, source)
        progress.say(f"from {source} (net {shallower.net.name}):")
        for origin in report:
            progress.say(f"  {origin}")
    return net


def _check_copied(report: list[LayerOrigin], source: str) -> None:
    if not any(origin.copied for origin in report):
        reasons = "".join(f"\n  {origin}" for origin in report)
        raise ModelError(f"{source}: no layer of it fits this net:{reasons}")


def make_optimizer(net: torch.nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Return the paper's optimiser: SGD with momentum and L2 penalty on every parameter."""
    training = recipe.training
    return torch.optim.SGD(
        net.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        fused=all(parameter.device.type in ("cpu", "cuda") for parameter in net.parameters()),
    )
