"""The dense form against fully connected layers applied to one window after another.

A score of the dense form is *not* in general the score of a crop of the image: at the border of
a crop the convolutions see zeros, in the middle of a larger image the pixels around it. The two
must agree on the last map, and on the image itself only for kernels that see one pixel.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.nets import dense
from verydeep.nets.dense import as_convolution, classify_densely
from verydeep.nets.table import NAMES
from verydeep.nets.vgg import VGG


def small(name: str = "D", input_size: int = 64, width: float = 1 / 16) -> VGG:
    torch.manual_seed(0)
    return VGG(name, 7, input_size=input_size, width=width, hidden=256).double().eval()


def picture(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def slide(net: VGG, maps: Tensor) -> Tensor:
    """Apply the fully connected layers to each window of a map separately."""
    side = net.input_size // 32
    rows = [
        [net.classifier(maps[:, :, i : i + side, j : j + side].flatten(1)) for j in columns]
        for columns in [range(maps.shape[3] - side + 1)]
        for i in range(maps.shape[2] - side + 1)
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("input_size", [32, 80])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_on_a_picture_of_the_input_size_dense_form_and_layers_agree(
    name: str, input_size: int, dtype: torch.dtype, tolerance: float
) -> None:
    net = small(name, input_size).to(dtype)
    x = picture(input_size, input_size).to(dtype)
    with torch.no_grad():
        layers, dense = net(x), net.score_map(x)
    assert dense.shape == (2, 7, 1, 1)
    assert (dense[:, :, 0, 0] - layers).norm() <= tolerance * layers.norm()


@settings(deadline=None, max_examples=20)
@given(
    name=st.sampled_from(NAMES),
    input_size=st.integers(32, 80),
    extra=st.tuples(st.integers(0, 70), st.integers(0, 70)),
)
def test_scores_are_those_of_every_window_of_the_last_map(
    name: str, input_size: int, extra: tuple[int, int]
) -> None:
    net = small(name, input_size, width=1 / 32)
    height, width = input_size + extra[0], input_size + extra[1]
    x = picture(height, width, count=1)
    with torch.no_grad():
        expected = slide(net, net.features(x))
        found, scores = net.score_map(x), net(x)
    positions = (height // 32 - input_size // 32 + 1, width // 32 - input_size // 32 + 1)
    assert found.shape == (1, 7, *positions)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(scores, expected.mean(dim=(2, 3)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("side", "positions"), [(224, 1), (256, 2), (384, 6), (512, 10)])
def test_the_papers_test_scales_give_maps_of_the_known_sizes(side: int, positions: int) -> None:
    with torch.device("meta"):
        net = VGG("D")
        scores = net.score_map(torch.empty(1, 3, side, side))
    assert scores.shape == (1, 1000, positions, positions)


def test_where_no_kernel_sees_its_neighbours_scores_are_those_of_crops() -> None:
    net = small("D", 64)
    x = picture(64 + 32, 64 + 64, count=1)
    corners = [(i, j) for i in (0, 32) for j in (0, 32, 64)]
    crops = torch.cat([x[..., i : i + 64, j : j + 64] for i, j in corners])

    def apart() -> Tensor:
        return net.score_map(x) - net(crops).T.reshape(1, 7, 2, 3)

    with torch.no_grad():
        assert apart().abs().max() > 1e-6  # the zeros around the crops
        for layer in net.features:
            if isinstance(layer, nn.Conv2d):
                centre = 3 * layer.weight[:, :, 1, 1]
                layer.weight.zero_()[:, :, 1, 1] = centre
        assert net.score_map(x).std() > 1e-6
        assert apart().abs().max() < 1e-12


def test_a_layer_over_windows_is_the_convolution_that_it_reads_as() -> None:
    layer = nn.Linear(5 * 3 * 3, 4).double()
    maps = torch.randn(2, 5, 6, 4, dtype=torch.float64)
    expected = F.conv2d(maps, as_convolution(layer, 5), layer.bias)
    found = classify_densely(nn.Sequential(layer), maps)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_layer_read_as_convolution_is_the_same_memory() -> None:
    net = small("A", 64)
    kernel = as_convolution(net.classifier.fc6, 32)
    assert kernel.shape == (16, 32, 2, 2)
    assert kernel.data_ptr() == net.classifier.fc6.weight.data_ptr()
    with torch.no_grad():
        net.classifier.fc6.weight[3, 1 * 4 + 1 * 2 + 0] = 42.0
    assert kernel[3, 1, 1, 0] == 42.0


@pytest.mark.parametrize("layer", ["fc6", "fc7", "fc8"])
def test_a_change_of_the_layers_changes_the_score_map(layer: str) -> None:
    net, x = small("A", 64), picture(128, 96)
    with torch.no_grad():
        before = net.score_map(x)
        net.classifier.get_submodule(layer).weight.mul_(1.5)
        after = net.score_map(x)
        assert (after != before).all()
        torch.testing.assert_close(after, slide(net, net.features(x)), rtol=1e-9, atol=1e-12)


def test_gradients_are_those_of_the_sliding_layers() -> None:
    net, x = small("A", 64), picture(96, 128)

    def gradients(scores: Tensor) -> dict[str, Tensor]:
        net.zero_grad()
        (scores**2).sum().backward()
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    expected = gradients(slide(net, net.features(x)))
    found = gradients(net.score_map(x))
    assert list(found) == list(expected) == [name for name, _ in net.named_parameters()]
    for name, gradient in expected.items():
        assert gradient.any()
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


def test_a_larger_picture_trains_the_same_weights() -> None:
    net = small("A", 64)
    net(picture(128, 96)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_layers_between_see_maps_as_they_are() -> None:
    """Minimal case: one 2x2 window with weights that select its four corners."""
    first = nn.Linear(4, 4, bias=False)
    second = nn.Linear(4, 1)
    with torch.no_grad():
        first.weight.copy_(torch.eye(4))
        second.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        second.bias.fill_(0.5)
        maps = torch.tensor([[[[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]]])
        scores = classify_densely(nn.Sequential(first, nn.ReLU(), second), maps)
    assert scores.tolist() == [[[[1 + 400 + 5000 + 0.5, 30 + 500 + 0.5]]]]


def test_dropout_works_on_maps_too_and_only_in_training() -> None:
    net = VGG("A", 7, input_size=32, width=1 / 16, hidden=16 * 64)
    maps = torch.rand(1, 32, 2, 2)
    assert torch.equal(*(classify_densely(net.eval().classifier, maps) for _ in range(2)))
    assert not torch.equal(*(classify_densely(net.train().classifier, maps) for _ in range(2)))
    assert all(layer.training for layer in net.classifier)


# ---- large maps, which are gathered in parts ----


def rows_gathered(net: VGG, maps: Tensor) -> tuple[Tensor, list[int]]:
    """Return scores and the number of windows per call of the first layer."""
    rows: list[int] = []
    hook = net.classifier.fc6.register_forward_hook(
        lambda layer, inputs, output: rows.append(inputs[0].shape[:-1].numel())
    )
    try:
        with torch.no_grad():
            return classify_densely(net.classifier, maps), rows
    finally:
        hook.remove()


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 60),
)
@settings(max_examples=60)
def test_in_parts_every_window_is_shown_once_and_in_its_place(
    side: int, count: int, down: int, right: int, at_once: int
) -> None:
    net = small("A", 32 * side)
    generator = torch.Generator().manual_seed(side)
    maps = torch.randn(
        count, 32, side + down, side + right, generator=generator, dtype=torch.float64
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "ROWS_AT_ONCE", at_once)
        found, rows = rows_gathered(net, maps)
    with torch.no_grad():
        torch.testing.assert_close(found, slide(net, maps), rtol=1e-9, atol=1e-12)
    assert sum(rows) == count * (down + 1) * (right + 1)
    assert max(rows) <= max(at_once, count)  # one position of all images cannot be halved


def test_a_map_of_just_as_many_windows_as_allowed_is_not_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, maps = small("A", 64), torch.randn(2, 32, 5, 4, dtype=torch.float64)
    monkeypatch.setattr(dense, "ROWS_AT_ONCE", 2 * 4 * 3)
    assert rows_gathered(net, maps)[1] == [24]
    monkeypatch.setattr(dense, "ROWS_AT_ONCE", 2 * 4 * 3 - 1)
    assert rows_gathered(net, maps)[1] == [12, 12]


def test_gradients_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, maps = small("A", 64), torch.randn(2, 32, 6, 5, dtype=torch.float64, requires_grad=True)
    weight = net.classifier.fc6.weight

    def gradients() -> tuple[Tensor, ...]:
        scores = classify_densely(net.classifier, maps)
        return torch.autograd.grad((scores**2).sum(), (maps, weight))

    whole = gradients()
    monkeypatch.setattr(dense, "ROWS_AT_ONCE", 3)
    for found, expected in zip(gradients(), whole, strict=True):
        assert expected.any()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
