"""What the processes of a group tell one another after every update."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch

from verydeep.system.group.distributed import Group


@dataclass(frozen=True, slots=True)
class Word:
    """Numbers of one process, or their sums over the processes.

    Attributes:
        images: Images added to an update.
        loss: Sum of their losses.
        wrong: Misclassified ones.
        stops: Processes that were asked to stop.
        due: 1 if it is time for a checkpoint.
        faults: Images that could not be read.
    """

    images: float = 0.0
    loss: float = 0.0
    wrong: float = 0.0
    stops: float = 0.0
    due: float = 0.0
    faults: float = 0.0


def agree(group: Group, word: Word) -> Word:
    """Return the sums of the words of all processes, so that all act alike in the same update."""
    if group.size == 1:
        return word
    return Word(*group.sum(torch.tensor(astuple(word), dtype=torch.float64)).tolist())
