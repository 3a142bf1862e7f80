"""GoogLeNet against the paper's figures and torchvision's net."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from verydeep.errors import SizeError
from verydeep.nets.googlenet import INCEPTIONS, GoogLeNet, googlenet
from verydeep.nets.registry import anatomy

# Table 1 of the paper: parameters in thousands and multiply-adds in millions. They differ from what
# its own channels give by up to 10 % (inception4c).
PAPER = {
    "conv2": (112, 360),
    "inception3a": (159, 128),
    "inception3b": (380, 304),
    "inception4a": (364, 73),
    "inception4b": (437, 88),
    "inception4c": (463, 100),
    "inception4d": (580, 119),
    "inception4e": (840, 170),
    "inception5a": (1072, 54),
    "fc": (1000, 1),
}


@pytest.mark.parametrize("row", PAPER)
def test_parameters_and_multiply_adds_are_those_of_table_1(row: str) -> None:
    parts = [part for part in anatomy("googlenet").parts if part.layer.name.startswith(row)]
    thousands, millions = PAPER[row]
    assert sum(part.parameters for part in parts) / 1000 == pytest.approx(thousands, rel=0.11)
    assert sum(part.multiply_adds for part in parts) / 1e6 == pytest.approx(millions, rel=0.11)


def test_totals_are_the_known_ones() -> None:
    published = anatomy("googlenet")
    assert published.parameters == 6_998_552
    assert published.multiply_adds / 1e9 == pytest.approx(1.5, rel=0.06)
    with torch.device("meta"):
        whole = GoogLeNet()
    assert sum(p.numel() for p in whole.parameters()) == 13_378_280  # with both auxiliary heads
    assert anatomy("googlenet", batch_norm=True).parameters == 6_624_904  # torchvision's


def test_the_anatomy_is_what_hooks_see() -> None:
    net = googlenet(7, input_size=96, width=0.1).eval()
    seen: dict[str, torch.Size] = {}
    for name, module in net.features.named_children():
        module.register_forward_hook(lambda m, i, out, name=name: seen.update({name: out.shape}))
    net(torch.zeros(1, 3, 96, 96))
    parts = {part.layer.name: part for part in net.anatomy().parts}
    assert {name: (1, p.channels, p.size, p.size) for name, p in parts.items() if name in seen} == {
        name: tuple(shape) for name, shape in seen.items()
    }


def test_the_receptive_field_is_where_gradients_are() -> None:
    net = googlenet(3, input_size=64, width=0.05, auxiliary=False).double().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
        if isinstance(module, nn.MaxPool2d):
            module.forward = nn.AvgPool2d(  # type: ignore[method-assign]
                module.kernel_size, module.stride, module.padding, ceil_mode=True
            ).forward
    x = torch.ones(1, 3, 448, 448, dtype=torch.float64, requires_grad=True)
    maps = net.features[: [n for n, _ in net.features.named_children()].index("inception4a") + 1]
    (gradient,) = torch.autograd.grad(maps(x)[0, :, 14, 14].sum(), x)
    rows = gradient.abs().sum((0, 1, 3)).nonzero()
    part = next(p for p in net.anatomy().parts if p.layer.name == "inception4a")
    assert int(rows.max() - rows.min()) + 1 == part.receptive_field
    assert part.stride == 16


def test_the_dense_form_slides_the_window_of_the_average() -> None:
    torch.manual_seed(0)
    net = googlenet(5, input_size=64, width=0.1).eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(net.score_map(x)[..., 0, 0], net(x))
    wide = torch.randn(1, 3, 96, 160)
    scores = net.score_map(wide)
    assert scores.shape[2:] == net.map_size(96, 160) == (2, 4)
    maps = net.features[:-1](wide)
    window = maps[:, :, 1:3, 2:4].mean((2, 3))
    torch.testing.assert_close(net.classifier(window), scores[..., 1, 2])
    torch.testing.assert_close(net.score_map(wide, pixels=100), scores)


def test_auxiliary_heads_answer_in_training_only() -> None:
    net = googlenet(5, input_size=64, width=0.1)
    x = torch.randn(2, 3, 64, 64)
    assert net.train()(x).shape == (2, 3, 5)
    assert net.eval()(x).shape == (2, 5)
    assert googlenet(5, input_size=64, width=0.1, auxiliary=False).train()(x).shape == (2, 5)


def test_training_with_auxiliary_heads_takes_crops_only() -> None:
    x = torch.randn(1, 3, 64, 96)
    with pytest.raises(SizeError, match=r"64x96 .* crops of 64x64 only"):
        googlenet(5, input_size=64, width=0.1)(x)
    assert googlenet(5, input_size=64, width=0.1).eval()(x).shape == (1, 5)
    assert googlenet(5, input_size=64, width=0.1, auxiliary=False)(x).shape == (1, 5)


def test_channels_are_stacked_in_the_published_order() -> None:
    net = googlenet(2, width=1.0, auxiliary=False)
    for name, row in INCEPTIONS.items():
        module = net.features.get_submodule(name)
        assert module.outputs == row[0] + row[2] + row[4] + row[5]


@pytest.mark.parametrize("size", [32, 64, 100, 224])
def test_other_sizes_have_one_position(size: int) -> None:
    net = googlenet(2, input_size=size, width=0.05).eval()
    assert net.score_map(torch.zeros(1, 3, size, size)).shape == (1, 2, 1, 1)


def test_small_inputs_are_refused() -> None:
    with pytest.raises(SizeError, match=r"input_size must be at least 32, got 31 instead"):
        googlenet(input_size=31)
