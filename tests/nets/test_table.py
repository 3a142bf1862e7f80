"""Table 1 against its six columns written out, and the arithmetic on it."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from verydeep.errors import InputError, SizeError
from verydeep.nets import table
from verydeep.nets.names import check_name

# The columns of Table 1, copied from the paper by hand: name of each convolution and its kernel.
PUBLISHED = {
    "A": "1_1:3 2_1:3 3_1:3 3_2:3 4_1:3 4_2:3 5_1:3 5_2:3",
    "A-LRN": "1_1:3 2_1:3 3_1:3 3_2:3 4_1:3 4_2:3 5_1:3 5_2:3",
    "B": "1_1:3 1_2:3 2_1:3 2_2:3 3_1:3 3_2:3 4_1:3 4_2:3 5_1:3 5_2:3",
    "C": "1_1:3 1_2:3 2_1:3 2_2:3 3_1:3 3_2:3 3_3:1 4_1:3 4_2:3 4_3:1 5_1:3 5_2:3 5_3:1",
    "D": "1_1:3 1_2:3 2_1:3 2_2:3 3_1:3 3_2:3 3_3:3 4_1:3 4_2:3 4_3:3 5_1:3 5_2:3 5_3:3",
    "E": "1_1:3 1_2:3 2_1:3 2_2:3 3_1:3 3_2:3 3_3:3 3_4:3 4_1:3 4_2:3 4_3:3 4_4:3"
    " 5_1:3 5_2:3 5_3:3 5_4:3",
}
# Section 4.1: B with each pair of 3x3 replaced by one 5x5.
RIVAL = {"B-5x5": "1_1:5 2_1:5 3_1:5 4_1:5 5_1:5"}


def test_the_six_nets_are_those_of_the_paper_in_its_order() -> None:
    assert list(table.SIX) == list(PUBLISHED)
    assert list(table.NAMES) == [*PUBLISHED, *RIVAL]


@pytest.mark.parametrize("name", PUBLISHED | RIVAL)
def test_convolutions_are_the_column_of_table_1(name: str) -> None:
    layers = [layer for layer in table.convolutional_layers(name) if layer.kind == "conv"]
    found = " ".join(f"{layer.name.removeprefix('conv')}:{layer.kernel}" for layer in layers)
    assert found == (PUBLISHED | RIVAL)[name]
    channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    assert [layer.outputs for layer in layers] == [channels[layer.name[4]] for layer in layers]
    assert all(layer.stride == 1 for layer in layers)


def test_only_a_lrn_normalises_and_only_behind_its_first_relu() -> None:
    for name in table.NAMES:
        layers = list(table.convolutional_layers(name))
        lrn = [index for index, layer in enumerate(layers) if layer.kind == "lrn"]
        assert len(lrn) == (1 if name == "A-LRN" else 0)
        for index in lrn:
            around = [layer.name for layer in layers[index - 2 : index + 2]]
            assert around == ["conv1_1", "relu1_1", "lrn1", "pool1"]


def test_fully_connected_layers_are_the_rows_below_the_last_pool() -> None:
    layers = [(x.name, x.inputs, x.outputs) for x in table.fully_connected_layers(1000)]
    assert layers == [
        ("fc6", 512 * 7 * 7, 4096),
        ("relu6", 4096, 4096),
        ("drop6", 4096, 4096),
        ("fc7", 4096, 4096),
        ("relu7", 4096, 4096),
        ("drop7", 4096, 4096),
        ("fc8", 4096, 1000),
    ]


def test_depth_is_the_number_in_the_head_of_the_column() -> None:
    published = {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}
    assert {name: table.weight_layers(name) for name in table.SIX} == published
    assert table.weight_layers("B-5x5") == 8


@given(st.integers(32, 2000))
def test_final_map_is_what_five_pools_leave(input_size: int) -> None:
    maps = torch.empty(1, 1, input_size, input_size, device="meta")
    for _ in range(5):
        maps = F.max_pool2d(maps, 2)
    assert table.final_map(input_size) == maps.shape[-1]


@pytest.mark.parametrize("input_size", [31, 1, 0, -224])
def test_an_input_that_vanishes_in_the_pools_is_refused(input_size: int) -> None:
    with pytest.raises(SizeError, match=rf"at least 32\b.* got {input_size} instead"):
        table.final_map(input_size)
    with pytest.raises(SizeError, match=r"at least 32\b"):
        list(table.fully_connected_layers(10, input_size=input_size))


@pytest.mark.parametrize("name", PUBLISHED | RIVAL)
def test_names_are_known_in_either_case(name: str) -> None:
    assert check_name(name) == check_name(name.lower()) == name


def test_an_unknown_net_is_refused_with_the_known_and_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        check_name("A-LNR")
    message = str(caught.value)
    assert "'A-LNR'" in message
    assert "A, A-LRN, B, C, D, E" in message
    assert message.endswith("did you mean 'A-LRN'?")


def test_an_unknown_net_far_from_all_gets_no_guess() -> None:
    with pytest.raises(InputError, match=r"no net 'F'") as caught:
        check_name("F")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("units", "width", "expected"),
    [(64, 1.0, 64), (64, 0.125, 8), (512, 0.25, 128), (64, 1.5, 96), (64, 0.001, 1)],
)
def test_width_is_a_factor_that_leaves_at_least_one_unit(
    units: int, width: float, expected: int
) -> None:
    assert table.scaled(units, width) == expected


def test_table_and_anatomy_answer_without_torch() -> None:
    program = (
        "import sys, verydeep.nets.anatomy\n"
        "verydeep.nets.anatomy.anatomy('D')\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
