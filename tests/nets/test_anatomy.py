"""Anatomy against the paper, torchvision, forward hooks, a FLOP counter and gradients."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from verydeep.errors import InputError, SizeError
from verydeep.nets import registry
from verydeep.nets.anatomy import LayerAnatomy, anatomy
from verydeep.nets.dense import classify_densely
from verydeep.nets.table import NAMES, SIX
from verydeep.nets.vgg import VGG

# Of nets with 1000 classes at 224: parameters, of these in convolutions, multiply-adds in 10^9.
TABLE = {
    "A": (132_863_336, 9_220_480, "7.609"),
    "A-LRN": (132_863_336, 9_220_480, "7.609"),
    "B": (133_047_848, 9_404_992, "11.308"),
    "C": (133_638_952, 9_996_096, "11.771"),
    "D": (138_357_544, 14_714_688, "15.470"),
    "E": (143_667_240, 20_024_384, "19.632"),
    "B-5x5": (134_503_528, 10_860_672, "9.356"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_nets_measure_what_is_known_of_them(name: str) -> None:
    whole = anatomy(name)
    work = f"{whole.multiply_adds / 1e9:.3f}"
    assert (whole.parameters, whole.convolution_parameters, work) == TABLE[name]
    assert whole.parameters - whole.convolution_parameters == 123_642_856


def test_the_papers_millions_are_the_rounded_parameters() -> None:
    millions = [round(anatomy(name).parameters / 1e6) for name in SIX]
    assert millions == [133, 133, 133, 134, 138, 144]


@pytest.mark.parametrize(
    ("name", "norm", "weights"),
    [
        ("A", None, "VGG11"),
        ("B", None, "VGG13"),
        ("D", None, "VGG16"),
        ("E", None, "VGG19"),
        ("A", "batch", "VGG11_BN"),
        ("B", "batch", "VGG13_BN"),
        ("D", "batch", "VGG16_BN"),
        ("E", "batch", "VGG19_BN"),
    ],
)
def test_sums_are_those_that_torchvision_publishes(
    name: str, norm: str | None, weights: str
) -> None:
    published = getattr(torchvision.models, f"{weights}_Weights").IMAGENET1K_V1.meta
    whole = anatomy(name, batch_norm=norm == "batch")
    assert whole.parameters == published["num_params"]
    assert whole.multiply_adds / 1e9 == pytest.approx(published["_ops"], abs=6e-4)


# Layer by layer, against a net at work


def observe(net: VGG, x: Tensor) -> dict[str, dict[str, object]]:
    """Return outputs, parameters and multiply-adds of every layer for one image."""
    seen: dict[str, dict[str, object]] = {}
    for name, module in net.named_layers():

        def note(module: nn.Module, _given: object, output: Tensor, name: str = name) -> None:
            seen[name] = {
                "channels": output.shape[1],
                "size": tuple(output.shape[2:]) or (1, 1),
                "memory": output.numel() * output.element_size(),
                "parameters": sum(p.numel() for p in module.parameters()),
            }

        module.register_forward_hook(note)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net.eval()(x)
    for path, counts in counter.get_flop_counts().items():
        if (name := path.rpartition(".")[2]) in seen:
            seen[name]["multiply_adds"] = sum(counts.values()) // 2  # a product and an addition
    return seen


def as_observed(part: LayerAnatomy) -> dict[str, object]:
    noted: dict[str, object] = {
        "channels": part.channels,
        "size": (part.size, part.size),
        "memory": part.memory,
        "parameters": part.parameters,
    }
    # The flop counter lists layers that multiply: the convolutions and fully connected layers.
    return noted | {"multiply_adds": part.multiply_adds} if part.multiply_adds else noted


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("input_size", [32, 80, 100])
@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_what_a_forward_pass_shows(
    name: str, input_size: int, norm: str | None
) -> None:
    net = VGG(
        name,
        37,
        input_size=input_size,
        channels=4,
        width=0.125,
        hidden=480,
        batch_norm=norm == "batch",
    )
    seen = observe(net, torch.rand(1, 4, input_size, input_size))
    whole = anatomy(
        name,
        37,
        input_size=input_size,
        channels=4,
        width=0.125,
        hidden=480,
        batch_norm=norm == "batch",
    )
    assert {part.layer.name: as_observed(part) for part in whole.parts} == seen
    assert [part.layer.name for part in whole.parts] == list(seen)
    assert whole.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("input_size", [64, 224, 257])
@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_a_full_net_is_what_a_forward_pass_shows(name: str, input_size: int) -> None:
    with torch.device("meta"):  # shapes only: the full nets hold half a gigabyte each
        seen = observe(VGG(name, input_size=input_size), torch.empty(1, 3, input_size, input_size))
    whole = anatomy(name, input_size=input_size)
    assert {part.layer.name: as_observed(part) for part in whole.parts} == seen
    assert whole.memory == sum(int(str(part["memory"])) for part in seen.values())
    assert whole.multiply_adds == sum(part.get("multiply_adds", 0) for part in seen.values())


# What one value sees, against gradients


def supports(name: str, side: int) -> dict[str, Tensor]:
    """Return the pixels that influence two adjacent values of every layer.

    The net has one channel a layer and positive weights and images, so that no gradient cancels
    and no ReLU closes; its pools average instead of choosing, so that every path counts. The two
    values lie on a diagonal near the middle of a map; each is asked of its own copy of the image.

    Returns:
        (2, side, side) for each layer, True at the pixels with a gradient.
    """
    net = VGG(name, 1, input_size=64, channels=1, width=1 / 512, hidden=512)
    net.eval().requires_grad_(False)
    x = torch.ones(2, 1, side, side, requires_grad=True)
    for parameter in net.parameters():
        parameter.fill_(1 / 9)
    maps, found = x, {}
    for layer, module in net.named_layers():
        if isinstance(module, nn.MaxPool2d):
            maps = nn.functional.avg_pool2d(maps, module.kernel_size, module.stride)
        elif isinstance(module, nn.Linear):
            maps = classify_densely(nn.Sequential(module), maps)
        else:
            maps = module(maps)
        middle = maps.shape[-1] // 2
        pair = maps[0, 0, middle - 1, middle - 1] + maps[1, 0, middle, middle]
        (gradient,) = torch.autograd.grad(pair, x, retain_graph=True)
        found[layer] = gradient[:, 0] > 0
    return found


def square(support: Tensor) -> tuple[tuple[int, int], int]:
    """Return the upper left corner and the side of a support, after checking that it is square."""
    rows, columns = support.any(dim=1).nonzero(), support.any(dim=0).nonzero()
    top, left = int(rows[0]), int(columns[0])
    side = int(rows[-1]) - top + 1
    assert int(columns[-1]) - left + 1 == side
    assert int(support.sum()) == side**2, "the support has holes"
    return (top, left), side


@pytest.mark.parametrize("name", NAMES)
def test_receptive_field_and_stride_are_those_of_gradients(name: str) -> None:
    whole = anatomy(name, input_size=64)
    side = (whole.parts[-1].receptive_field // 32 + 4) * 32  # a margin around both squares
    found = supports(name, side)
    assert [part.layer.name for part in whole.parts] == list(found)
    for part in whole.parts:
        (corner, seen), (next_corner, next_seen) = (square(s) for s in found[part.layer.name])
        assert min(corner) > 0, "the image is too small to show the whole support"
        assert max(next_corner) + next_seen < side
        assert seen == next_seen == part.receptive_field, part.layer.name
        steps = (next_corner[0] - corner[0], next_corner[1] - corner[1])
        assert steps == (part.stride, part.stride), part.layer.name


def test_n_stacked_3x3_convolutions_see_2n_plus_1() -> None:
    parts = {part.layer.name: part for part in anatomy("E").parts}
    below = parts["pool2"]
    for n in (1, 2, 3, 4):
        field = parts[f"conv3_{n}"].receptive_field - below.receptive_field
        assert field / below.stride + 1 == 2 * n + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_nets_receptive_field_is_that_of_the_last_map(name: str) -> None:
    whole = anatomy(name)
    (last,) = (part for part in whole.parts if part.layer.name == "pool5")
    assert whole.receptive_field == last.receptive_field


def test_the_rival_sees_as_far_as_net_b_after_every_block() -> None:
    rival, paired = (
        {part.layer.name: part for part in anatomy(name).parts} for name in ("B-5x5", "B")
    )
    for block in range(1, 6):
        one, two = rival[f"pool{block}"], paired[f"pool{block}"]
        assert (one.receptive_field, one.stride) == (two.receptive_field, two.stride)


def test_the_first_fully_connected_layer_sees_the_whole_last_map() -> None:
    parts = {part.layer.name: part for part in anatomy("D", input_size=224).parts}
    seen = parts["pool5"].receptive_field + 6 * parts["pool5"].stride
    assert parts["fc6"].receptive_field == parts["fc8"].receptive_field == seen


# What is asked


def test_names_are_known_in_either_case() -> None:
    assert anatomy("a-lrn") == anatomy("A-LRN")
    assert anatomy("a-lrn").name == "A-LRN"


@pytest.mark.parametrize("name", registry.NAMES)
def test_it_is_asked_for_by_the_settings_of_a_net(name: str) -> None:
    with torch.device("meta"):
        net = registry.build(name, 3, width=0.05)
    assert registry.anatomy(num_classes=3, **net.settings()) == net.anatomy()


def test_an_unknown_net_is_refused() -> None:
    with pytest.raises(InputError, match=r"no net 'A-LNR'.*did you mean 'A-LRN'\?"):
        anatomy("A-LNR")


def test_an_input_that_vanishes_in_the_pools_is_refused() -> None:
    with pytest.raises(SizeError, match=r"at least 32\b.*got 31 instead"):
        anatomy("A", input_size=31)
