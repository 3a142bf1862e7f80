"""The net of 1989 against its published numbers and against loops over units and connections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from verydeep.errors import InputError, SizeError
from verydeep.nets.layer_outputs import trace
from verydeep.nets.lecun1989 import LeCun1989, connections, lecun1989

Array = NDArray[np.float64]

GROUPS = {0: range(8), 1: [0, 1, 2, 3, 8, 9, 10, 11], 2: range(4, 12)}
"""Maps of H1 that each group of four maps of H2 reads, written out."""


def squash(x: Array) -> Array:
    return 1.7159 * np.tanh(2 * x / 3)


def below(maps: Array, channel: int, row: int, column: int) -> float:
    """Return a value of a map, or the background beyond its border."""
    side = maps.shape[1]
    return maps[channel, row, column] if 0 <= row < side and 0 <= column < side else -1.0


def layer(maps: Array, weight: Array, bias: Array, sources: list[list[int]]) -> Array:
    """Return the sums of a convolution of 5x5 with stride 2, one connection at a time."""
    sums = bias.copy()
    for output, row, column in np.ndindex(*bias.shape):
        for place, source in enumerate(sources[output]):
            for y, x in np.ndindex(5, 5):
                value = below(maps, source, 2 * row + y - 2, 2 * column + x - 2)
                sums[output, row, column] += weight[output, place, y, x] * value
    return sums


def by_loops(net: LeCun1989, image: Array) -> Array:
    w = {name: value.detach().double().numpy() for name, value in net.named_parameters()}
    h1 = squash(layer(image, w["features.conv1.weight"], w["features.conv1.bias"], [[0]] * 12))
    wires = [[*GROUPS[output // 4]] for output in range(12)]
    h2 = squash(layer(h1, w["features.conv2.weight"], w["features.conv2.bias"], wires))
    h3 = squash(w["classifier.fc3.weight"] @ h2.flatten() + w["classifier.fc3.bias"])
    return squash(w["classifier.fc4.weight"] @ h3 + w["classifier.fc4.bias"])


@pytest.fixture
def net() -> LeCun1989:
    torch.manual_seed(0)
    made = lecun1989().double().eval()
    for parameter in made.parameters():
        parameter.data.normal_(0, 0.1)
    return made


def test_its_layers_have_the_published_parameters_and_connections() -> None:
    net = lecun1989()
    counts = {part.layer.name: part.parameters for part in net.anatomy().parts if part.parameters}
    assert counts == {"conv1": 1068, "conv2": 2592, "fc3": 5790, "fc4": 310}
    assert sum(parameter.numel() for parameter in net.parameters()) == 9760
    assert connections(net) == 64660
    assert net.anatomy().receptive_field == 13  # of H2


def test_its_scores_are_those_of_loops(net: LeCun1989) -> None:
    image = torch.rand(2, 1, 16, 16, dtype=torch.float64) * 2 - 1
    wanted = np.stack([by_loops(net, one.numpy()) for one in image])
    np.testing.assert_allclose(net(image).detach().numpy(), wanted, rtol=1e-10)


def test_its_gradients_are_those_of_differences_of_loops(net: LeCun1989) -> None:
    image = torch.rand(1, 1, 16, 16, dtype=torch.float64) * 2 - 1
    target = np.where(np.arange(10) == 3, 1.0, -1.0)

    def loss() -> float:
        return float(np.square(by_loops(net, image[0].numpy()) - target).mean())

    (net(image) - torch.tensor(target)).square().mean().backward()
    generator = np.random.default_rng(0)
    for parameter in net.parameters():
        assert parameter.grad is not None
        place = int(generator.integers(parameter.numel()))
        flat = parameter.data.view(-1)
        before, losses = float(flat[place]), []
        for step in (1e-5, -1e-5):
            flat[place] = before + step
            losses.append(loss())
        flat[place] = before
        slope = (losses[0] - losses[1]) / 2e-5
        assert float(parameter.grad.flatten()[place]) == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_initial_weights_are_uniform_by_fan_in() -> None:
    torch.manual_seed(0)
    net = lecun1989()
    fans = {
        "features.conv1": 25,
        "features.conv2": 200,
        "classifier.fc3": 192,
        "classifier.fc4": 30,
    }
    for path, fan_in in fans.items():
        weight = net.get_parameter(f"{path}.weight").detach()
        bound = 2.4 / fan_in
        assert float(weight.abs().max()) <= bound
        assert float(weight.abs().max()) > 0.9 * bound
        assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not net.get_parameter(f"{path}.bias").any()


def test_targets_are_fixed_points_of_the_scaled_tanh(net: LeCun1989) -> None:
    squashed = net.features.act1(torch.tensor([1.0, -1.0]))
    torch.testing.assert_close(squashed, torch.tensor([1.0, -1.0]), atol=1e-4, rtol=0)


def test_only_images_of_16_pixels_are_read(net: LeCun1989) -> None:
    for size in ((20, 20), (16, 24)):
        with pytest.raises(SizeError, match=r"it has no dense form; rescale or crop"):
            net(torch.zeros(1, 1, *size, dtype=torch.float64))
    with pytest.raises(SizeError, match=r"input_size must be 16"):
        LeCun1989(input_size=32)


def test_what_came_later_is_a_setting() -> None:
    net = lecun1989(activation="relu", output="linear", dropout=0.25, width=0.5)
    assert [name for name, _ in net.named_layers()] == [
        *("conv1", "act1", "conv2", "act2", "drop3", "fc3", "act3", "fc4")
    ]
    assert net.features.conv1.weight.shape == (6, 1, 5, 5)
    with pytest.raises(InputError, match=r"activation must be tanh or relu, got 'elu' instead"):
        lecun1989(activation="elu")


def test_the_layers_between_are_named(net: LeCun1989) -> None:
    maps = trace(net, torch.zeros(1, 1, 16, 16, dtype=torch.float64), ["conv1", "act2", "fc3"])
    assert {name: tuple(values.shape) for name, values in maps.items()} == {
        "conv1": (1, 12, 8, 8),
        "act2": (1, 12, 4, 4),
        "fc3": (1, 30, 1, 1),
    }
