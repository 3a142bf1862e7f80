"""Lack of memory, whoever reports it."""

from __future__ import annotations


def is_lack_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short, on the machine or on a GPU.

    It does not import PyTorch.

    >>> is_lack_of_memory(MemoryError()), is_lack_of_memory(ValueError())
    (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
