"""Weights of GoogLeNet and SENet-154: which layer of a file is which of the net.

torchvision's GoogLeNet is not the published one: it has batch normalisation instead of biases and
local response normalisation, 3x3 in place of 5x5, and a fourth pool of 2x2. timm's
``legacy_senet154`` is converted from the authors' Caffe model. Caffe's own GoogLeNet ("BVLC
GoogLeNet") is the published net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from verydeep.errors import ModelError, printable
from verydeep.models.weights.families import HABITS
from verydeep.models.weights.match import LeftOut, Match, Taken, check_finite
from verydeep.models.weights.source import Fact, Family, SourceFile, SourceLayer
from verydeep.nets.registry import neighbour_layers


@dataclass(frozen=True)
class Source:
    """A framework's version of a net.

    Attributes:
        net: Name of the net.
        mark: A layer by which the version is known.
        last: Name of the last layer.
        inputs: Numbers that the last layer reads.
        name: Returns the name of a layer by its path in our net.
        batch_norm: Whether the net has batch normalisation.
        notes: How it differs from the published net, for the report.
    """

    net: str
    mark: str
    last: str
    inputs: int
    name: Callable[[str], str]
    batch_norm: bool = True
    notes: tuple[str, ...] = ()


HALF = (127.5, 127.5, 127.5)

FACTS: Mapping[str, Mapping[str, Fact]] = {
    "googlenet": {
        "mean": Fact(HALF, "torchvision's pretrained GoogLeNet converts its input: mean 0.5"),
        "std": Fact(HALF, "torchvision's pretrained GoogLeNet converts its input: std 0.5"),
    },
    "senet154": {},
}
"""What is known of the preprocessing in PyTorch, beside the habits of the framework."""

_BVLC = "BVLC GoogLeNet's description of the net"
CAFFE_FACTS: Mapping[str, Fact] = {
    "mean": Fact((123.0, 117.0, 104.0), _BVLC),
    "std": Fact((1.0, 1.0, 1.0), f"{_BVLC}: only the mean is subtracted"),
    "resize": Fact(256, "smallest side 256; BVLC squashed its images to 256x256"),
}
"""What is known of Caffe's GoogLeNet, which replaces the habits of the authors of VGG."""


def facts_of_neighbour(family: Family, net: str) -> Mapping[str, Fact] | None:
    """Return what is known of a neighbour of the paper's nets in files of a framework."""
    if net not in FACTS:
        return None
    return {**HABITS[family], **(CAFFE_FACTS if family == "caffe" else FACTS[net])}


_BRANCHES = {
    "one.conv": "branch1.conv",
    "three.reduce.conv": "branch2.0.conv",
    "three.main.conv": "branch2.1.conv",
    "five.reduce.conv": "branch3.0.conv",
    "five.main.conv": "branch3.1.conv",
    "pool.project.conv": "branch4.1.conv",
}
_PARTS = {
    "body.reduce.conv": "conv1",
    "body.middle.conv": "conv2",
    "body.expand.conv": "conv3",
    "body.gate.fc1": "se_module.fc1",
    "body.gate.fc2": "se_module.fc2",
    "shortcut.conv": "downsample.0",
}
_CAFFE = {
    **{"conv1": "7x7_s2", "conv2_1": "3x3_reduce", "conv2_2": "3x3"},
    **{"one.conv": "1x1", "pool.project.conv": "pool_proj"},
    **{"three.reduce.conv": "3x3_reduce", "three.main.conv": "3x3"},
    **{"five.reduce.conv": "5x5_reduce", "five.main.conv": "5x5"},
}
_STEM = {"conv1": "conv1.conv", "conv2_1": "conv2.conv", "conv2_2": "conv3.conv"}


def match_neighbour(file: SourceFile) -> Match | None:
    """Return the neighbour of the paper's nets that a file holds; None if it holds none.

    Raises:
        ModelError: Layers or normalisations are missing, have other shapes, or hold numbers that
            are not finite.
    """
    theirs = {layer.name: layer for layer in file.layers}
    source = next((one for one in SOURCES if one.mark in theirs), None)
    if source is None:
        return None
    taken = tuple(_taken(source, theirs))
    head = theirs.get(source.last)
    if head is not None and head.weight[0].numel() != source.inputs:
        raise ModelError(
            f"{printable(str(head))} must read {source.inputs:,} numbers for net {source.net}"
        )
    check_finite([*(one.source for one in taken), *([] if head is None else [head])])
    used = {one.source.name for one in taken} | {source.last}
    left_out = (
        LeftOut(str(layer), "an auxiliary head, which is for training")
        for layer in file.layers
        if layer.name not in used
    )
    return Match(
        name=source.net,
        batch_norm=source.batch_norm,
        width=1.0,
        convolutions=taken,
        head=() if head is None else (Taken("fc", head),),
        left_out=tuple(left_out),
        final_map=None,
        notes=source.notes,
    )


def _taken(source: Source, theirs: Mapping[str, SourceLayer]) -> Iterator[Taken]:
    for path, shape in neighbour_layers(source.net, batch_norm=source.batch_norm).items():
        name = source.name(path)
        layer = theirs.get(name)
        if layer is None:
            raise ModelError(f"has no layer {name} of net {source.net}")
        if tuple(layer.weight.shape) != shape:
            wanted = "x".join(map(str, shape))
            raise ModelError(f"{printable(str(layer))} must be {wanted} for net {source.net}")
        has_norm = source.batch_norm and path.rpartition(".")[2].startswith("conv")
        if has_norm != (layer.norm is not None):
            rule = "a" if has_norm else "no"
            raise ModelError(
                f"{printable(name)} must have {rule} batch normalisation, as in net {source.net}; "
                "save the net before its normalisations are folded into the convolutions"
            )
        yield Taken(path, layer)


def torchvision_name(path: str) -> str:
    """Return torchvision's name of a layer of GoogLeNet.

    >>> torchvision_name("inception3a.three.main.conv")
    'inception3a.branch2.1.conv'
    """
    first, _, rest = path.partition(".")
    return f"{first}.{_BRANCHES[rest]}" if rest else _STEM[first]


def caffe_name(path: str) -> str:
    """Return Caffe's name of a layer of GoogLeNet.

    >>> caffe_name("inception3a.three.main.conv"), caffe_name("conv2_1")
    ('inception_3a/3x3', 'conv2/3x3_reduce')
    """
    first, _, rest = path.partition(".")
    if not rest:
        return f"{first[:5]}/{_CAFFE[first]}"
    return f"{first.replace('inception', 'inception_')}/{_CAFFE[rest]}"


def timm_name(path: str) -> str:
    """Return timm's name of a layer of SENet-154.

    >>> timm_name("block3_1.body.gate.fc1"), timm_name("conv1_2")
    ('layer2.0.se_module.fc1', 'layer0.conv2')
    """
    first, _, rest = path.partition(".")
    if not rest:
        return f"layer0.conv{first[-1]}"
    stage, _, number = first.removeprefix("block").partition("_")
    return f"layer{int(stage) - 1}.{int(number) - 1}.{_PARTS[rest]}"


SOURCES = (
    Source(
        "googlenet",
        "inception3a.branch1.conv",
        "fc",
        1024,
        torchvision_name,
        notes=(
            "torchvision's net, not the published one: batch normalisation replaces biases and "
            "local response normalisation, 3x3 replaces 5x5, and pool4 is 2x2",
        ),
    ),
    Source(
        "googlenet",
        "inception_3a/1x1",
        "loss3/classifier",
        1024,
        caffe_name,
        batch_norm=False,
        notes=(
            "the published net: sizes of pooled maps are rounded up (112 to 56 by 3x3, stride 2), "
            "and local response normalisation divides alpha by its 5 channels, as in Caffe",
        ),
    ),
    Source("senet154", "layer1.0.se_module.fc1", "last_linear", 2048, timm_name),
)
"""Versions of the neighbours whose files are read."""
