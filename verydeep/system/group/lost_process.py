"""The loss of another process of the group, as this one notices it."""

from __future__ import annotations

import contextlib
import re


def lost_connection(error: BaseException | None) -> bool:
    """Return whether an error means that another process of the group has ended."""
    while error is not None:
        if isinstance(error, RuntimeError) and _LOST.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


_LOST = re.compile(
    r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe|recvValue|failed to recv"
    r"|process group|TCPStore"
)


def abort_groups() -> None:
    """Abort the group, so that a transfer on a GPU no longer waits for a process that has ended."""
    from torch.distributed import distributed_c10d

    abort = getattr(distributed_c10d, "_abort_process_group", None)
    if abort and distributed_c10d.is_initialized():
        with contextlib.suppress(Exception):
            abort()
