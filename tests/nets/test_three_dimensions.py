"""Nets for volumes: structure by hooks, dense form by sliding, inflation by the net for images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from verydeep.errors import InputError, SizeError
from verydeep.nets.inflate import inflate
from verydeep.nets.initialize import initialize
from verydeep.nets.layer_outputs import trace
from verydeep.nets.registry import anatomy, build
from verydeep.nets.table import NAMES
from verydeep.nets.vgg import VGG, vgg


def solid(name: str = "D", side: int = 32, **settings: Any) -> VGG:
    torch.manual_seed(0)
    sizes = {"input_size": side, "width": 1 / 32, "hidden": 256, "dimensions": 3} | settings
    return vgg(name, 5, **sizes).double().eval()


def volume(*sides: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(sum(sides))
    return torch.rand(count, 3, *sides, generator=generator, dtype=torch.float64)


@contextmanager
def hooked(net: VGG, see: Callable[[str, nn.Module, Tensor, Tensor], None]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(lambda m, given, out, name=name: see(name, m, given[0], out))
        for name, module in net.named_layers()
    ]
    yield
    for handle in handles:
        handle.remove()


def products(module: nn.Module, out: Tensor) -> int:
    """Return the multiply-adds of a layer from its weights and the size of its output."""
    if isinstance(module, nn.Conv3d):
        return module.weight.numel() * out[0, 0].numel()
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_anatomy_is_what_hooks_count(name: str, batch_norm: bool) -> None:
    net = solid(name, 64, batch_norm=batch_norm)
    counted: list[tuple[str, int, int, int]] = []

    def see(name: str, module: nn.Module, x: Tensor, out: Tensor) -> None:
        own = sum(parameter.numel() for parameter in module.parameters())
        counted.append((name, own, products(module, out), 4 * out[0].numel()))

    with hooked(net, see), torch.no_grad():
        net(volume(64, 64, 64))
    parts = net.anatomy().parts
    assert counted == [(p.layer.name, p.parameters, p.multiply_adds, p.memory) for p in parts]
    assert net.anatomy().parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_every_pool_is_a_cube_and_every_convolution_keeps_the_size(name: str) -> None:
    net = solid(name)
    for layer, module in net.features.named_children():
        if isinstance(module, nn.Conv3d):
            side = module.kernel_size[0]
            assert module.kernel_size == (side,) * 3
            assert module.padding == (side // 2,) * 3
        assert not isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d), layer
    flat = VGG(name, 5, input_size=32, width=1 / 32, hidden=256)
    assert [n for n, _ in net.named_layers()] == [n for n, _ in flat.named_layers()]


@pytest.mark.parametrize("name", ["A-LRN", "C"])
def test_the_dense_form_is_the_layers_at_every_position(name: str) -> None:
    net = solid(name, 64)
    x = volume(96, 64, 128, count=2)
    with torch.no_grad():
        maps, found = net.feature_map(x), net.score_map(x)
        assert found.shape == (2, 5, 2, 1, 3)
        for at in product(range(2), range(1), range(3)):
            cube = maps[(..., *(slice(i, i + 2) for i in at))]
            expected = net.classifier(cube.flatten(1))
            assert torch.allclose(found[(..., *at)], expected, rtol=1e-12, atol=1e-14)
        assert torch.allclose(net(x), found.mean((2, 3, 4)), rtol=1e-12)


def test_volumes_in_strips_give_the_same_scores() -> None:
    net = solid("A")
    x = volume(32, 480, 64, count=2)
    with torch.no_grad():
        whole, parts = net.score_map(x), net.score_map(x, pixels=32 * 240 * 64)
    assert torch.allclose(whole, parts, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("along", [2, 3, 4])
def test_the_receptive_field_is_where_the_gradient_is(along: int) -> None:
    net = solid("A", width=1 / 64)
    for layer, module in net.features.named_children():
        if isinstance(module, nn.MaxPool3d):  # it passes the gradient of one value only
            setattr(net.features, layer, nn.AvgPool3d(2))
        elif isinstance(module, nn.Conv3d):
            module.weight.data.abs_()
    sides = [32, 32, 32]
    sides[along - 2] = 352
    x = volume(*sides).requires_grad_()
    middle = net.feature_map(x).narrow(along, 5, 1).sum()
    (gradient,) = torch.autograd.grad(middle, x)
    seen = gradient.abs().sum([axis for axis in range(5) if axis != along]).nonzero().flatten()
    field = net.anatomy().receptive_field
    assert field == 150
    assert seen[-1] - seen[0] + 1 == len(seen) == field


def test_every_layer_can_be_looked_at() -> None:
    net = solid("A")
    x = volume(64, 32, 32)
    with torch.no_grad():
        found = trace(net, x, ["conv1_1", "pool5", "relu6", "fc8"])
        assert found["conv1_1"].shape == (1, 2, 64, 32, 32)
        assert found["pool5"].shape[2:] == found["relu6"].shape[2:] == (2, 1, 1)
        assert torch.equal(found["fc8"], net.score_map(x))


def test_he_initialisation_counts_the_cube() -> None:
    net = VGG("A", 5, input_size=32, width=0.25, hidden=256, dimensions=3)
    initialize(net, generator=torch.Generator().manual_seed(0))
    weight = net.features.conv3_2.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (64 * 27)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_centre_inflation_gives_the_scores_of_the_image(name: str, batch_norm: bool) -> None:
    flat = vgg(name, 5, input_size=64, width=1 / 16, hidden=256, batch_norm=batch_norm).double()
    with torch.no_grad():
        flat.train()(torch.rand(8, 3, 64, 64, dtype=torch.float64))  # moments that are not 0 and 1
        flat.eval()
        x = torch.rand(2, 3, 64, 96, dtype=torch.float64)
        found = inflate(flat, "center").score_map(x.unsqueeze(2).expand(-1, -1, 64, -1, -1))
        expected = flat.score_map(x)
    assert torch.allclose(found[:, :, 0], expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["A", "C"])
def test_repeated_inflation_gives_the_maps_of_the_image_far_from_the_ends(name: str) -> None:
    flat = vgg(name, 5, input_size=32, width=1 / 32, hidden=256).double().eval()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        maps = inflate(flat, "repeat").feature_map(x.unsqueeze(2).expand(-1, -1, 352, -1, -1))
        expected = flat.feature_map(x)
    assert torch.allclose(maps[:, :, 5], expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(maps[:, :, 0], expected, rtol=1e-3)


def test_settings_build_the_same_net() -> None:
    net = solid("C", 64, batch_norm=True)
    again = build(num_classes=5, **net.settings())
    again.double().load_state_dict(net.state_dict())
    x = volume(64, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), net(x))
    assert "dimensions" not in vgg("A", 2, input_size=32, width=0.1).settings()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"dimensions must be 2 \(images\) or 3"):
        vgg("A", dimensions=4)
    with pytest.raises(InputError, match="dimensions"):
        anatomy("A", dimensions=1)
    net = solid("A")
    with pytest.raises(SizeError, match=r"reads volumes of shape \(N, 3, D, H, W\)"):
        net(torch.zeros(1, 3, 32, 32, dtype=torch.float64))
    with pytest.raises(SizeError, match="16x32x32 voxels"):
        net(torch.zeros(1, 3, 16, 32, 32, dtype=torch.float64))
    with pytest.raises(InputError, match="for volumes already"):
        inflate(net)
    flat = VGG("A", 5, input_size=32, width=1 / 32)
    with pytest.raises(InputError, match="did you mean"):
        inflate(flat, "centre")  # type: ignore[arg-type]
