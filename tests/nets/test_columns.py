"""Recognition of a column of Table 1 from the shapes of convolutions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import verydeep
from verydeep.nets.columns import Shape, nearest_column
from verydeep.nets.table import NAMES


def shapes(name: str, width: float) -> list[Shape]:
    """Return the shapes of a built net's convolutions."""
    net = verydeep.vgg(name, num_classes=2, width=width, hidden=8, input_size=32)
    layers = [module for module in net.features if isinstance(module, nn.Conv2d)]
    return [Shape(one.in_channels, one.out_channels, one.kernel_size[0]) for one in layers]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [0.125, 0.03])
def test_every_net_is_recognized(name: str, width: float) -> None:
    found = nearest_column([*shapes(name, width), Shape(9, 9, 9)], lrn=name == "A-LRN")
    assert (found.name, found.whole) == (name, True)
    assert [layer.outputs for layer in found.layers] == [s.outputs for s in shapes(name, width)]


def test_without_word_of_lrn_it_is_net_a() -> None:
    assert nearest_column(shapes("A", 0.125)).name == "A"


@given(name=st.sampled_from(["B", "C", "D", "E"]), place=st.integers(1, 9), more=st.integers(1, 5))
def test_the_nearest_net_agrees_up_to_the_change(name: str, place: int, more: int) -> None:
    changed = shapes(name, 0.125)
    changed[place] = changed[place]._replace(outputs=changed[place].outputs + more)
    found = nearest_column(changed)
    assert not found.whole
    assert found.agreeing >= place


def test_no_layers_agree_with_none() -> None:
    assert nearest_column([]).agreeing == 0
