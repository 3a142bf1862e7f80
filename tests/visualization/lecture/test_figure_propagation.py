"""Signal propagation against forward hooks and fan-in theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from verydeep.nets.anatomy import anatomy
from verydeep.nets.initialize import initialize
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.figures import chosen
from verydeep.visualization.lecture.signal_propagation import NET, SIZE, WAYS, draw_signals, signals


def same_draws(variance: float) -> tuple[VGG, Tensor, Tensor]:
    """Return net, image and gradient of seed 0."""
    generator = torch.Generator().manual_seed(0)
    net = VGG(NET, 1, input_size=32, hidden=1)
    initialize(net, "normal", variance=variance, generator=generator)
    picture = torch.randn(1, 3, SIZE, SIZE, generator=generator)
    side = SIZE // 16
    return net, picture, torch.randn(1, 512, side, side, generator=generator)


def test_answers_and_gradients_are_those_that_hooks_see() -> None:
    net, picture, slope = same_draws(1e-4)
    forward: dict[str, float] = {}
    backward: dict[str, float] = {}

    def watch(name: str) -> None:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            forward[name] = output.pow(2).mean().sqrt().item()
            output.register_hook(
                lambda g: backward.__setitem__(name, g.pow(2).mean().sqrt().item())
            )

        net.features.get_submodule(name).register_forward_hook(note)

    names = [name for name, m in net.features.named_children() if isinstance(m, nn.Conv2d)]
    for name in names:
        watch(name)
    net.features[:-2](picture).backward(slope)  # without the last ReLU and pool
    seen = signals("normal", 1e-4)
    assert [signal.layer for signal in seen] == names
    for signal in seen:
        assert signal.forward == pytest.approx(forward[signal.layer], rel=1e-4)
        assert signal.backward == pytest.approx(backward[signal.layer], rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_within_a_block_answers_grow_as_the_fan_says(way: str) -> None:
    """Behind a ReLU half of the mean square is left: each layer's gain is √(fan_in · σ² / 2)."""
    scheme, variance = WAYS[way]
    seen = {signal.layer: signal.forward for signal in signals(scheme, variance)}
    for part in anatomy(NET).parts:
        name, inputs = part.layer.name, part.layer.inputs
        if part.layer.kind != "conv" or name.endswith("_1") or name.startswith("conv5"):
            continue  # behind a pool, or with the rim of a small map
        fan = 9 * inputs
        spread = {"normal": variance, "he": 2 / fan, "glorot": 1 / fan}[scheme]
        before = seen[f"{name[:-1]}{int(name[-1]) - 1}"]
        assert seen[name] / before == pytest.approx(math.sqrt(fan * spread / 2), rel=0.25)


def test_the_figure_shows_them() -> None:
    panels = draw_signals().axes
    for axes, what in zip(panels, ("forward", "backward"), strict=True):
        curves = [line for line in axes.lines if len(line.get_xdata()) == 16]
        for line, (title, (scheme, variance)) in zip(curves, WAYS.items(), strict=True):
            assert line.get_label() == title
            values = [getattr(signal, what) for signal in signals(scheme, variance)]
            assert np.allclose(line.get_ydata(), values)


def test_its_words_tell_the_numbers() -> None:
    (figure,) = chosen(["initialisation"])
    forward, backward = figure.alt.split("Backward")
    seen = {title: signals(*way) for title, way in WAYS.items()}
    ends = [(seen[title][-1].forward, seen[title][0].backward) for title in WAYS]
    (big, big_slope), (small, small_slope), (glorot, glorot_slope), (_, he_slope) = ends
    he = [signal.forward for signal in seen["He"]]
    assert f"to {big / 1e6:.0f} million" in forward
    assert f"to {small * 1e9:.0f} billionths" in forward
    assert f"to {glorot:.4f};" in forward
    assert f"between {min(he):.1f} and {max(he):.1f}." in forward
    assert f"{big_slope / 1e6:.0f} million, {small_slope * 1e9:.0f} billionths" in backward
    assert f"{glorot_slope:.4f} and {he_slope:.2g}." in backward


def test_seeds_differ_and_are_kept() -> None:
    before = torch.get_rng_state()
    one, other = signals("he"), signals("he", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert one == signals("he")
    assert one != other
