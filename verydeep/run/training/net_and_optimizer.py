"""Net and optimiser of a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from verydeep.data.dataset import Dataset
from verydeep.errors import ModelError
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.nets.inflate import inflation
from verydeep.nets.initialize import LayerOrigin, copy_layers, initialize
from verydeep.nets.interface import Net
from verydeep.nets.registry import BLOCKS, block_of, build, is_shallowest
from verydeep.recipe.recipe import Recipe
from verydeep.system.device import Machine
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute
from verydeep.training.remedies import Remedies


def make_net(
    recipe: Recipe, dataset: Dataset, progress: Progress, *, outputs: int, initialized: bool = True
) -> Net:
    """Build the recipe's net for a data set and, by default, initialise it.

    Args:
        recipe: Recipe of the run.
        dataset: Data set with the classes to predict.
        progress: Receives the list of copied layers.
        outputs: Number of outputs of the last layer.
        initialized: Whether to initialise the net.

    Raises:
        ModelError: The source model cannot be read, or none of its layers fits.
    """
    net = build(num_classes=outputs, **recipe.net.settings)
    if not initialized:
        return net
    initialize(net, recipe.initialize.scheme, variance=recipe.initialize.variance)
    source = recipe.initialize.source
    if source:
        shallower = load_classifier(source, Compute("cpu", "fp32"), multi_label=None)
        refuse = _new_layers(recipe, net, shallower, dataset)
        start, lifted = recipe.initialize, net.dimensions > shallower.net.dimensions
        fit = inflation(start.inflate, shallower.net.final_map) if lifted else None
        report = copy_layers(shallower.net, net, start.layers, refuse=refuse, fit=fit)
        _check_copied(report, source)
        kernels = f" for images; kernels: {start.inflate}" if lifted else ""
        progress.log(f"from {source} (net {shallower.net.name}{kernels}):")
        for origin in report:
            progress.log(f"  {origin}")
    return net


def _new_layers(recipe: Recipe, net: Net, given: Classifier, dataset: Dataset) -> dict[str, str]:
    """Return the layers that must not be copied, with reasons."""
    if recipe.localization:
        return {"fc8": "it tells boxes"}
    if given.classes == dataset.classes:
        return {}
    return {_last_layer(net): "the classes differ"}


def _last_layer(net: Net) -> str:
    """Return the name of the last layer with weights."""
    layers = net.classifier.named_children()
    return [name for name, layer in layers if isinstance(layer, torch.nn.Linear)][-1]


def frozen_parts(net: Net, recipe: Recipe) -> tuple[torch.nn.Module, ...]:
    """Freeze the parts of the net that the recipe excludes from training, and return them."""
    parts = (net.features,) if recipe.localization and recipe.localization.fine_tune == "fc" else ()
    for part in parts:
        part.requires_grad_(False)
    return parts


def remedies_of(recipe: Recipe, machine: Machine) -> Remedies:
    """Return the changes that a failing training could still try."""
    return Remedies(
        shallower=not is_shallowest(recipe.net.name) and recipe.initialize.source is None,
        batch_norm=recipe.net.norm is None and "batch_norm" in recipe.net.family.settings,
        fp32=machine.precision != "fp32",
    )


def _check_copied(report: list[LayerOrigin], source: str) -> None:
    if not any(origin.copied for origin in report):
        reasons = "".join(f"\n  {origin}" for origin in report)
        raise ModelError(f"{source}: no layer of it fits this net:{reasons}")


def make_optimizer(net: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of the trainable parameters.

    It is the paper's, SGD with momentum and an L2 penalty, or AdamW, whose first coefficient is the
    momentum, and whose weight decay acts on the weights themselves (Loshchilov & Hutter 2019).
    """
    training = recipe.training
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    parts = learning if training.layer_decay == 1 else list(_groups(net, training.layer_decay))
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in learning)
    common: dict[str, Any] = {"weight_decay": training.weight_decay, "fused": fused}
    rate, momentum = training.learning_rate, training.momentum
    if training.optimizer == "adamw":
        return torch.optim.AdamW(parts, lr=rate, betas=(momentum, 0.999), **common)
    return torch.optim.SGD(parts, lr=rate, momentum=momentum, **common)


def _groups(net: torch.nn.Module, decay: float) -> Iterator[dict[str, Any]]:
    """Yield the parameters in groups with their share of the rate, blocks from the last down.

    The head has the whole rate, the last block ``decay`` of it, the block below the square of that.
    """
    blocks: dict[int, list[torch.nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            block = block_of(name)
            blocks.setdefault(BLOCKS + 1 if block is None else block, []).append(parameter)
    for block, parameters in sorted(blocks.items(), reverse=True):
        yield {"params": parameters, "share": decay ** (BLOCKS + 1 - block)}
