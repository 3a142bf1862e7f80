"""The six modules against Table 1, torchvision and an explicit forward pass."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.errors import InputError, SizeError
from verydeep.nets.table import NAMES
from verydeep.nets.vgg import VGG, vgg

PUBLISHED_PARAMETERS = {
    "A": 132_863_336,
    "A-LRN": 132_863_336,
    "B": 133_047_848,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
    "B-5x5": 134_503_528,
}
TORCHVISION = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}


def small(name: str = "A", **arguments: object) -> VGG:
    """Return a small net with non-zero biases."""
    torch.manual_seed(0)
    settings = {"num_classes": 5, "input_size": 32, "width": 1 / 16, **arguments}
    net = VGG(name, **settings)  # type: ignore[arg-type]
    return net.double().eval()


def local_response_norm(x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3, as written: k=2, n=5, alpha=1e-4, beta=0.75."""
    k, n, alpha, beta = 2.0, 5, 1e-4, 0.75
    channels = x.shape[1]
    result = torch.empty_like(x)
    for i in range(channels):
        neighbours = range(max(0, i - n // 2), min(channels - 1, i + n // 2) + 1)
        total = sum(x[:, j] ** 2 for j in neighbours)
        result[:, i] = x[:, i] / (k + alpha * total) ** beta
    return result


# What an image meets in each net, written out by hand: the number of a convolution's block and
# place (a 1x1 one in brackets, a 5x5 one in parentheses), P for a pool, N for the local response
# normalisation.
WAYS = {
    "A": "11 P 21 P 31 32 P 41 42 P 51 52 P",
    "A-LRN": "11 N P 21 P 31 32 P 41 42 P 51 52 P",
    "B": "11 12 P 21 22 P 31 32 P 41 42 P 51 52 P",
    "C": "11 12 P 21 22 P 31 32 [33] P 41 42 [43] P 51 52 [53] P",
    "D": "11 12 P 21 22 P 31 32 33 P 41 42 43 P 51 52 53 P",
    "E": "11 12 P 21 22 P 31 32 33 34 P 41 42 43 44 P 51 52 53 54 P",
    "B-5x5": "(11) P (21) P (31) P (41) P (51) P",
}


def by_hand(name: str, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    for step in WAYS[name].split():
        if step == "P":
            x = F.max_pool2d(x, kernel_size=2, stride=2)
        elif step == "N":
            x = local_response_norm(x)
        else:
            block, place = step.strip("[]()")
            key = f"features.conv{block}_{place}"
            padding = {"[": 0, "(": 2}.get(step[0], 1)
            x = F.conv2d(x, weights[f"{key}.weight"], weights[f"{key}.bias"], padding=padding)
            x = x.clamp(min=0)
    x = x.reshape(len(x), -1)
    for key in ("classifier.fc6", "classifier.fc7"):
        x = (x @ weights[f"{key}.weight"].T + weights[f"{key}.bias"]).clamp(min=0)
    return x @ weights["classifier.fc8.weight"].T + weights["classifier.fc8.bias"]


@pytest.mark.parametrize("name", NAMES)
def test_forward_is_the_column_of_table_1_computed_by_hand(name: str) -> None:
    net = small(name, input_size=64)
    x = 100 * torch.rand(2, 3, 64, 64, dtype=torch.float64)  # large, so that the LRN matters
    with torch.no_grad():
        expected = by_hand(name, net.state_dict(), x)
        torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-12)


def test_lrn_is_krizhevskys_formula() -> None:
    x = 200 * torch.randn(2, 11, 3, 4, dtype=torch.float64)
    net = small("A-LRN")
    torch.testing.assert_close(net.features.lrn1(x), local_response_norm(x), rtol=1e-12, atol=1e-12)


def test_lrn_takes_half_precision() -> None:
    x = 200 * torch.randn(2, 11, 3, 4)
    lrn = small("A-LRN").features.lrn1
    found = lrn(x.bfloat16())
    assert found.dtype == torch.bfloat16
    exact = local_response_norm(x.bfloat16().double())
    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_of_table_2(name: str) -> None:
    with torch.device("meta"):
        net = VGG(name)
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED_PARAMETERS[name]
    assert sum(p.numel() for p in net.classifier.parameters()) == 123_642_856


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_are_shaped_as_torchvisions(name: str, norm: str | None) -> None:
    builder = getattr(torchvision.models, TORCHVISION[name] + ("_bn" if norm else ""))
    with torch.device("meta"):
        ours, theirs = VGG(name, batch_norm=norm == "batch"), builder(init_weights=False)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert [b.shape for b in ours.buffers()] == [b.shape for b in theirs.buffers()]


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_named_as_in_the_authors_release(name: str) -> None:
    places = [step.strip("[]()") for step in WAYS[name].split() if step not in "PN"]
    layers = [f"features.conv{block}_{index}" for block, index in places]
    layers += ["classifier.fc6", "classifier.fc7", "classifier.fc8"]
    keys = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert list(small(name).state_dict()) == keys


def test_named_layers_go_the_way_of_the_picture() -> None:
    names = [name for name, _ in small("A-LRN", batch_norm=True).named_layers()]
    assert names[:6] == ["conv1_1", "norm1_1", "relu1_1", "lrn1", "pool1", "conv2_1"]
    assert names[-8:] == ["pool5", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", [None, "batch"])
def test_nothing_works_in_place_and_nothing_adapts_to_the_size(name: str, norm: str | None) -> None:
    net = small(name, batch_norm=norm == "batch")
    assert not any(getattr(module, "inplace", False) for module in net.modules())
    assert not any("Adaptive" in type(module).__name__ for module in net.modules())


def test_maps_before_a_relu_survive_the_forward_pass() -> None:
    net, seen = small("D"), {}
    for name, module in net.named_layers():
        module.register_forward_hook(lambda _m, _i, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        net(torch.randn(1, 3, 32, 32, dtype=torch.float64))
    for name, before in seen.items():
        if name.startswith(("conv", "fc")) and name != "fc8":
            after = seen[f"relu{name.removeprefix('conv').removeprefix('fc')}"]
            assert (before < 0).any()
            assert torch.equal(before.clamp(min=0), after)


def test_dropout_of_a_half_follows_the_two_hidden_layers_and_only_in_training() -> None:
    net = small("A", hidden=16 * 4000)  # 4000 units behind the width of 1/16
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    assert torch.equal(net(x), net(x))
    units = torch.ones(1, 4000, dtype=torch.float64)
    net.train()
    for drop in (net.classifier.drop6, net.classifier.drop7):
        dropped = drop(units)
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert 0.45 < (dropped == 0).double().mean() < 0.55
    assert not torch.equal(net(x), net(x))


def test_dropout_can_be_set() -> None:
    rates = [m.p for m in small(dropout=0.2).modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2, 0.2]


@pytest.mark.parametrize(("width", "scale"), [(0.125, 8), (0.25, 4), (0.5, 2)])
def test_width_scales_every_layer_but_the_first_input_and_the_last_output(
    width: float, scale: int
) -> None:
    with torch.device("meta"):
        full, narrow = VGG("C", 37), VGG("C", 37, width=width)
    for (name, large), little in zip(full.named_parameters(), narrow.parameters(), strict=True):
        expected = [n if n in (1, 3, 37) else n // scale for n in large.shape]
        assert list(little.shape) == expected, name


def test_hidden_units_are_counted_before_the_width() -> None:
    net = small(hidden=160)
    assert net.classifier.fc6.out_features == net.classifier.fc7.out_features == 10


def test_pictures_may_have_other_channels() -> None:
    assert small(channels=1)(torch.rand(2, 1, 32, 32, dtype=torch.float64)).shape == (2, 5)


def test_a_new_net_begins_after_he_with_zero_biases() -> None:
    net = vgg("B", num_classes=5, input_size=32, width=0.125)
    assert not any(p.any() for name, p in net.named_parameters() if name.endswith("bias"))
    weight = net.features.conv5_1.weight  # 64 x 64 x 3 x 3
    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)


def test_a_picture_is_scored_alone_or_in_company_alike() -> None:
    net = small("D", batch_norm=True)
    x = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-9, atol=1e-12)


def test_channels_last_changes_no_score() -> None:
    net = small("D", input_size=64)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected = net(x)
    found = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_an_unknown_net_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no net 'A-LNR'.*did you mean 'A-LRN'\?"):
        vgg("A-LNR")


def test_a_name_with_batch_normalisation_and_a_keyword_without_are_refused() -> None:
    with pytest.raises(InputError, match=r"'vgg11_bn' has batch normalisation, and batch_norm is"):
        vgg("vgg11_bn", 3, input_size=32, width=0.05, batch_norm=False)
    for batch_norm in (None, True):
        assert vgg("vgg11_bn", 3, input_size=32, width=0.05, batch_norm=batch_norm).batch_norm
    assert vgg("vgg11", 3, input_size=32, width=0.05, batch_norm=True).batch_norm


def test_an_input_size_that_vanishes_in_the_pools_is_refused() -> None:
    with pytest.raises(SizeError, match=r"input_size must be at least 32\b.*got 31 instead"):
        VGG("A", width=0.01, input_size=31)


@pytest.mark.parametrize("method", ["forward", "score_map", "feature_map"])
@pytest.mark.parametrize(("height", "width"), [(63, 200), (200, 63), (63, 63)])
def test_a_picture_too_small_is_refused_with_the_smallest_size(
    method: str, height: int, width: int
) -> None:
    net = small("D", input_size=64)
    with pytest.raises(SizeError) as caught:
        getattr(net, method)(torch.zeros(1, 3, height, width, dtype=torch.float64))
    message = str(caught.value)
    assert f"is {height}x{width} pixels (height x width)" in message
    assert "net D was made for at least 64x64" in message
    assert "smallest side is 64 or more" in message


def test_faults_of_the_input_are_value_errors() -> None:
    with pytest.raises(ValueError, match="no net"):
        vgg("VGG")


def test_the_printed_net_names_itself() -> None:
    assert repr(small("A-LRN")).startswith("VGG(\n  A-LRN, num_classes=5, input_size=32\n")
