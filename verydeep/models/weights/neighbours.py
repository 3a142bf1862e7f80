"""Weights of GoogLeNet and SENet-154: which layer of a file is which of the net.

torchvision's GoogLeNet is not the published one: it has batch normalisation instead of biases and
local response normalisation, 3x3 in place of 5x5, and a fourth pool of 2x2. timm's
``legacy_senet154`` is converted from the authors' Caffe model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from verydeep.errors import ModelError, printable
from verydeep.models.weights.match import LeftOut, Match, Taken
from verydeep.models.weights.source import Fact, SourceFile, SourceLayer
from verydeep.nets.registry import neighbour_layers

MARKS = {"inception3a.branch1.conv": "googlenet", "layer1.0.se_module.fc1": "senet154"}
"""A layer of the source by which a net is known."""

LAST = {"googlenet": "fc", "senet154": "last_linear"}
"""Name of the last layer in the source."""

HALF = (127.5, 127.5, 127.5)

FACTS: Mapping[str, Mapping[str, Fact]] = {
    "googlenet": {
        "mean": Fact(HALF, "torchvision's pretrained GoogLeNet converts its input: mean 0.5"),
        "std": Fact(HALF, "torchvision's pretrained GoogLeNet converts its input: std 0.5"),
    },
    "senet154": {},
}
"""What is known of the preprocessing, beside the habits of the framework."""

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
_STEM = {"conv1": "conv1.conv", "conv2_1": "conv2.conv", "conv2_2": "conv3.conv"}


def match_neighbour(file: SourceFile) -> Match | None:
    """Return the neighbour of the paper's nets that a file holds; None if it holds none.

    Raises:
        ModelError: Layers are missing or have other shapes.
    """
    theirs = {layer.name: layer for layer in file.layers}
    name = next((net for mark, net in MARKS.items() if mark in theirs), None)
    if name is None:
        return None
    taken = tuple(_taken(name, theirs))
    head = theirs.get(LAST[name])
    used = {one.source.name for one in taken} | {LAST[name]}
    left_out = (
        LeftOut(str(layer), "an auxiliary head, which is for training")
        for layer in file.layers
        if layer.name not in used
    )
    return Match(
        name=name,
        batch_norm=True,
        width=1.0,
        convolutions=taken,
        head=() if head is None else (Taken("fc", head),),
        left_out=tuple(left_out),
        final_map=None,
    )


def _taken(name: str, theirs: Mapping[str, SourceLayer]) -> Iterator[Taken]:
    for path, shape in neighbour_layers(name).items():
        source = theirs.get(source_name(name, path))
        if source is None:
            raise ModelError(f"has no layer {source_name(name, path)} of net {name}")
        if tuple(source.weight.shape) != shape:
            wanted = "x".join(map(str, shape))
            raise ModelError(f"{printable(str(source))} must be {wanted} for net {name}")
        yield Taken(path, source)


def source_name(net: str, path: str) -> str:
    """Return the name of a layer in the source.

    >>> source_name("googlenet", "inception3a.three.main.conv")
    'inception3a.branch2.1.conv'
    >>> source_name("senet154", "block3_1.body.gate.fc1"), source_name("senet154", "conv1_2")
    ('layer2.0.se_module.fc1', 'layer0.conv2')
    """
    first, _, rest = path.partition(".")
    if net == "googlenet":
        return f"{first}.{_BRANCHES[rest]}" if rest else _STEM[first]
    if not rest:
        return f"layer0.conv{first[-1]}"
    stage, _, number = first.removeprefix("block").partition("_")
    return f"layer{int(stage) - 1}.{int(number) - 1}.{_PARTS[rest]}"
