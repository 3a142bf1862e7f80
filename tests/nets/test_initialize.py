"""Random initialisation against formulas, initial loss on photographs, and copied layers."""

import math
from functools import cache

import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.init import _calculate_fan_in_and_fan_out as torch_fans

from verydeep.errors import InputError
from verydeep.nets.googlenet import googlenet
from verydeep.nets.initialize import LAST_LAYER_GAIN, copy_layers, fans, initialize
from verydeep.nets.table import NAMES
from verydeep.nets.vgg import VGG

NOT_IN_PAPER = "not among the layers that the paper copies"
NO_SUCH_LAYER = "the shallower net has no such layer"


def net_of(name: str, classes: int = 10, *, width: float = 0.125, norm: str | None = None) -> VGG:
    return VGG(name, classes, input_size=64, width=width, batch_norm=norm == "batch")


def weighted(net: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {
        name.rpartition(".")[2]: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Random schemes


@pytest.mark.parametrize("scheme", ["he", "glorot", "normal"])
@pytest.mark.parametrize("name", ["C", "E"])
def test_weights_are_normal_with_the_variance_of_the_formula(name: str, scheme: str) -> None:
    net = net_of(name, classes=100, width=0.25)
    initialize(net, scheme, generator=seeded(0))  # type: ignore[arg-type]
    for layer, module in weighted(net).items():
        fan_in, fan_out = torch_fans(module.weight)
        variance = {"he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out), "normal": 1e-2}[scheme]
        if layer == "fc8" and scheme == "he":
            variance *= LAST_LAYER_GAIN**2
        weight = module.weight.detach().double() / math.sqrt(variance)
        n = weight.numel()
        # Five standard errors of the mean, the variance and the fourth moment of n normal values.
        assert abs(weight.mean()) < 5 / math.sqrt(n), layer
        assert abs(weight.square().mean() - 1) < 5 * math.sqrt(2 / n), layer
        assert abs(weight.pow(4).mean() - 3) < 5 * math.sqrt(96 / n), layer


def test_convolutions_without_a_head_have_no_last_layer_to_weaken() -> None:
    net = VGG("A", 0, input_size=64, width=0.25)
    initialize(net, "he", generator=seeded(0))
    last = [*weighted(net).values()][-1].weight
    assert last.std().item() == pytest.approx(math.sqrt(2 / torch_fans(last)[0]), rel=0.02)


def test_the_papers_variance_can_be_set() -> None:
    net = net_of("A")
    initialize(net, "normal", variance=1e-4, generator=seeded(0))
    for layer in ("conv4_2", "fc7", "fc8"):
        assert weighted(net)[layer].weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("shape", [(64, 3, 3, 3), (256, 256, 1, 1), (4096, 512)])
def test_fans_are_pytorchs(shape: tuple[int, ...]) -> None:
    weight = torch.empty(shape)
    assert fans(weight) == torch_fans(weight)


@pytest.mark.parametrize("scheme", ["he", "glorot", "normal"])
def test_everything_begins_anew(scheme: str) -> None:
    net = net_of("A", norm="batch")
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(7)
    initialize(net, scheme)  # type: ignore[arg-type]
    for module in weighted(net).values():
        assert not module.bias.any()
        assert not (module.weight == 7).any()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 8
    for norm in norms:
        fresh = nn.BatchNorm2d(norm.num_features).state_dict()
        assert all(torch.equal(norm.state_dict()[key], value) for key, value in fresh.items())


def test_a_generator_decides_everything_and_the_global_one_is_left_alone() -> None:
    first, second, other = net_of("A"), net_of("A"), net_of("A")
    before = torch.get_rng_state()
    initialize(first, generator=seeded(1))
    initialize(second, generator=seeded(1))
    initialize(other, generator=seeded(2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, module in weighted(first).items():
        assert torch.equal(module.weight, weighted(second)[name].weight)
        assert not torch.equal(module.weight, weighted(other)[name].weight)


def test_weights_still_learn_after_they_were_drawn() -> None:
    net = net_of("A")
    initialize(net)
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_an_unknown_scheme_is_refused() -> None:
    message = "initialisation must be he, glorot, normal or uniform, got 'xavier' instead"
    with pytest.raises(InputError, match=message):
        initialize(net_of("A"), "xavier")  # type: ignore[arg-type]


# The first loss


@cache
def photographs() -> Tensor:
    """Sixteen 256x256 patches of two photographs at 64x64, minus their mean RGB, by 64."""
    patches = [
        torch.from_numpy(image[top : top + 256, left : left + 256].copy()).permute(2, 0, 1)
        for image in load_sample_images().images
        for top in (0, 171)
        for left in (0, 128, 256, 384)
    ]
    pictures = F.interpolate(torch.stack(patches).float(), size=(64, 64), mode="area")
    return (pictures - pictures.mean((0, 2, 3), keepdim=True)) / 64


def first_loss(net: VGG, classes: int) -> float:
    labels = torch.arange(16) * classes // 16
    with torch.no_grad():
        return F.cross_entropy(net(photographs()), labels).item()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("scheme", ["he", "glorot"])
@pytest.mark.parametrize("name", NAMES)
def test_a_new_net_loses_what_one_loses_who_knows_nothing(
    name: str, scheme: str, train: bool
) -> None:
    torch.manual_seed(0)
    net = net_of(name, width=0.25).train(train)
    initialize(net, scheme)  # type: ignore[arg-type]
    assert first_loss(net, 10) == pytest.approx(math.log(10), rel=0.1)


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("train", [False, True])
def test_the_first_loss_is_right_for_a_thousand_classes_too(norm: str | None, train: bool) -> None:
    torch.manual_seed(0)
    net = net_of("D", 1000, width=0.25, norm=norm).train(train)
    initialize(net)
    assert first_loss(net, 1000) == pytest.approx(math.log(1000), rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_last_layers_gain_the_first_loss_would_be_too_high(name: str) -> None:
    torch.manual_seed(0)
    net = net_of(name, width=0.25).eval()
    initialize(net)
    with torch.no_grad():
        net.classifier.fc8.weight /= LAST_LAYER_GAIN
    assert first_loss(net, 10) > 1.1 * math.log(10)


@pytest.mark.parametrize("name", NAMES)
def test_he_keeps_the_signals_size_through_all_layers(name: str) -> None:
    torch.manual_seed(0)
    net, sizes = net_of(name, width=0.25).eval(), {}
    initialize(net)
    for layer, module in weighted(net).items():
        module.register_forward_pre_hook(
            lambda _module, given, layer=layer: sizes.update(
                {layer: given[0].square().mean().sqrt().item()}
            )
        )
    first_loss(net, 10)
    assert len(sizes) == len(weighted(net))
    assert all(0.3 < size < 10 for size in sizes.values()), sizes


# Copies from a shallower net


def distinct(*names: str, classes: int = 10, norm: str | None = None) -> list[VGG]:
    """Return nets without common values: all tensors and batch statistics are random."""
    nets = [net_of(name, classes, norm=norm) for name in names]
    with torch.no_grad():
        for seed, net in enumerate(nets):
            for tensor in net.state_dict().values():
                if tensor.is_floating_point():
                    tensor.uniform_(0.1, 1.0, generator=seeded(seed))
                else:
                    tensor.fill_(seed + 1)
    return nets


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def assert_copied(source: VGG, target: VGG, before: dict[str, Tensor], layers: set[str]) -> None:
    """Check that exactly these layers (and their norms) now hold the source's values."""
    theirs = source.state_dict()
    norms = {layer.replace("conv", "norm") for layer in layers}
    for key, value in target.state_dict().items():
        expected = theirs[key] if key.split(".")[1] in layers | norms else before[key]
        assert torch.equal(value, expected), key


def test_from_a_to_b_exactly_the_papers_layers_are_copied() -> None:
    a, b = distinct("A", "B")
    before, source = snapshot(b), snapshot(a)
    report = copy_layers(a, b)
    copied = {"conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"}
    assert_copied(a, b, before, copied)
    assert all(torch.equal(value, source[key]) for key, value in a.state_dict().items())
    assert [str(origin) for origin in report] == [
        "conv1_1: copied",
        f"conv1_2: new ({NOT_IN_PAPER})",
        "conv2_1: copied",
        f"conv2_2: new ({NOT_IN_PAPER})",
        "conv3_1: copied",
        "conv3_2: copied",
        f"conv4_1: new ({NOT_IN_PAPER})",
        f"conv4_2: new ({NOT_IN_PAPER})",
        f"conv5_1: new ({NOT_IN_PAPER})",
        f"conv5_2: new ({NOT_IN_PAPER})",
        "fc6: copied",
        "fc7: copied",
        "fc8: copied",
    ]


@pytest.mark.parametrize("name", ["A-LRN", "B", "C", "D", "E"])
def test_every_deeper_net_takes_the_same_seven_layers_from_a(name: str) -> None:
    a, deeper = distinct("A", name)
    before = snapshot(deeper)
    report = copy_layers(a, deeper)
    copied = {"conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"}
    assert {origin.layer for origin in report if origin.copied} == copied
    assert [origin.layer for origin in report] == list(weighted(deeper))
    assert_copied(a, deeper, before, copied)


def test_from_b_to_c_all_layers_of_b_are_copied() -> None:
    b, c = distinct("B", "C")
    before = snapshot(c)
    report = copy_layers(b, c, layers="all")
    assert {o.layer: o.why for o in report if not o.copied} == dict.fromkeys(
        ("conv3_3", "conv4_3", "conv5_3"), NO_SUCH_LAYER
    )
    assert_copied(b, c, before, set(weighted(b)))


def test_from_c_to_d_the_small_kernels_stay_behind_and_the_report_says_why() -> None:
    c, d = distinct("C", "D")
    before = snapshot(d)
    report = copy_layers(c, d, layers="all")
    assert {o.layer: o.why for o in report if not o.copied} == {
        "conv3_3": "shape 32x32x3x3, the shallower net's 32x32x1x1",
        "conv4_3": "shape 64x64x3x3, the shallower net's 64x64x1x1",
        "conv5_3": "shape 64x64x3x3, the shallower net's 64x64x1x1",
    }
    assert_copied(c, d, before, set(weighted(c)) - {"conv3_3", "conv4_3", "conv5_3"})


@pytest.mark.parametrize("layers", ["paper", "all"])
def test_with_other_classes_the_last_layer_is_new(layers: str) -> None:
    (a,), (b,) = distinct("A"), distinct("B", classes=37)
    last = b.classifier.fc8.weight.clone()
    report = copy_layers(a, b, layers=layers)  # type: ignore[arg-type]
    assert str(report[-1]) == "fc8: new (shape 37x512, the shallower net's 10x512)"
    assert not report[-1].copied
    assert torch.equal(b.classifier.fc8.weight, last)
    assert torch.equal(b.classifier.fc7.weight, a.classifier.fc7.weight)


def test_with_another_input_size_the_first_fully_connected_layer_is_new() -> None:
    a, b = net_of("A"), VGG("B", 10, input_size=96, width=0.125)
    why = {o.layer: o.why for o in copy_layers(a, b)}
    assert why["fc6"] == "shape 512x576, the shallower net's 512x256"
    assert why["fc7"] == ""


def test_batch_statistics_travel_with_their_convolution() -> None:
    a, b = distinct("A", "B", norm="batch")
    before = snapshot(b)
    copy_layers(a, b)
    assert_copied(a, b, before, {"conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"})
    norm, source = b.features.norm3_2, a.features.norm3_2
    assert torch.equal(norm.running_var, source.running_var)
    assert norm.num_batches_tracked == source.num_batches_tracked == 1
    assert not torch.equal(b.features.norm4_1.running_var, a.features.norm4_1.running_var)


@pytest.mark.parametrize("normalized", [False, True])
def test_between_googlenets_of_which_one_is_normalised_no_convolution_is_copied(
    normalized: bool,
) -> None:
    source, target = (googlenet(4, width=0.05, batch_norm=n) for n in (normalized, not normalized))
    report = copy_layers(source, target, "all")
    copied = {one.layer for one in report if one.copied}
    assert copied
    assert not copied & {one.layer for one in report if "normalised" in one.why}
    names = {name.partition(".")[2] for name, m in target.named_modules() if is_convolution(m)}
    assert {one.layer for one in report if "normalised" in one.why} == names


@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_whole_copy_answers_as_its_source_and_shares_no_memory(norm: str | None) -> None:
    torch.manual_seed(0)
    source, target = net_of("A", norm=norm), net_of("A", norm=norm)
    source(photographs())  # moves the batch statistics, if there are any
    assert all(origin.copied for origin in copy_layers(source, target, layers="all"))
    with torch.no_grad():
        expected = source.eval()(photographs())
        assert torch.equal(target.eval()(photographs()), expected)
        for tensor in target.state_dict().values():
            tensor.zero_()
        assert torch.equal(source(photographs()), expected)


def test_a_refused_layer_stays_new_for_the_reason_given() -> None:
    a, b = distinct("A", "B")
    before = snapshot(b)
    report = copy_layers(a, b, refuse={"fc8": "the classes differ", "conv3_2": "so be it"})
    why = {o.layer: str(o) for o in report}
    assert why["fc8"] == "fc8: new (the classes differ)"
    assert why["conv3_2"] == "conv3_2: new (so be it)"
    assert_copied(a, b, before, {"conv1_1", "conv2_1", "conv3_1", "fc6", "fc7"})


def test_copied_weights_still_learn() -> None:
    a, b = distinct("A", "B")
    copy_layers(a, b)
    assert all(p.requires_grad and p.is_leaf for p in b.parameters())
