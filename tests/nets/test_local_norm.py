"""Local response normalisation against PyTorch's and against differences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from verydeep.nets.local_norm import LocalResponseNorm

SHAPES = [(2, 7, 5, 4), (1, 3, 4, 4), (2, 6, 3, 4, 5)]


@pytest.mark.parametrize("size", [1, 2, 4, 5])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_pytorch(
    shape: tuple[int, ...], beta: float, size: int
) -> None:
    generator = torch.Generator().manual_seed(size)
    x = (3 * torch.randn(shape, generator=generator)).requires_grad_()
    weights = torch.randn(shape, generator=generator)
    own = LocalResponseNorm(size, alpha=0.3, beta=beta, k=2.0)
    theirs = nn.LocalResponseNorm(size, alpha=0.3, beta=beta, k=2.0)
    found, expected = own(x), theirs(x)
    assert torch.allclose(found, expected, rtol=2e-6, atol=1e-7)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)]
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [3, 4])
def test_gradients_are_differences(size: int) -> None:
    x = torch.randn(2, 6, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(LocalResponseNorm(size, alpha=0.5, beta=0.75, k=1.0), (x,))


def test_maps_keep_precision_and_layout() -> None:
    x = torch.randn(2, 8, 6, 5).to(memory_format=torch.channels_last)
    norm = LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    assert norm(x).is_contiguous(memory_format=torch.channels_last)
    assert norm(x.bfloat16()).dtype == torch.bfloat16
    assert torch.equal(norm(x.bfloat16()), norm(x.bfloat16().float()).bfloat16())


def test_a_compiled_net_has_pytorchs() -> None:
    x = torch.randn(1, 6, 4, 4)
    norm = LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    seen: list[str] = []

    def backend(module: torch.fx.GraphModule, inputs: object) -> object:
        seen.append(str(module.graph))
        return module.forward

    found = torch.compile(norm, backend=backend)(x)
    assert "local_response_norm" in seen[0]
    assert torch.allclose(found, norm(x), atol=1e-6)
