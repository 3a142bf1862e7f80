"""The loss of another process of the group, as this one notices it."""

from __future__ import annotations

import contextlib
import re
import sys
import threading

from verydeep.errors import VeryDeepError
from verydeep.system.group.connections import cut_connections


def lost_connection(error: BaseException | None) -> bool:
    """Return whether an error means that another process of the group has ended."""
    while error is not None and not isinstance(error, VeryDeepError):
        if isinstance(error, RuntimeError) and (_is_of_torch(error) or _LOST.search(str(error))):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_of_torch(error: RuntimeError) -> bool:
    """Return whether the process group has raised an error; there is none without its module."""
    module = sys.modules.get("torch.distributed")
    return module is not None and isinstance(error, module.DistError)


_LOST = re.compile(
    r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe|recvValue|failed to recv"
    r"|process group|TCPStore"
)


_PARTING = 5.0
"""Seconds for the operations of a group that has failed to end."""


def leave_failed_group() -> None:
    """Leave a group that has failed, without waiting long for its operations.

    To destroy a gloo group is to wait for its operations. A cut connection ends them with an error,
    but a few never end, even if no other process is left (seen with torch 2.15).
    """
    cut_connections()
    leaving = threading.Thread(target=_destroy, daemon=True, name="verydeep-leave")
    leaving.start()
    leaving.join(_PARTING)


def _destroy() -> None:
    from torch import distributed

    abort_groups()
    if distributed.is_initialized():
        with contextlib.suppress(Exception):
            distributed.destroy_process_group()


def abort_groups() -> None:
    """Abort the group, so that a transfer on a GPU no longer waits for a process that has ended."""
    from torch.distributed import distributed_c10d

    abort = getattr(distributed_c10d, "_abort_process_group", None)
    if abort and distributed_c10d.is_initialized():
        with contextlib.suppress(Exception):
            abort()
