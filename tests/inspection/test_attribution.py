"""Attributions against autograd, formulas and loops, on crops and on dense inputs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from asked import DIVISOR, MEAN, SIZES, as_read, ask, tiny_net
from torch import Tensor, nn

from verydeep.errors import InputError, MissingExtra
from verydeep.inspection.attribution import grad_cam, guided_backpropagation, occlusion, saliency
from verydeep.inspection.subject import Subject
from verydeep.nets.dense import as_convolution
from verydeep.nets.vgg import VGG

NETS = (("A", None), ("A-LRN", None), ("C", None), ("D", "batch"))
SEED = 3
"""Of nets in which no class is out of reach of what is positive."""

SEEN = pytest.mark.parametrize("size", SIZES)
OF_NET = pytest.mark.parametrize(("name", "norm"), NETS)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Assert equality to four digits of the largest value, which must not be 0."""
    most = float(expected.abs().max())
    assert most > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * most)


def score_by_hand(net: VGG, x: Tensor, label: int) -> Tensor:
    """Return the averaged score of a class from the net's dense form."""
    return net.score_map(x).mean((2, 3))[0, label]


@SEEN
@OF_NET
def test_saliency_is_the_gradient_by_autograd(
    name: str, norm: str | None, size: tuple[int, int]
) -> None:
    net = tiny_net(name, norm, seed=SEED)
    subject = ask(net, size)
    shown = subject.pixels.float().requires_grad_()
    score_by_hand(net, as_read(shown), subject.label).backward()
    assert shown.grad is not None
    found = saliency(subject)
    assert found.shape == size
    assert_near(found, shown.grad.abs().amax(0))


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        return gradient * (gradient > 0) * (x > 0)


def guided_by_hand(net: VGG, shown: Tensor, label: int, guided: Callable[[str], bool]) -> Tensor:
    """Compute guided backpropagation layer by layer with a custom ReLU."""
    shown = shown.float().requires_grad_()
    x = as_read(shown)
    for name, layer in net.named_layers():
        if isinstance(layer, nn.ReLU) and guided(name):
            x = _GuidedReLU.apply(x)  # type: ignore[no-untyped-call]
        elif isinstance(layer, nn.Linear):
            x = nn.functional.conv2d(x, as_convolution(layer, x.shape[1]), layer.bias)
        else:
            x = layer(x)
    x.mean((2, 3))[0, label].backward()
    assert shown.grad is not None
    return shown.grad


@SEEN
@OF_NET
def test_guided_backpropagation_is_the_same_as_with_a_relu_of_our_own(
    name: str, norm: str | None, size: tuple[int, int]
) -> None:
    net = tiny_net(name, norm, seed=SEED)
    subject = ask(net, size)
    found = guided_backpropagation(subject)
    by_hand = guided_by_hand(net, subject.pixels, subject.label, lambda _: True)
    assert_near(found, by_hand)
    without_fc = guided_by_hand(net, subject.pixels, subject.label, lambda relu: "_" in relu)
    assert (found - without_fc).abs().max() > 0.01 * found.abs().max()


def test_where_all_is_positive_guided_backpropagation_is_the_gradient_and_adds_up() -> None:
    """Without biases a net of ReLUs and pools is homogeneous: Σ gradient · input = score."""
    net = tiny_net()
    for parameter_name, parameter in net.named_parameters():
        parameter.data.abs_()
        if parameter_name.endswith("bias"):
            parameter.data.zero_()
    subject = ask(net, (75, 101))
    bright = Subject(subject.model, "", subject.pixels // 2 + 128, subject.probabilities, 1)
    guided = guided_backpropagation(bright)
    torch.testing.assert_close(guided.abs().amax(0), saliency(bright), rtol=1e-4, atol=1e-9)
    # Pixels are positive after the mean is taken, so every ReLU passes all.
    share = guided * (bright.pixels - torch.tensor(MEAN).view(3, 1, 1))
    score = score_by_hand(net, as_read(bright.pixels), 1)
    torch.testing.assert_close(share.double().sum().float(), score, rtol=1e-4, atol=0)


def class_map_by_hand(net: VGG, shown: Tensor, label: int, layer: str) -> Tensor:
    x, kept = as_read(shown), None
    for name, module in net.features.named_children():
        x = module(x)
        if name == layer.replace("conv", "relu"):
            kept = x = x.detach().requires_grad_()
    assert kept is not None
    for module in net.classifier:
        if isinstance(module, nn.Linear):
            x = nn.functional.conv2d(x, as_convolution(module, x.shape[1]), module.bias)
        else:
            x = module(x)
    x.mean((2, 3))[0, label].backward()
    assert kept.grad is not None
    weights = kept.grad[0].mean((1, 2))
    return sum(w * a for w, a in zip(weights, kept[0], strict=True)).detach().clamp(min=0)  # type: ignore[union-attr,attr-defined]


def interpolated(cells: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Return bilinear values at pixel centres, constant beyond the last cell's centre."""

    def places(side: int) -> np.ndarray:
        return (np.arange(side) + 0.5) / stride - 0.5

    rows = np.stack([np.interp(places(size[1]), range(len(row)), row) for row in cells.numpy()])
    columns = [np.interp(places(size[0]), range(len(column)), column) for column in rows.T]
    return torch.from_numpy(np.stack(columns, 1)).float()


@SEEN
@pytest.mark.parametrize(
    ("name", "norm", "layer", "stride"),
    [
        ("A", None, None, 16),
        ("A-LRN", None, "conv1_1", 1),
        ("C", None, "conv4_3", 8),
        ("D", "batch", "conv3_2", 4),
        ("E", None, "conv5_4", 16),
    ],
)
def test_class_maps_are_the_formula(
    name: str, norm: str | None, layer: str | None, stride: int, size: tuple[int, int]
) -> None:
    net = tiny_net(name, norm, seed=SEED)
    subject = ask(net, size, label=1)
    found = grad_cam(subject, layer)
    assert (found.layer, found.stride) == (layer or "conv5_2", stride)
    by_hand = class_map_by_hand(net, subject.pixels, 1, found.layer)
    assert_near(found.cells, by_hand)
    assert_near(found.heat, interpolated(by_hand, stride, size))


def test_a_layer_that_is_no_convolution_is_refused() -> None:
    subject = ask(tiny_net(), (64, 64))
    with pytest.raises(
        InputError, match=r"net A, one of conv1_1, .*got 'conv5_3' instead; did you"
    ):
        grad_cam(subject, "conv5_3")
    with pytest.raises(InputError, match="got 'fc7' instead"):
        grad_cam(subject, "fc7")


def occluded_by_hand(
    subject: Subject, window: int, stride: int, *, probability: bool
) -> tuple[float, np.ndarray]:
    """Compute occlusion one window at a time on the preprocessed image."""
    net, label = subject.model.net, subject.label

    def answer(x: Tensor) -> float:
        with torch.no_grad():
            scores = net.score_map(x).mean((2, 3))[0]
        return float(scores.softmax(0)[label] if probability else scores[label])

    x = as_read(subject.pixels)
    whole = answer(x)
    height, width = x.shape[-2:]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    top = 0
    while True:
        left = 0
        while True:
            hidden = x.clone()
            hidden[..., top : top + window, left : left + window] = 0
            total[top : top + window, left : left + window] += whole - answer(hidden)
            count[top : top + window, left : left + window] += 1
            if left + window >= width:
                break
            left += stride
        if top + window >= height:
            break
        top += stride
    return whole, total / count


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [((64, 64), 16, 8), ((64, 64), 20, 9), ((75, 101), 75, 75), ((75, 101), 22, 22)],
)
@pytest.mark.parametrize("measure", ["score", "probability"])
def test_occlusion_is_a_loop_over_windows(
    size: tuple[int, int], window: int, stride: int, measure: Any
) -> None:
    net = tiny_net()
    net.classifier.fc8.weight.data.mul_(5)  # so that probabilities move
    subject = ask(net, size)
    before = subject.pixels.clone()
    found = occlusion(subject, window=window, stride=stride, measure=measure)
    whole, expected = occluded_by_hand(
        subject, window, stride, probability=measure == "probability"
    )
    assert (found.window, found.stride, found.measure) == (window, stride, measure)
    assert found.whole == pytest.approx(whole, rel=1e-4)
    assert found.heat.shape == size
    np.testing.assert_allclose(found.heat, expected, atol=2e-5)
    assert np.abs(expected).max() > 2e-3
    assert torch.equal(subject.pixels, before)


def test_a_picture_that_lies_in_memory_pixel_by_pixel_is_the_same() -> None:
    subject = ask(tiny_net(), (64, 100))
    turned = subject.pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    other = Subject(subject.model, "", turned, subject.probabilities, subject.label)
    for method in (saliency, guided_backpropagation):
        torch.testing.assert_close(method(other), method(subject))
    torch.testing.assert_close(grad_cam(other).heat, grad_cam(subject).heat)
    found, expected = occlusion(other), occlusion(subject)
    torch.testing.assert_close(found.heat, expected.heat, rtol=0, atol=1e-5)
    assert found.whole == pytest.approx(expected.whole)


def test_windows_fit_the_picture_if_nothing_is_said() -> None:
    subject = ask(tiny_net(), (64, 100))
    found = occlusion(subject)
    assert (found.window, found.stride) == (20, 10)
    _, expected = occluded_by_hand(subject, 20, 10, probability=False)
    np.testing.assert_allclose(found.heat, expected, atol=2e-5)
    slim = occlusion(ask(tiny_net(), (64, 2000)), stride=64)
    assert (slim.window, slim.stride) == (64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window must be 1 to 64 pixels"),
        ({"window": 65}, "window must be 1 to 64 pixels, .*got 65 instead"),
        ({"window": 8, "stride": 9}, "stride must be 1 to 8 pixels.*got 9 instead"),
        ({"stride": 0}, "stride must be 1 to 20 pixels"),
        ({"measure": "loss"}, "measure must be score or probability, got 'loss'"),
    ],
)
def test_windows_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        occlusion(ask(tiny_net(), (64, 100)), **settings)


METHODS = (saliency, guided_backpropagation, grad_cam, occlusion)


@pytest.mark.parametrize("method", METHODS)
def test_the_net_is_as_it_was(method: Callable[[Subject], Any]) -> None:
    net = tiny_net(norm="batch").train()
    net.features.conv1_1.weight.requires_grad_(requires_grad=False)
    subject = ask(net, (64, 64))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    asks = [parameter.requires_grad for parameter in net.parameters()]
    method(subject)
    assert net.training
    assert [parameter.requires_grad for parameter in net.parameters()] == asks
    assert all(parameter.grad is None for parameter in net.parameters())
    for module in net.modules():
        for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            assert not getattr(module, hooks)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("method", METHODS[:3])
def test_gradients_are_fp32_whatever_the_model_computes_in(
    method: Callable[[Subject], Any],
) -> None:
    def heat(precision: str) -> Tensor:
        found = method(ask(tiny_net(), (64, 64), precision=precision))
        return found if isinstance(found, Tensor) else found.heat

    assert torch.equal(heat("bf16"), heat("fp32"))


def test_occlusion_may_look_in_bf16() -> None:
    exact = occlusion(ask(tiny_net(), (64, 64)))
    quick = occlusion(ask(tiny_net(), (64, 64), precision="bf16"))
    assert not torch.equal(exact.heat, quick.heat)
    np.testing.assert_allclose(quick.heat, exact.heat, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_without_captum_the_install_line_is_told(
    method: Callable[[Subject], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = ask(tiny_net(), (64, 64))
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[insight\]'"):
        method(subject)


def test_gradients_are_by_grey_levels() -> None:
    """A step of one grey level changes the score by the gradient, in double precision."""
    net = tiny_net()
    subject = ask(net, (64, 64))
    found = saliency(subject)
    y, x = divmod(int(found.argmax()), 64)
    shown, step = subject.pixels.double(), 1e-3
    slopes = []
    for colour in range(3):
        moved = shown.clone()
        moved[colour, y, x] += step
        scores = [
            float(score_by_hand(net.double(), as_read(each).double(), subject.label).detach())
            for each in (shown, moved)
        ]
        slopes.append(abs(scores[1] - scores[0]) / step)
    assert float(found[y, x]) == pytest.approx(max(slopes), rel=1e-3)
    assert DIVISOR != 1
