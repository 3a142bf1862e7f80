"""Pickles read as plain data: nothing named in them is imported or called.

Tensors stay descriptions of where their numbers are. Objects of any other class become
:class:`Foreign`, so that a checkpoint with a training program's own objects can still be read.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import torch

LONGEST = 2**22
"""Most bytes of a pickle, without the numbers of its tensors; net E's takes 6 KB."""

MARK = object()


class Foreign(NamedTuple):
    """A class or function named in a pickle, or an object made by one, which is not."""

    name: str


class Storage(NamedTuple):
    """Numbers that lie outside the pickle.

    Attributes:
        dtype: Their type; None if unknown here.
        key: Name of the storage in the file.
        numel: Number of numbers that the pickle declares.
    """

    dtype: torch.dtype | None
    key: str
    numel: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a view of a storage.

    Attributes:
        storage: Where its numbers are.
        offset: Index of its first number.
        size: Its shape.
        stride: Steps between neighbours along each dimension.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.size, *self.stride, self.storage.numel)
        if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
            raise ValueError("sizes that no tensor has")
        if len(self.size) != len(self.stride) or len(self.size) > 8:
            raise ValueError("a tensor of more than 8 dimensions")
        steps = zip(self.size, self.stride, strict=True)
        last = self.offset + sum((side - 1) * step for side, step in steps)
        if 0 not in self.size and last >= self.storage.numel:
            raise ValueError("a tensor that ends after its numbers")

    @property
    def bytes(self) -> int:
        """Bytes to read and to hold: of the storage, or more if the tensor repeats numbers."""
        item = self.storage.dtype.itemsize if self.storage.dtype else 1
        return max(self.storage.numel, prod(self.size)) * item


DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_pickle(stream: io.BytesIO, storages: dict[str, Storage] | None = None) -> Any:
    """Read one pickle and stop behind it.

    Args:
        stream: A stream that stands at its beginning.
        storages: Gets every storage that the pickle names, by key.

    Returns:
        Dicts, lists, tuples, strings, numbers, :class:`StoredTensor`, :class:`Foreign`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: The pickle is damaged.
    """
    machine = _Machine({} if storages is None else storages)
    with warnings.catch_warnings():
        # About escape sequences in the texts of damaged files.
        warnings.simplefilter("ignore", DeprecationWarning)
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
    return machine.stack.pop()


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Foreign("set"),
    "MARK": lambda: MARK,
}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_IGNORED = frozenset({"PROTO", "FRAME", "READONLY_BUFFER"})


class _Machine:
    """The stack that a pickle is a program for."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name == "GLOBAL":
            self.stack.append(Foreign(argument.replace(" ", ".")))
        else:
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise ValueError(f"an instruction that no checkpoint needs: {name}")
            handler(argument)

    def _marked(self) -> list[Any]:
        """Take everything since the last mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _tuple1(self, _: Any) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def _tuple2(self, _: Any) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, _: Any) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _dict(self, _: Any) -> None:
        items = self._marked()
        self.stack.append({})
        self._fill(items)

    def _frozenset(self, _: Any) -> None:
        self._marked()
        self.stack.append(Foreign("frozenset"))

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _setitems(self, _: Any) -> None:
        self._fill(self._marked())

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            return  # an object of a class that is unknown here
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str | int):  # hashing a deep tuple could take for ever
                target[key] = value

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Foreign(f"{module}.{name}" if isinstance(module, str) else "?"))

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(_result(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(None)

    def _build(self, _: Any) -> None:
        self.stack.pop()  # the attributes of an object, which nobody needs

    def _binpersid(self, _: Any) -> None:
        identity = self.stack.pop()
        if isinstance(identity, tuple) and identity[:1] == ("module",):
            self.stack.append(identity[1])  # a class, which old files keep beside its source
            return
        storage = _storage(identity)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError("numbers of two kinds in one place")
        self.stack.append(storage)


def _result(function: Any, arguments: Any) -> Any:
    """Return what calling a known function gives, else a :class:`Foreign`."""
    if not isinstance(function, Foreign):
        return Foreign("object")
    match function.name.rpartition(".")[2], arguments:
        case "_rebuild_tensor_v2" | "_rebuild_tensor", (
            Storage() as storage,
            int(offset),
            tuple(size),
            tuple(stride),
            *_,
        ):
            return StoredTensor(storage, offset, size, stride)
        case "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter", (data, *_):
            return data
        case "Size", (tuple(size),):
            return size
        case "OrderedDict" | "defaultdict", (list(pairs),):
            return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}
        case "OrderedDict" | "defaultdict", _:
            return {}
    return function


def _storage(identity: Any) -> Storage:
    match identity:
        case ("storage", Foreign(name), str(key), _, int(numel)):
            return Storage(DTYPES.get(name.rpartition(".")[2]), key, numel)
        case ("storage", Foreign(name), str(key), _, int(numel), None):
            return Storage(DTYPES.get(name.rpartition(".")[2]), key, numel)
    raise ValueError("numbers outside the file")
