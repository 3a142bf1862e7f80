"""Layers of a Keras file without a configuration: weights alone, told by their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.hdf5 import Node
from verydeep.models.weights.formats.keras.planned import EPSILON, Planned
from verydeep.models.weights.formats.keras.store import (
    NamedStore,
    NumberedStore,
    Parts,
    all_numbered,
)

SAVE_WHOLE = 'save the whole model: model.save("model.keras")'
NORM_NOTE = f"batch normalisations: the file does not say their epsilon; Keras's {EPSILON} is taken"


class _Bare(NamedTuple):
    """A layer of which only the weights are known."""

    model: str
    name: str
    parts: Parts

    @property
    def rank(self) -> int:
        """Dimensions of the kernel: 4, 2; 0 without."""
        return len(self.parts["kernel"].shape) if "kernel" in self.parts else 0

    @property
    def is_norm(self) -> bool:
        """Whether this is a batch normalisation."""
        return {"mean", "variance"} <= set(self.parts) and "count" not in self.parts


def named_layers(store: NamedStore) -> tuple[list[Planned], list[str]]:
    """Return the layers of a file of weights by name, and lines about what is none.

    Raises:
        ModelError: A batch normalisation does not follow a convolution.
    """
    layers: list[Planned] = []
    ignored: list[str] = []
    for owner in store.owners:
        bare = _Bare(owner.group, owner.name.rpartition("/")[2], owner.parts)
        if bare.rank in (2, 4):
            layers.append(Planned(bare.name, bare.parts))
        elif bare.is_norm and layers and layers[-1].norm is None:
            layers[-1].norm = bare.parts
        else:
            ignored.append(f"{printable(bare.name)}: neither kind of layer")
    return _finished(layers), ignored


def numbered_layers(store: NumberedStore) -> tuple[list[Planned], list[str]]:
    """Return the layers of a ``.weights.h5`` file of Keras 3, and lines about what is none.

    Such a file does not tell in which order layers of different classes come.

    Raises:
        ModelError: It cannot be told which convolution a batch normalisation belongs to.
    """
    found = [
        _Bare(path.rpartition("/")[0], name, _parts(variables))
        for path, name, variables in all_numbered(store.root)
    ]
    convolutions = [Planned(one.name, one.parts) for one in found if one.rank == 4]
    connected = [Planned(one.name, one.parts) for one in found if one.rank == 2]
    norms = [one for one in found if one.is_norm]
    if norms and [len(one.parts["mean"].shape) for one in norms] != [1] * len(convolutions):
        raise ModelError(
            f"holds {len(norms):,} batch normalisations and {len(convolutions):,} convolutions, "
            f"and not which belong together; {SAVE_WHOLE}"
        )
    for convolution, norm in zip(convolutions, norms, strict=False):
        convolution.norm = norm.parts
    others = [one.name for one in found if one.rank not in (2, 4) and not one.is_norm]
    ignored = [f"{printable(name)}: neither kind of layer" for name in others]
    return _finished(convolutions + connected), ignored


def _parts(variables: Sequence[Node]) -> Parts:
    """Return the parts of a layer as far as their shapes tell."""
    ranks = [len(variable.shape) for variable in variables]
    if ranks in ([4], [4, 1], [2], [2, 1]):
        return dict(zip(("kernel", "bias"), variables, strict=False))
    if ranks == [1] * 4:
        return dict(zip(("gamma", "beta", "mean", "variance"), variables, strict=True))
    if ranks == [1] * 2:
        return dict(zip(("mean", "variance"), variables, strict=True))
    if ranks == [1] * 3:
        raise ModelError(
            f"holds a batch normalisation of three variables, and not which they are; {SAVE_WHOLE}"
        )
    return {}


def _finished(layers: Iterable[Planned]) -> list[Planned]:
    """Check kernels, and let the first fully connected layer read channels last, as usual."""
    done = list(layers)
    for layer in done:
        if layer.is_convolution and layer.shape[0] != layer.shape[1]:
            raise ModelError(
                f"{layer}: its kernel is not (height, width, inputs, outputs); kernels for Theano "
                "have to be converted in Keras 2"
            )
    for layer in done:
        if not layer.is_convolution:
            layer.flatten = "hwc"
            break
    return done
