"""Checks that every reader of weights makes: sizes before anything is read, values afterwards."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.errors import InputError, ModelError, printable
from verydeep.models.weights.source import MOST_VALUES

_FAULTS = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(RecursionError, struct.error, zipfile.BadZipFile, NotImplementedError),
    *(zlib.error, lzma.LZMAError, RuntimeError),
)
"""Exceptions that a parser may raise on a damaged file; ``zipfile``'s on an encrypted one."""


@contextmanager
def faults_of(path: Path, what: str) -> Iterator[None]:
    """Turn every fault of a file into one ``ModelError`` that names the file.

    Args:
        path: File that is read.
        what: The format, with its article, for the message.

    Raises:
        ModelError: The file cannot be read or does not hold what it should.
    """
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{printable(path)}: {error}") from error
    except InputError:
        raise
    except OSError as error:
        raise ModelError(f"{printable(path)}: cannot be read ({error})") from error
    except MemoryError as error:
        raise ModelError(f"{printable(path)}: too large for this machine's memory") from error
    except _FAULTS as error:
        missing = " is missing" if isinstance(error, KeyError) else ""
        detail = printable(str(error)[:200]) + missing or type(error).__name__
        raise ModelError(
            f"{printable(path)}: not {what}, or a damaged one ({detail}); copy or save it again"
        ) from error


def check_sizes(shapes: Iterable[Sequence[int]], sizes: Iterable[int], held: int) -> None:
    """Refuse weights that are too many, or more than the file can hold.

    Args:
        shapes: Shapes of all tensors to read.
        sizes: Bytes to read for each.
        held: Size of the file in bytes.

    Raises:
        ModelError: There are too many numbers, or none in a tensor.
    """
    counts = [prod(shape) for shape in shapes]
    if 0 in counts:
        raise ModelError("holds a layer without weights: one side of a tensor is 0")
    if sum(counts) > MOST_VALUES:
        raise ModelError(
            f"holds {sum(counts):,} numbers, more than the {MOST_VALUES:,} that are read at most; "
            "give a file with the weights of one net alone"
        )
    size = sum(sizes)
    if size > held:
        raise ModelError(
            f"declares {size:,} bytes of weights, but is only {held:,} bytes long; it is "
            "damaged, or its tensors share numbers: save it again with a copy of each tensor"
        )


def as_weights(tensor: Tensor, name: str) -> Tensor:
    """Return weights in a dtype to compute with.

    Args:
        tensor: Weights of any shape.
        name: Name of the tensor in the file, for messages.

    Returns:
        The weights as float64 if they are, else as float32; contiguous.

    Raises:
        ModelError: The weights are not floating-point numbers.
    """
    if not tensor.is_floating_point():
        raise ModelError(
            f"{printable(name)}: its weights are {str(tensor.dtype).removeprefix('torch.')}, not "
            "floating-point numbers; a quantized net cannot be imported, only the one it was "
            "made from"
        )
    values = tensor if tensor.dtype == torch.float64 else tensor.float()
    return values.contiguous()


def to_tensor(values: NDArray[Any], name: str) -> Tensor:
    """Return numbers of an array, of any byte order, as a tensor.

    A view of a file, which cannot be written to, is copied; the memory of other arrays is shared.

    Args:
        values: The numbers.
        name: Name of the layer, for messages.

    Raises:
        ModelError: As for :func:`as_weights`.
    """
    if values.dtype.kind == "f":
        kind = np.float64 if values.dtype.itemsize == 8 else np.float32
        shared = values.dtype == kind and values.flags.carray  # of native order, and writeable
        values = values if shared else np.array(values, dtype=kind, order="C")
    elif values.dtype.kind not in "biu":
        raise ModelError(f"{printable(name)} holds no numbers ({values.dtype})")
    else:
        values = values.ravel()[:0].copy()  # refused for its type
    return as_weights(torch.from_numpy(values), name)


def check_count(count: int) -> None:
    """Refuse a file that declares too many numbers, before any of them is read.

    Raises:
        ModelError: ``count`` is above ``MOST_VALUES``.
    """
    if count > MOST_VALUES:
        raise ModelError(
            f"declares {count:,} numbers, more than the {MOST_VALUES:,} that are read at most"
        )
