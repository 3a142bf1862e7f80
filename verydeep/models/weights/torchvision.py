"""Weights of torchvision classifiers: lookup by name, files and class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from verydeep.errors import ModelError, did_you_mean
from verydeep.models.path import TORCHVISION
from verydeep.models.weights.formats.pytorch.state_dict import natural
from verydeep.system.files import expanded

HEADS = ("classifier", "fc", "head", "heads")
"""Modules that end in the last layer; others come before it, whatever their names."""

IMAGENET = 1000
"""Number of ImageNet classes; a file with as many outputs is taken to have these classes."""


@dataclass(frozen=True)
class TorchvisionWeights:
    """Weights named ``torchvision/NAME:SOURCE``.

    Attributes:
        name: Name of the net in torchvision.
        source: Text after the colon: a file, the name of published weights, or empty.
        published: Member of torchvision's weights enum of the net; None if unknown.
        file: File with the weights; None to download them.
    """

    name: str
    source: str
    published: Any
    file: Path | None

    @property
    def text(self) -> str:
        """Name of the net with the torchvision prefix, without weights."""
        return TORCHVISION + self.name

    def describe(self, outputs: int | None = None) -> str:
        """Return a description of the net, for messages."""
        count = "" if outputs is None else f" with {outputs:,} classes"
        return f"torchvision's {self.name}{count}"

    def read(self, outputs: int | None = None) -> Mapping[str, Tensor]:
        """Return the weights by name, from the file or the published ones.

        Args:
            outputs: Expected number of classes, for the error message; None if unknown.

        Raises:
            ModelError: The weights cannot be read or downloaded.
        """
        return (
            self._download() if self.file is None else _read_file(self.file, self.describe(outputs))
        )

    def _download(self) -> Mapping[str, Tensor]:
        try:
            state = self.published.get_state_dict(
                progress=True, check_hash=True, map_location="cpu", weights_only=True
            )
            return dict(state)
        except OSError as error:
            raise ModelError(download_fault(self, error)) from error
        except Exception as error:  # torch's errors on a broken pickle have no common base class
            raise ModelError(
                f"{cached_file(self.published)}: not the weights of {self.text} "
                f"({type(error).__name__}); delete the file, so that it is downloaded again"
            ) from error

    def class_names(self, outputs: int) -> tuple[str, ...]:
        """Return the class names of the net's outputs.

        Published weights have torchvision's names, with class numbers appended to duplicates. A
        file has ImageNet's names if it has as many outputs, else numbers from 0.

        Raises:
            ModelError: The published weights list no classes.
        """
        from torchvision.models import get_model_weights

        if self.published is None and outputs != IMAGENET:
            return tuple(map(str, range(outputs)))
        known = self.published or get_model_weights(self.name).DEFAULT
        return unique_names(published_classes(self.name, known))


def find_weights(text: str, *, default: bool = False) -> TorchvisionWeights:
    """Return the weights for ``torchvision/NAME``, ``…:FILE`` or ``…:WEIGHTS``.

    Args:
        text: Name of the net and its weights.
        default: Take torchvision's recommended weights for a name alone.

    Raises:
        ModelError: The net does not exist.
    """
    from torchvision import models

    name, _, source = text.removeprefix(TORCHVISION).partition(":")
    known = models.list_models(module=models)
    if name not in known:
        raise ModelError(
            f"{TORCHVISION}{name}: torchvision has no classifier of that name"
            f"{did_you_mean(name, known)}"
        )
    published = models.get_model_weights(name)
    if not source and default:
        return TorchvisionWeights(name, "DEFAULT", published.DEFAULT, None)
    if source in published.__members__ and not Path(source).exists():
        return TorchvisionWeights(name, source, published[source], None)
    file = expanded(source) if source else None
    # Recognize a published file by its name.
    same = (w for w in published if file and Path(w.url).name == file.name)
    return TorchvisionWeights(name, source, next(same, None), file)


def _read_file(path: Path, what: str) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: neither a file nor the name of weights that torchvision publishes"
        ) from error
    except (SafetensorError, OSError, ValueError, TypeError, EOFError, RuntimeError) as error:
        raise ModelError(f"{path}: not weights of {what} ({_first_lines(error)})") from error
    except Exception as error:  # torch's errors on an invalid pickle have no common base class
        raise ModelError(f"{path}: cannot be read ({type(error).__name__})") from error


def load_into(net: torch.nn.Module, state: Mapping[str, Tensor], origin: object, what: str) -> None:
    """Load weights into a torchvision net, without auxiliary classifiers.

    Args:
        net: Net, changed in place.
        state: Weights by name.
        origin: Origin of the weights, for the error message.
        what: Description of the net, for the error message.

    Raises:
        ModelError: The weights do not fit the net.
    """
    try:
        # Auxiliary classifiers are used in training only.
        kept = {k: v for k, v in state.items() if not k.lower().startswith("aux")}
        net.load_state_dict(kept, assign=next(net.parameters()).is_meta)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(f"{origin}: not weights of {what} ({_first_lines(error)})") from error


def _first_lines(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])


def count_outputs(state: Mapping[str, Tensor], origin: object, what: str) -> int:
    """Return the number of outputs of a classifier from its weights (size of the last layer).

    Args:
        state: Weights by name, in any order: safetensors lists them by name.
        origin: Origin of the weights, for the error message.
        what: Description of the net, for the error message.

    Raises:
        ModelError: The values are not weights of a classifier.
    """
    names = [name for name in state if str(name).partition(".")[0] in HEADS]
    last = state[max(names, key=natural)] if names else None
    if not isinstance(last, Tensor) or not last.dim() or not len(last):
        raise ModelError(f"{origin}: not weights of {what}")
    return len(last)


def cached_file(published: Any) -> Path:
    """Return torchvision's cache file for downloaded weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name


def download_fault(weights: TorchvisionWeights, error: OSError) -> str:
    """Return the message for a failed download, with alternatives."""
    url = weights.published.url
    return (
        f"{weights.text}: its weights cannot be downloaded from {url} ({error}); download that "
        f"file elsewhere and put it at {cached_file(weights.published)}, or name it: "
        f"{weights.text}:FILE"
    )


def published_classes(name: str, published: Any) -> Sequence[str]:
    """Return the class names of published weights, as torchvision writes them.

    Raises:
        ModelError: The weights are not a classifier's.
    """
    known: Sequence[str] | None = published.meta.get("categories")
    if known is None:
        raise ModelError(
            f"{TORCHVISION}{name}: these published weights are no classifier's: they know no "
            "classes"
        )
    return known


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names with the class number appended to duplicates.

    >>> unique_names(["crane", "hen", "crane"])
    ('crane (0)', 'hen', 'crane (2)')
    """
    times = Counter(names)
    return tuple(
        f"{name} ({number})" if times[name] > 1 else name for number, name in enumerate(names)
    )
