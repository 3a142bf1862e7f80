"""A net compiled by ``torch.compile`` for its passes in training.

The net itself stays as it is: checkpoints, models and validation use it, with its ordinary names.
Both have the same weights, and gradients arrive in the same tensors, so hooks see them.

N images, H height, W width, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.errors import MachineError
from verydeep.system.option_names import setting


def compiled(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass of a net, (N, 3, H, W) → (N, K), compiled when it is first called.

    It is compiled anew for each number of images, which are few: that of a whole part of a batch,
    and those of the last ones.

    Raises:
        MachineError: By the function: the net cannot be compiled here.
    """
    call: Any = torch.compile(net, dynamic=False)

    def forward(x: Tensor) -> Tensor:
        try:
            found: Tensor = call(x)
        except _errors() as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise MachineError(
                f"the net cannot be compiled here ({reason}): train it without, by "
                f"{setting('training.compile', 'never')}"
            ) from error
        return found

    return forward


def _errors() -> tuple[type[Exception], ...]:
    """Return what a failed compilation raises; loaded by then."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import InductorError

    return BackendCompilerFailed, InductorError
