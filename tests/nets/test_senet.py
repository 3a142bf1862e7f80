"""SENet-154 against its published size; timm's net is compared where weights are imported."""

from __future__ import annotations

import pytest
import torch

from verydeep.errors import InputError
from verydeep.nets.registry import anatomy
from verydeep.nets.senet import Gate, senet154


def test_it_has_the_published_parameters_and_layers() -> None:
    whole = anatomy("senet154")
    assert whole.parameters == 115_088_984  # timm: 115.09 M
    assert whole.multiply_adds / 1e9 == pytest.approx(20.7, rel=0.01)
    blocks = [part for part in whole.parts if part.layer.name.startswith("block")]
    assert 3 + 3 * len(blocks) + 1 == 154  # without shortcuts and gates


def test_a_gate_multiplies_by_factors_of_the_means() -> None:
    torch.manual_seed(0)
    gate, x = Gate(32), torch.randn(2, 32, 3, 5)
    means = x.flatten(2).mean(2)
    hidden = (means @ gate.fc1.weight[:, :, 0, 0].T + gate.fc1.bias).clamp(min=0)
    factors = 1 / (1 + torch.exp(-(hidden @ gate.fc2.weight[:, :, 0, 0].T + gate.fc2.bias)))
    torch.testing.assert_close(gate(x), x * factors[:, :, None, None])


def test_the_dense_form_agrees_at_the_input_size() -> None:
    torch.manual_seed(0)
    net = senet154(4, input_size=64, width=0.03).eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(net.score_map(x)[..., 0, 0], net(x))
    assert net.score_map(torch.randn(1, 3, 96, 64)).shape == (1, 4, *net.map_size(96, 64))


def test_it_has_no_form_without_normalisation() -> None:
    with pytest.raises(InputError, match=r"batch_norm must be true"):
        senet154(batch_norm=False)
