"""State dicts of torchvision and timm, read by PyTorch itself, into their own nets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.pytorch.reader import NESTED
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.runtimes.library import library, running

FIRST = "features.0.weight"
"""Name of the first weights of torchvision's and timm's VGG nets."""

DEEPEST = 4


def run_net(
    name: str,
    make: Callable[[Any, Imported], nn.Module],
    imported: Imported,
    pixels: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what a library's own net answers with the weights of a file.

    Args:
        name: Name of the library, which has its VGG nets in ``models.vgg``.
        make: Makes the net, from that module and the net made of the file.
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: The library is not installed.
        ModelError: The library's net has other layers or names of layers than the file.
    """
    vgg = library(f"{name}.models.vgg", name)
    with running(imported, name), torch.device("meta"):
        net = make(vgg, imported)
    with running(imported, name):
        return answers(net, imported, pixels)


@torch.no_grad()
def answers(
    net: nn.Module, imported: Imported, pixels: NDArray[np.float32], first: str = FIRST
) -> NDArray[np.float32]:
    """Return what a net answers with the weights of a file.

    Args:
        net: Net on the meta device, changed in place.
        imported: The net made of the file.
        pixels: Images as the net reads them, float32 (N, 3, S, S).
        first: Name of the net's first weights.

    Raises:
        ModelError: The names in the file are not those of the net.
    """
    state = own_state(imported, first)
    wanted = net.state_dict()
    absent = [name for name in wanted if name not in state and "num_batches" not in name]
    if absent:
        raise ModelError(f"{printable(imported.path)}: {absent[0]} is not in the file")
    zero = torch.tensor(0)
    net.load_state_dict({name: state.get(name, zero) for name in wanted}, assign=True)
    net.float().eval()
    return np.concatenate([net(torch.from_numpy(image[None])).numpy() for image in pixels])


def own_state(imported: Imported, first: str = FIRST) -> Mapping[str, Tensor]:
    """Return the tensors of a file by the names that torchvision and timm give them.

    Raises:
        ModelError: The file has other names.
    """
    with imported.path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    content = (
        load_file(imported.path)
        if is_safetensors
        else torch.load(imported.path, map_location="cpu", weights_only=True)
    )
    for mapping in _mappings(content, 0):
        key = next((key for key in mapping if str(key).endswith(first)), None)
        if key is not None:
            prefix = key.removesuffix(first)
            return {name.removeprefix(prefix): mapping[name] for name in mapping}
    raise ModelError(
        f"{printable(imported.path)}: names its layers otherwise than torchvision and timm, whose "
        f"nets begin with {first}; no net of theirs can load it"
    )


def _mappings(content: Any, depth: int) -> Iterator[Mapping[str, Tensor]]:
    """Yield all dictionaries in a checkpoint, those that are read by an import first."""
    if isinstance(content, Mapping) and depth <= DEEPEST:
        yield content
        for key in (*NESTED, *(key for key in content if key not in NESTED)):
            yield from _mappings(content.get(key), depth + 1)
