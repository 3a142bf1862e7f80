"""Gradients of an update, summed over the processes of a group while they are computed.

Every process adds up the gradients of the losses of its own images. The sum over all processes is
taken in buckets, each started as soon as the last backward pass of the update has filled it, so
that it overlaps with the rest of that pass (Li et al. 2020, "PyTorch Distributed").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from verydeep.system.group.distributed import Group, Pending

BUCKET = 25 * 2**20
"""Bytes of gradients that are summed at once."""


class Gradients:
    """The gradients of one process: nothing is summed.

    Args:
        net: Net that is trained.
    """

    def __init__(self, net: nn.Module) -> None:
        self.parameters = [p for p in net.parameters() if p.requires_grad]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Drop the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def clear(self) -> None:
        """Begin an update."""
        for parameter in self.parameters:
            parameter.grad = None

    def last(self) -> None:
        """Announce the last backward pass of the update."""

    def total(self, images: int) -> int:
        """Complete the update's gradients.

        Args:
            images: Images that this process has added.

        Returns:
            Images that all processes have added.
        """
        return images

    def scale(self, factor: float) -> None:
        """Multiply the gradients by a factor."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


@dataclass
class _Bucket:
    """Gradients that are summed together; each is a view of the buffer."""

    parameters: list[nn.Parameter]
    buffer: Tensor
    missing: int = 0


class SharedGradients(Gradients):
    """The gradients of a process in a group.

    Args:
        net: Net that is trained, the same in all processes.
        group: The group.
        bucket: Bytes that are summed at once.
    """

    def __init__(self, net: nn.Module, group: Group, bucket: int = BUCKET) -> None:
        super().__init__(net)
        self.group = group
        # The backward pass reaches the last layers first.
        self._buckets = [_bucket(some) for some in _divided(reversed(self.parameters), bucket)]
        self._handles: list[RemovableHandle] = []
        self._pending: list[Pending] = []
        self._armed = False

    def __enter__(self) -> Self:
        """Listen to the backward passes."""
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                listen = parameter.register_post_accumulate_grad_hook
                self._handles.append(listen(partial(self._filled, bucket)))  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        """Stop listening, and drop the gradients."""
        while self._handles:
            self._handles.pop().remove()
        super().__exit__(*error)

    def clear(self) -> None:
        """Begin an update."""
        for bucket in self._buckets:
            bucket.buffer.zero_()
            for parameter, view in zip(bucket.parameters, _views(bucket), strict=True):
                parameter.grad = view

    def last(self) -> None:
        """Announce the last backward pass of the update."""
        self._armed = True
        for bucket in self._buckets:
            bucket.missing = len(bucket.parameters)

    def total(self, images: int) -> int:
        """Complete the sums over all processes; return the number of images of all."""
        self._armed = False
        count = torch.tensor([images])
        self._start(len(self._buckets))
        self._pending.append(self.group.start_sum(count))
        while self._pending:
            self._pending.pop(0).wait()
        return int(count)

    def _filled(self, bucket: _Bucket, parameter: Tensor) -> None:
        if not self._armed:
            return
        bucket.missing -= 1
        # All processes must start their sums in the same order.
        full = next((i for i, one in enumerate(self._buckets) if one.missing), len(self._buckets))
        self._start(full)

    def _start(self, until: int) -> None:
        for bucket in self._buckets[len(self._pending) : until]:
            self._pending.append(self.group.start_sum(bucket.buffer))


def gradients_of(net: nn.Module, group: Group) -> Gradients:
    """Return the gradients of a net that a group trains."""
    return Gradients(net) if group.size == 1 else SharedGradients(net, group)


def _divided(parameters: Iterable[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    """Yield consecutive parameters of one type that together have up to ``size`` bytes."""
    found: list[nn.Parameter] = []
    for parameter in parameters:
        total = sum(p.numel() * p.element_size() for p in (*found, parameter))
        if found and (total > size or parameter.dtype != found[0].dtype):
            yield found
            found = []
        found.append(parameter)
    if found:
        yield found


def _bucket(parameters: list[nn.Parameter]) -> _Bucket:
    length = sum(parameter.numel() for parameter in parameters)
    return _Bucket(parameters, parameters[0].new_zeros(length))


def _views(bucket: _Bucket) -> Iterator[Tensor]:
    """Yield a view of the buffer for each parameter, with the parameter's memory layout."""
    begin = 0
    for parameter in bucket.parameters:
        yield bucket.buffer.as_strided(parameter.shape, parameter.stride(), begin)
        begin += parameter.numel()
