"""TensorBoard log of training metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from verydeep.errors import MissingExtra


def tensorboard_log(folder: Path, start: int) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that writes an epoch's metrics to TensorBoard.

    Args:
        folder: Folder of the event files.
        start: Finished epochs; later ones, logged before an interruption, are hidden.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("training.tensorboard", "tensorboard") from error
    writer = SummaryWriter(str(folder), purge_step=start + 1)

    def write(row: Mapping[str, Any]) -> None:
        for key, value in row.items():
            if key != "epoch":
                writer.add_scalar(key, value, row["epoch"])
        writer.flush()

    return write
