"""Descriptors against the net's layers applied window by window in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torch import Tensor

from transfer.made import classifier, noise
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError
from verydeep.models.engines.eager import PIXELS_AT_MOST, PIXELS_AT_ONCE
from verydeep.transfer.describe import describe_pictures
from verydeep.transfer.descriptor import Descriptor


def described(pictures: list[Image.Image], descriptor: Descriptor) -> Tensor:
    return describe_pictures(
        classifier(), TestPictures(pictures, descriptor.used_scales), descriptor
    )


# ---- the reference ----


def naive(picture: Image.Image, descriptor: Descriptor) -> Tensor:
    """Return the descriptor of an image by loops over scales, flips and positions."""
    net = copy.deepcopy(classifier().net).double()
    scales = []
    for scale in descriptor.used_scales:
        short = min(picture.size)
        size = [max(scale, round(side * scale / short)) for side in picture.size]
        shown = picture.resize(size, Image.Resampling.BILINEAR)
        turned = [shown, ImageOps.mirror(shown)] if descriptor.flip else [shown]
        means = [torch.stack(list(at_positions(net, one, descriptor.layer))) for one in turned]
        scales.append(torch.stack([mean.mean(0) for mean in means]).mean(0))
    vector = torch.stack(scales).mean(0) if descriptor.aggregate == "mean" else torch.cat(scales)
    return vector / vector.square().sum().sqrt()


def at_positions(net: torch.nn.Module, picture: Image.Image, layer: str) -> list[Tensor]:
    """Return a layer's activations at every window of the last map."""
    x = torch.from_numpy(np.array(picture)).double().permute(2, 0, 1)[None]
    x = (x - torch.tensor([120.0, 110.0, 100.0]).double().view(1, 3, 1, 1)) / 50
    with torch.no_grad():
        maps = net.features(x)
        _, _, height, width = maps.shape
        if layer == "pool5":
            return [maps[0, :, i, j] for i in range(height) for j in range(width)]
        windows = [
            maps[:, :, i : i + 2, j : j + 2].flatten(1)
            for i in range(height - 1)
            for j in range(width - 1)
        ]
        hidden = [net.classifier.fc6(window).clamp(min=0) for window in windows]
        if layer == "fc7":
            hidden = [net.classifier.fc7(each).clamp(min=0) for each in hidden]
    return [each[0] for each in hidden]


@pytest.mark.parametrize("layer", ["fc7", "fc6", "pool5"])
@pytest.mark.parametrize(
    ("scales", "flip", "aggregate"),
    [
        ((64,), False, "mean"),
        ((64, 100), True, "mean"),
        ((96, 64), True, "stack"),
        ((64, 80, 128), False, "stack"),
    ],
)
def test_vectors_are_those_of_the_layers_window_by_window(
    layer: str, scales: tuple[int, ...], flip: bool, aggregate: str
) -> None:
    descriptor = Descriptor(scales, flip, layer, aggregate)
    found = described(noise(), descriptor)
    expected = torch.stack([naive(picture, descriptor) for picture in noise()])
    assert found.dtype == torch.float32
    assert found.shape == (7, descriptor.dimension(classifier()))
    assert len({tuple(row) for row in found.tolist()}) == 7
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["fc7", "fc6", "pool5"])
def test_a_picture_of_the_input_size_gives_what_a_hook_sees(layer: str) -> None:
    seen = []
    net = copy.deepcopy(classifier().net)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = net.activation_map(x, layer)
        module = dict(net.named_layers())[layer.replace("fc", "relu")]
        module.register_forward_hook(lambda _, __, output: seen.append(output))
        net(x)
    expected = seen[0] if layer == "pool5" else seen[0][:, :, None, None]
    torch.testing.assert_close(found, expected)


# ---- properties ----


@settings(max_examples=15)
@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    layer=st.sampled_from(["fc7", "fc6", "pool5"]),
    aggregate=st.sampled_from(["mean", "stack"]),
)
def test_vectors_have_length_one(height: int, width: int, layer: str, aggregate: str) -> None:
    descriptor = Descriptor((64, 70), True, layer, aggregate)
    (vector,) = described(noise(((height, width),)), descriptor)
    assert vector.norm().item() == pytest.approx(1, abs=1e-6)


def test_with_mirror_images_a_mirrored_picture_has_the_same_vector() -> None:
    # Scale 64 leaves images of 64 rows as they are: rescaling cannot make a difference.
    pictures = noise(((64, 64), (64, 100), (64, 131)))
    mirrored = [ImageOps.mirror(picture) for picture in pictures]
    both, one = Descriptor((64,), True), Descriptor((64,), False)
    torch.testing.assert_close(described(mirrored, both), described(pictures, both))
    assert (described(mirrored, one) - described(pictures, one)).abs().max() > 1e-3


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    descriptor = Descriptor((64, 96), True)
    together = described(noise(), descriptor)
    alone = torch.cat([described([picture], descriptor) for picture in noise()])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_a_large_picture_in_strips_has_the_same_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(((64, 900),))
    expected = described(picture, Descriptor((64,), True))
    monkeypatch.setitem(PIXELS_AT_ONCE, "cpu", 64 * 300 // PIXELS_AT_MOST)
    torch.testing.assert_close(described(picture, Descriptor((64,), True)), expected)


# ---- settings ----


def test_nothing_said_is_as_the_model_was_tested() -> None:
    assert Descriptor().for_model(classifier()) == Descriptor((64, 96), True, "fc7", "mean")


def test_dimensions_and_names() -> None:
    stacked = Descriptor((64, 96), True, "pool5", "stack")
    assert stacked.dimension(classifier()) == 128
    names = stacked.names(classifier())
    assert names[:2] == ["pool5_64_0", "pool5_64_1"]
    assert (names[64], names[-1]) == ("pool5_96_0", "pool5_96_63")
    mean = Descriptor((64, 96), True, "fc6", "mean")
    assert mean.names(classifier()) == [f"fc6_{unit}" for unit in range(32)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layer": "fc8"}, "layer must be one of fc7, fc6, pool5, got 'fc8' instead"),
        ({"aggregate": "max"}, "aggregate must be mean or stack, got 'max' instead"),
        ({"aggregate": "stak"}, "did you mean 'stack'"),
        ({"scales": (63,)}, "test scale must be at least 64"),
        ({"scales": (64, 64)}, "each test scale once"),
        ({"scales": ()}, "at least one test scale"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Descriptor(**wrong).for_model(classifier())
