"""Weights of PyTorch: files of ``torch.save`` and safetensors.

Nothing in the file is run: a pickle is read as data (:mod:`.pickled`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.pytorch.archive import ZIP, Checkpoint, open_checkpoint
from verydeep.models.weights.formats.pytorch.pickled import Foreign, StoredTensor
from verydeep.models.weights.formats.pytorch.state_dict import Stored, read_layers
from verydeep.models.weights.formats.values import faults_of
from verydeep.models.weights.source import SourceFile, SourceLayer

NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Keys under which training programs keep the weights; the averages count if nothing else does."""

DEEPEST = 4
LONGEST_HEADER = 100_000_000
"""Limit of the safetensors format, in bytes."""


def matches(head: bytes, path: Path) -> bool:
    """Return whether a file is one of ``torch.save`` or safetensors.

    Args:
        head: The first 4,096 bytes of the file.
        path: The file.
    """
    if head.startswith(ZIP):
        return _is_torch_zip(path)
    return _is_pickle(head) or _is_safetensors(head)


def read(path: Path) -> SourceFile:
    """Read a state dict.

    Args:
        path: A file of ``torch.save``, of any version, or a safetensors file.

    Raises:
        ModelError: The file is damaged, holds no state dict, or weights that cannot be used.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(ZIP) and not _is_pickle(head):
        return _read_safetensors(path)
    with faults_of(path, "a file of torch.save"), open_checkpoint(path) as checkpoint:
        return _read_checkpoint(checkpoint, head)


def _is_torch_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
    return any(name.endswith(("/data.pkl", "/constants.pkl", "/version")) for name in names)


def _is_pickle(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= LONGEST_HEADER and head[8:9] == b"{"


def _read_checkpoint(checkpoint: Checkpoint, head: bytes) -> SourceFile:
    state, keys = _find_state(checkpoint.content)
    tensors = {
        name: Stored(tensor.size, tensor.bytes, partial(checkpoint.tensor, tensor))
        for name, tensor in state.items()
    }
    layers, ignored = read_layers(tensors, checkpoint.size)
    kind = "zip archive" if head.startswith(ZIP) else "before version 1.6"
    return SourceFile(
        format=f"PyTorch weights ({kind})",
        family=_family(layers),
        layers=layers,
        classes=_classes(checkpoint.content),
        ignored=(*_other_weights(checkpoint.content, keys), *ignored),
    )


def _find_state(content: Any) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """Return the tensors of a net by name, and the keys that lead to them."""
    if isinstance(content, Foreign):
        raise ModelError(_whole_net(content))
    found = _states(content, (), 0)
    if not found:
        raise ModelError(
            "holds no state dict (names of layers with their tensors), neither itself nor under "
            f"{', '.join(NESTED)}; save the weights with "
            'torch.save(net.state_dict(), "weights.pth")'
        )
    return found


def _whole_net(content: Foreign) -> str:
    return (
        f"holds an object of the class {printable(content.name)}, whose code it would have to run; "
        'save the weights alone: torch.save(net.state_dict(), "weights.pth")'
    )


def _states(
    content: Any, keys: tuple[str, ...], depth: int
) -> tuple[dict[str, StoredTensor], tuple[str, ...]] | None:
    if not isinstance(content, dict) or depth > DEEPEST:
        return None
    own = dict(_tensors(content))
    if any(len(tensor.size) > 1 for tensor in own.values()):
        return own, keys
    for key in (*NESTED, *AVERAGED):
        inner = content.get(key)
        if isinstance(inner, Foreign):
            raise ModelError(_whole_net(inner))
        if found := _states(inner, (*keys, key), depth + 1):
            return found
    others = [
        found
        for key, inner in content.items()
        if isinstance(key, str) and (found := _states(inner, (*keys, key), depth + DEEPEST))
    ]
    return others[0] if len(others) == 1 else None


def _tensors(content: Mapping[Any, Any]) -> Iterator[tuple[str, StoredTensor]]:
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, StoredTensor):
            yield name, value


def _other_weights(content: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield lines about weights beside those that were taken."""
    if keys and isinstance(content, dict):
        for key in (*NESTED, *AVERAGED):
            if key != keys[0] and isinstance(content.get(key), dict):
                yield f"{key}: other weights in the same file; those of {'.'.join(keys)} are taken"


def _classes(content: Any) -> tuple[str, ...] | None:
    """Return the names of classes that a training program put beside the weights."""
    if not isinstance(content, dict):
        return None
    for key in ("classes", "class_names"):
        names = content.get(key)
        if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
            return tuple(names)
    numbers = content.get("class_to_idx")
    if isinstance(numbers, dict) and numbers:
        names = {number: name for name, number in numbers.items() if isinstance(name, str)}
        if sorted(names) == list(range(len(numbers))):
            return tuple(names[number] for number in range(len(numbers)))
    return None


def _family(layers: tuple[SourceLayer, ...]) -> Any:
    timm = any("pre_logits" in layer.name.split(".") for layer in layers)
    return "timm" if timm else "torchvision"


def _read_safetensors(path: Path) -> SourceFile:
    with faults_of(path, "a safetensors file"):
        try:
            return _from_safetensors(path)
        except SafetensorError as error:
            raise ValueError(str(error)) from error


def _from_safetensors(path: Path) -> SourceFile:
    with safe_open(path, framework="pt") as file:
        tensors = {name: _slice(file, name) for name in file.keys()}  # noqa: SIM118, not a dict
        layers, ignored = read_layers(tensors, path.stat().st_size, sort=True)
    return SourceFile("safetensors", _family(layers), layers, ignored=ignored)


def _slice(file: Any, name: str) -> Stored:
    shape = tuple(file.get_slice(name).get_shape())
    return Stored(shape, prod(shape), partial(file.get_tensor, name))
