"""Nets A, B, D, E against torchvision's vgg11, 13, 16, 19, in double precision at 224."""

import gc
import math
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.nets.vgg import VGG

# Where torchvision keeps the convolutions of vgg16, by the names of the authors' release.
VGG16 = {
    **{"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7},
    **{"conv3_1": 10, "conv3_2": 12, "conv3_3": 14},
    **{"conv4_1": 17, "conv4_2": 19, "conv4_3": 21},
    **{"conv5_1": 24, "conv5_2": 26, "conv5_3": 28},
}
FULLY_CONNECTED = {"fc6": 0, "fc7": 3, "fc8": 6}


@pytest.fixture(autouse=True)
def give_memory_back() -> Iterator[None]:
    """A full net in double precision holds more than a gigabyte."""
    yield
    gc.collect()


def ours(name: str) -> VGG:
    """Return a full net whose signals keep their size (He et al. 2015), with random biases."""
    torch.manual_seed(0)
    with torch.device("meta"):
        net = VGG(name).double().eval()
    net.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel()
            bound = math.sqrt(6 / fan_in) if parameter.dim() > 1 else 0.1
            parameter.uniform_(-bound, bound)
    return net


def theirs(name: str, weights: dict[str, Tensor]) -> nn.Module:
    """Return torchvision's net with weights given by its own names, in the same memory."""
    with torch.device("meta"):
        net = getattr(torchvision.models, name)(init_weights=False)
    net.load_state_dict(weights, assign=True)
    return net.eval()


def renamed(net: VGG, convolutions: dict[str, int]) -> dict[str, Tensor]:
    """Return the weights of a net under torchvision's names."""
    places = {f"features.{name}": f"features.{n}" for name, n in convolutions.items()}
    places |= {f"classifier.{name}": f"classifier.{n}" for name, n in FULLY_CONNECTED.items()}
    return {
        f"{places[layer]}.{kind}": value
        for key, value in net.state_dict().items()
        for layer, _, kind in [key.rpartition(".")]
    }


def pictures(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 224, 224, generator=generator, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "their_name"), [("A", "vgg11"), ("B", "vgg13"), ("E", "vgg19")])
def test_scores_are_torchvisions(name: str, their_name: str) -> None:
    net = ours(name)
    with torch.device("meta"):
        features = getattr(torchvision.models, their_name)(init_weights=False).features
    places = [index for index, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    names = [key for key, layer in net.named_layers() if isinstance(layer, nn.Conv2d)]
    twin = theirs(their_name, renamed(net, dict(zip(names, places, strict=True))))
    x = pictures(1)
    with torch.no_grad():
        expected = twin(x)
        assert expected.std() > 0.1
        torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_loss_gradients_and_a_step_of_d_are_those_of_torchvisions_vgg16() -> None:
    net = ours("D")
    twin = theirs("vgg16", renamed(net, VGG16))
    x, labels = pictures(1), torch.tensor([281])
    their_names = renamed(net, VGG16)
    pairs = [
        (key, parameter, twin.get_parameter(their_key))
        for (key, parameter), their_key in zip(net.named_parameters(), their_names, strict=True)
    ]
    assert len(pairs) == len(list(twin.parameters())) == 32

    losses = [F.cross_entropy(each(x), labels) for each in (net, twin)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0)
    for loss in losses:
        loss.backward()
    for _, _, twins in pairs:
        twins.data = twins.detach().clone()  # until here both nets read the same memory
    before = net.features.conv1_1.weight.detach().clone()
    for each in (net, twin):
        torch.optim.SGD(each.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4).step()
    moved = 0.01 * (net.features.conv1_1.weight.grad + 5e-4 * before)
    torch.testing.assert_close(before - moved, net.features.conv1_1.weight.detach())

    with torch.no_grad():
        for key, parameter, twins in pairs:
            gradient = twins.grad.norm()
            assert gradient > 0, key
            # In place: the largest layer's tensors hold most of a gigabyte each.
            assert twins.grad.sub_(parameter.grad).norm() <= 1e-9 * gradient, key
            assert twins.sub_(parameter).norm() <= 1e-9 * 0.01 * gradient, key


@pytest.mark.slow
def test_activations_of_d_are_those_of_torchvisions_vgg16() -> None:
    net = ours("D")
    twin = theirs("vgg16", renamed(net, VGG16))
    x = pictures(1)
    with torch.no_grad():
        maps = twin.features(x)
        expected = {"pool5": maps}
        for layer, behind_its_relu in {"fc6": 2, "fc7": 5}.items():
            hidden = twin.classifier[:behind_its_relu](maps.flatten(1))
            expected[layer] = hidden[:, :, None, None]
        for layer, activations in expected.items():
            assert activations.std() > 0.1
            found = net.activation_map(x, layer)
            torch.testing.assert_close(found, activations, rtol=1e-9, atol=1e-9)
