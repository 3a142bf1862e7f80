"""The way of the data through a graph of layers, as opposed to its branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Step(NamedTuple):
    """A node of a graph.

    Attributes:
        inputs: Names of what it reads.
        outputs: Names of what it writes; a name may be written again, as by a layer in place.
        has_weights: Whether it is a convolution or fully connected layer.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    has_weights: bool


class _Path(NamedTuple):
    length: int
    last: int


def longest_path(steps: Sequence[Step]) -> list[int]:
    """Return the places of the steps on the path with the most layers that have weights.

    Args:
        steps: Nodes in an order of execution.

    >>> trunk, head = Step(("x",), ("a",), True), Step(("a",), ("b",), True)
    >>> longest_path([trunk, Step(("a",), ("c",), False), head])
    [0, 2]
    """
    reach: dict[str, _Path] = {}
    before: list[int] = []
    deepest: list[int] = []
    start = _Path(0, -1)
    for place, step in enumerate(steps):
        arriving = max((reach.get(name, start) for name in step.inputs), default=start)
        arriving = _first_as_long(arriving, [reach.get(name, start) for name in step.inputs])
        length = arriving.length + step.has_weights
        before.append(arriving.last)
        weighted = place if step.has_weights else deepest[arriving.last] if before[-1] >= 0 else -1
        deepest.append(weighted)
        reach |= dict.fromkeys(step.outputs, _Path(length, place))
    return _trace(_end(before, deepest, steps), before)


def _first_as_long(best: _Path, paths: Sequence[_Path]) -> _Path:
    return next((path for path in paths if path.length == best.length and path.last >= 0), best)


def _end(before: Sequence[int], deepest: Sequence[int], steps: Sequence[Step]) -> int:
    """Return the last step after the deepest layer."""
    lengths: list[int] = []
    for place, step in enumerate(steps):
        length = lengths[before[place]] if before[place] >= 0 else 0
        lengths.append(length + step.has_weights)
    first = lengths.index(max(lengths)) if lengths else -1
    return max((place for place in range(len(steps)) if deepest[place] == first), default=first)


def _trace(place: int, before: Sequence[int]) -> list[int]:
    path = []
    while place >= 0:
        path.append(place)
        place = before[place]
    return path[::-1]
