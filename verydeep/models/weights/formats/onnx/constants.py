"""Constants of an ONNX graph: initializers, and what simple nodes make of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.onnx.nodes import integer, integers, node_name
from verydeep.models.weights.formats.values import check_count

MOST_DEPTH = 32
"""Most nodes between an initializer and its use."""

OPENING = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    OPENING |= getattr(os, _flag, 0)
"""Flags to open a file of data with: no link, and no wait for a pipe."""

MOST_DIMENSIONS = 8
MOST_USES = 4
MOST_SMALL = 2**20
"""Each number of a file may be used that often, and that many in all for small constants."""

ARITHMETIC: dict[str, Callable[..., Any]] = {
    **{"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide},
    **{"Sqrt": np.sqrt, "Neg": np.negative, "Reciprocal": np.reciprocal},
}
SHAPING = ("Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten")

READABLE = ("float32", "float64", "float16", "bfloat16", "int32", "int64", "bool", "int8", "uint8")


class Constants:
    """The constants of a graph, computed when asked for.

    Args:
        folder: Folder of the file, for data stored beside it.
        tensors: Initializers.
    """

    def __init__(self, folder: Path, tensors: Iterable[Any]) -> None:
        self.folder = folder
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._nodes: dict[str, Any] = {}
        self._total, self._left = 0, MOST_SMALL
        for tensor in self._tensors.values():
            self._admit(tensor)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors or name in self._nodes

    def add(self, node: Any) -> None:
        """Take up a node that reads constants alone."""
        if node.op_type == "Constant":
            tensors = [one.t for one in node.attribute if one.name == "value" and one.HasField("t")]
            if tensors and node.output:
                self._admit(tensors[0])
                self._tensors[node.output[0]] = tensors[0]
                return
        self._nodes |= dict.fromkeys(node.output, node)

    def _admit(self, tensor: Any) -> None:
        """Count the numbers of a tensor; a file may use each of them a few times."""
        count = self._count(tensor)
        self._total += count
        self._left += MOST_USES * count
        check_count(self._total)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of an initializer, or None if it is computed."""
        tensor = self._tensors.get(name)
        return tuple(tensor.dims) if tensor is not None else None

    def value(self, name: str, depth: int = 0) -> np.ndarray:
        """Return a constant.

        Raises:
            ModelError: It is damaged, lies outside the folder, or comes from a node that is not
                computed here.
        """
        if depth > MOST_DEPTH:
            raise ModelError(f"{printable(name)} is computed in too many steps")
        tensor = self._tensors.get(name)
        self._spend(self._count(tensor) if tensor is not None else MOST_DIMENSIONS)
        if tensor is not None:
            return self._read(tensor)
        found = self._compute(name, depth)
        self._spend(found.size)
        return found

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ModelError(
                f"the graph uses its constants too often for a VGG net, more than "
                f"{MOST_USES} times; fold constants when exporting"
            )

    def _compute(self, name: str, depth: int) -> np.ndarray:
        node = self._nodes[name]
        kind = node.op_type
        if node.output[0] != name or node.domain not in ("", "ai.onnx"):
            raise self._not_computed(node)
        if kind == "Constant":
            return _from_attribute(node, self._not_computed(node))
        if kind not in ARITHMETIC and kind not in SHAPING:
            raise self._not_computed(node)
        inputs = [self.value(one, depth + 1) for one in node.input if one]
        largest = max((one.size for one in inputs), default=0)
        try:
            with np.errstate(all="ignore"):
                if kind in ARITHMETIC:
                    if prod(np.broadcast_shapes(*(one.shape for one in inputs))) > largest:
                        raise self._not_computed(node)
                    return np.asarray(ARITHMETIC[kind](*inputs))
                return _shape(node, *inputs)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise ModelError(
                f"{printable(node_name(node))} ({kind}) cannot be computed: {printable(error)}"
            ) from error

    def _not_computed(self, node: Any) -> ModelError:
        return ModelError(
            f"the weights must be stored in the file; some come from "
            f"{printable(node_name(node))} ({printable(node.op_type)}), which is not computed "
            "here. Fold constants when exporting, as with onnxsim"
        )

    def _count(self, tensor: Any) -> int:
        dims = list(tensor.dims)
        if len(dims) > MOST_DIMENSIONS or min(dims, default=0) < 0:
            raise self._damaged(tensor, f"has the shape {dims[:MOST_DIMENSIONS]}")
        return prod(dims)

    def _damaged(self, tensor: Any, what: str) -> ModelError:
        return ModelError(
            f"the initializer {printable(tensor.name)} {what}; the file is damaged, "
            "download or export it again"
        )

    def _read(self, tensor: Any) -> np.ndarray:
        """Return a stored tensor, once its data are known to be as long as its shape."""
        from onnx import helper, numpy_helper

        try:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(tensor, "has no known type") from error
        count = self._count(tensor)
        if dtype.name not in READABLE:
            raise ModelError(
                f"the initializer {printable(tensor.name)} holds {dtype.name}; "
                "only floating-point weights can be imported"
            )
        if tensor.data_location == 1:
            return self._read_outside(tensor, dtype, count)
        if tensor.HasField("raw_data"):
            raw = tensor.raw_data
            if len(raw) != count * dtype.itemsize:
                raise self._damaged(tensor, f"has {len(raw):,} bytes")
            return _numbers(np.frombuffer(raw, np.uint8), dtype).reshape(tensor.dims)
        field = helper.tensor_dtype_to_field(tensor.data_type)
        if len(getattr(tensor, field)) != count:
            raise self._damaged(tensor, f"has {len(getattr(tensor, field)):,} numbers")
        try:
            found = np.asarray(numpy_helper.to_array(tensor))
            return found.astype(np.float32) if dtype.name == "bfloat16" else found
        except Exception as error:  # onnx's errors have no common base class
            raise self._damaged(tensor, f"cannot be read ({printable(error)})") from error

    def _read_outside(self, tensor: Any, dtype: np.dtype, count: int) -> np.ndarray:
        """Return a tensor whose data lie in another file of the same folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name, size = entries.get("location", ""), count * dtype.itemsize
        try:
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", size))
        except ValueError as error:
            raise self._damaged(tensor, "has no sound place in another file") from error
        if not _is_plain(name):
            raise ModelError(
                f"the data of {printable(tensor.name)} must lie in a file beside "
                f"it; they are to be read from {printable(name)!r}"
            )
        if length != size or offset < 0:
            raise self._damaged(tensor, f"has {length:,} bytes at {offset:,} in {name}")
        return _numbers(self._read_file(name, offset, size), dtype).reshape(tensor.dims)

    def _read_file(self, name: str, offset: int, size: int) -> np.ndarray:
        path = self.folder / name
        try:
            handle = os.open(path, OPENING)
            with os.fdopen(handle, "rb") as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise ModelError(
                        f"{printable(path)}: must be a file, for its weights are needed"
                    )
                if offset + size > facts.st_size:
                    raise ModelError(
                        f"{printable(path)}: must have {offset + size:,} bytes for the "
                        f"weights; it has {facts.st_size:,}. Copy it again"
                    )
                file.seek(offset)
                return np.frombuffer(file.read(size), np.uint8)
        except OSError as error:
            raise ModelError(
                f"{printable(path)}: holds the weights and cannot be read "
                f"({error.strerror}); put it beside the graph"
            ) from error


def _numbers(raw: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the numbers of bytes; NumPy has no bfloat16, so float32 stands for it."""
    if dtype.name == "bfloat16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return raw.view(dtype.newbyteorder("<"))


def _is_plain(name: str) -> bool:
    """Return whether a name is that of a file in the same folder."""
    return (
        bool(name)
        and name.isprintable()
        and not set(name) & set("/\\:")
        and name not in (".", "..")
    )


def _from_attribute(node: Any, fault: ModelError) -> np.ndarray:
    """Return a constant that stands in an attribute as numbers."""
    for one in node.attribute:
        match one.name:
            case "value_float":
                return np.array(one.f, np.float32)
            case "value_floats":
                return np.array(one.floats, np.float32)
            case "value_int":
                return np.array(one.i, np.int64)
            case "value_ints":
                return np.array(one.ints, np.int64)
    raise fault


def _shape(node: Any, value: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Return a constant cast, or with its axes in another form."""
    axes = [int(one) for one in other.ravel()] if other is not None and other.size <= 16 else None
    match node.op_type:
        case "Cast":
            from onnx import helper

            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(integer(node, "to", 1)))
            if dtype.name not in READABLE:
                raise TypeError(f"a cast to {dtype.name}")
            return value.astype(np.float32 if dtype.name == "bfloat16" else dtype)
        case "Transpose":
            return value.transpose(integers(node, "perm") or None)
        case "Reshape":
            sides = axes if axes is not None else integers(node, "shape")
            kept = [value.shape[at] if side == 0 else side for at, side in enumerate(sides)]
            return value.reshape(kept)
        case "Squeeze":
            chosen = axes if axes is not None else integers(node, "axes")
            return value.squeeze(tuple(chosen) if chosen else None)
        case "Unsqueeze":
            chosen = axes if axes is not None else integers(node, "axes")
            return np.expand_dims(value, tuple(chosen))
        case "Flatten":
            axis = integer(node, "axis", 1)
            return value.reshape(prod(value.shape[:axis]), -1)
        case _:
            return value


def scalar_or_vector(value: np.ndarray, axis: int, rank: int) -> np.ndarray | None:
    """Return a constant that varies along one axis alone as (C,) or (1,), else None.

    Args:
        value: Constant, broadcast against a map of ``rank`` dimensions.
        axis: Axis of the channels.
        rank: Dimensions of the map.
    """
    shape: Sequence[int] = (1,) * (rank - value.ndim) + value.shape
    if len(shape) != rank or any(side != 1 for at, side in enumerate(shape) if at != axis):
        return None
    return value.reshape(-1)
