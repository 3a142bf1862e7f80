"""Sending of values between processes, large ones through shared memory.

Arrays and tensors are not copied into the pickle. Where the system has anonymous memory files
(``memfd_create``), a large value goes through one: it takes no space in ``/dev/shm``, which is
small in containers, and leaves nothing behind when a process is killed. Elsewhere all values go
through the connection.
"""

from __future__ import annotations

import functools
import io
import itertools
import mmap
import os
import pickle
import struct
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SHARED_FROM = 2**20
"""Bytes below which values go through the connection, as mapping memory takes longer."""

_ALIGNMENT = 64


def send(connection: Connection, value: Any, *, shared: bool = True) -> None:
    """Send a value to the process at the other end, which must call :func:`receive`.

    Args:
        connection: One end of a duplex pipe.
        value: Any picklable value.
        shared: Whether a large value may go through shared memory; see :func:`can_share`.

    Raises:
        OSError: The other end is closed.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    sizes = [part.nbytes for part in parts]
    memory = _memory_with(parts) if shared and sum(sizes) >= SHARED_FROM else None
    connection.send_bytes(struct.pack(f"<?{len(sizes)}Q", memory is not None, *sizes))
    if memory is None:
        for part in parts:
            connection.send_bytes(part)
    else:
        _send_descriptor(connection, memory)


def receive(connection: Connection) -> Any:
    """Return the next value sent.

    Its arrays and tensors are writable.

    Raises:
        EOFError: The other end is closed, or its process has ended.
        OSError: The same, in the middle of a value.
    """
    head = connection.recv_bytes()
    shared, *sizes = struct.unpack(f"<?{(len(head) - 1) // 8}Q", head)
    parts: Sequence[Any]
    if shared:
        parts = _receive_memory(connection, sizes)
    else:
        parts = [bytearray(connection.recv_bytes()) for _ in sizes]
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - from a process of ours


@functools.cache
def can_share() -> bool:
    """Return whether large values can go through shared memory on this system."""
    try:
        descriptor = os.memfd_create("verydeep")
    except (AttributeError, OSError):
        return False
    try:
        os.write(descriptor, b"ok")
        return bytes(_mapped(descriptor, 2)) == b"ok"
    except (OSError, RuntimeError):
        return False
    finally:
        os.close(descriptor)


class _Pickler(pickle.Pickler):
    """Pickles the data of tensors out of band, like NumPy arrays."""

    def reducer_override(self, value: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is None or type(value) is not torch.Tensor:
            return NotImplemented
        if value.device.type != "cpu" or value.is_sparse:
            return NotImplemented
        flat: Any = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        return _tensor, (pickle.PickleBuffer(flat), value.dtype, tuple(value.shape))


def _tensor(data: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    import torch

    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype).view(shape)


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Return the aligned offsets of parts of these sizes, and the end of the last."""
    return [0, *itertools.accumulate(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]


def _memory_with(parts: Sequence[memoryview]) -> int | None:
    """Return the descriptor of a memory file with these parts; None if memory is short."""
    offsets = _offsets([part.nbytes for part in parts])
    try:
        descriptor = os.memfd_create("verydeep")
    except OSError:
        return None
    try:
        os.ftruncate(descriptor, offsets[-1])
        for offset, part in zip(offsets[:-1], parts, strict=True):
            _write(descriptor, part, offset)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _send_descriptor(connection: Connection, descriptor: int) -> None:
    from multiprocessing.reduction import send_handle

    try:
        send_handle(connection, descriptor, None)
    finally:
        os.close(descriptor)


def _write(descriptor: int, part: memoryview, offset: int) -> None:
    left = part.cast("B") if part.nbytes else part
    while left.nbytes:
        done = os.pwrite(descriptor, left, offset)
        left, offset = left[done:], offset + done


def _receive_memory(connection: Connection, sizes: Sequence[int]) -> list[memoryview]:
    from multiprocessing.reduction import recv_handle

    offsets = _offsets(sizes)
    descriptor = recv_handle(connection)
    try:
        whole = _mapped(descriptor, offsets[-1])
    finally:
        os.close(descriptor)
    return [whole[at : at + size] for at, size in zip(offsets[:-1], sizes, strict=True)]


def _mapped(descriptor: int, size: int) -> memoryview:
    if "torch" in sys.modules:
        import torch

        # Python's mmap would keep a descriptor open as long as the values exist.
        path = f"/proc/self/fd/{descriptor}"
        storage: Any = torch.UntypedStorage.from_file(path, shared=True, nbytes=size)
        numbers: Any = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
        return memoryview(numbers)
    return memoryview(mmap.mmap(descriptor, size)) if size else memoryview(bytearray())
