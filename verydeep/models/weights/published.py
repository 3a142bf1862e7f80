"""Published weights by name: address, checksum, licence and published errors.

The table is ``published.yaml`` beside this file. This module does not import torch.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from verydeep.errors import ModelError, did_you_mean
from verydeep.nets.names import BY_LAYERS
from verydeep.system.yaml import parse_yaml

if TYPE_CHECKING:
    from verydeep.models.weights.source import Family


@dataclass(frozen=True)
class Published:
    """Weights that somebody has published.

    Attributes:
        name: Name of the weights, as in ``keras/vgg16``.
        family: Framework whose habits of preprocessing apply.
        net: Column of Table 1.
        batch_norm: Whether a batch normalisation follows each convolution.
        classifier: Whether the fully connected layers can be used.
        url: Address of the file.
        mirrors: Other addresses of the same file, in the order to try.
        algorithm: Algorithm of the checksum, as :func:`hashlib.new` names it.
        digest: The checksum as the publisher states it, in hexadecimal; perhaps only its leading
            digits. None if it is only known from the server.
        size: Size of the file in bytes; None if it is not known exactly.
        size_about: Rounded size of the file in bytes.
        licence: Licence of the weights, as the publisher states it.
        top1_error: Published top-1 error on ILSVRC-2012's validation set, in percent, or None.
        top5_error: The same for top-5.
        protocol: How the errors were measured.
        reference: Where the errors are published.
    """

    name: str
    family: Family
    net: str
    batch_norm: bool
    classifier: bool
    url: str
    mirrors: tuple[str, ...]
    algorithm: str
    digest: str | None
    size: int | None
    size_about: int
    licence: str
    top1_error: float | None
    top5_error: float | None
    protocol: str
    reference: str

    @property
    def file_name(self) -> str:
        """Name of the file at its address.

        >>> find_published("torchvision/vgg16").file_name
        'vgg16-397923af.pth'
        """
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses of the file, in the order to try."""
        return (self.url, *self.mirrors)

    @property
    def checksum(self) -> str:
        """The checksum in words.

        >>> find_published("torchvision/vgg16").checksum
        'sha256 beginning with 397923af'
        >>> find_published("timm/vgg16.tv_in1k").checksum
        'sha256 as the server states it'
        """
        return checksum_in_words(self.algorithm, self.digest)

    @property
    def alias(self) -> str:
        """Usual name of the net: ``vgg16_bn`` is net D with batch normalisation."""
        layers = next((layers for layers, net in BY_LAYERS.items() if net == self.net), None)
        return f"vgg{layers}" + "_bn" * self.batch_norm if layers else self.net


DIGITS = {"md5": 32, "sha256": 64, "sha384": 96}
"""Hexadecimal digits of a whole checksum, by algorithm."""


def checksum_in_words(algorithm: str, digest: str | None) -> str:
    """Return a checksum, perhaps partial or unknown, for messages.

    >>> checksum_in_words("md5", "64373286793e3c8b2b4e3219cbf3544b")
    'md5 64373286793e3c8b2b4e3219cbf3544b'
    """
    if digest is None:
        return f"{algorithm} as the server states it"
    whole = len(digest) == DIGITS[algorithm]
    return f"{algorithm} {digest}" if whole else f"{algorithm} beginning with {digest}"


@functools.cache
def published() -> Mapping[str, Published]:
    """Return all published weights by name, in the order of the table."""
    text = resources.files(__package__).joinpath("published.yaml").read_text("utf-8")
    return MappingProxyType(
        {
            name: Published(name=name, **{**fields, "mirrors": tuple(fields["mirrors"])})
            for name, fields in parse_yaml(text).items()
        }
    )


def find_published(name: str) -> Published:
    """Return the published weights of a name.

    Raises:
        ModelError: There are none of this name.

    >>> find_published("vgg/16").net
    'D'
    """
    known = published().get(name)
    if known is None:
        raise ModelError(
            f"{name!r} is no name of published weights; verydeep weights lists the names"
            f"{did_you_mean(name, published())}"
        )
    return known


def published_like(file_name: str) -> Published | None:
    """Return the published weights whose file has this name, if it tells them from others.

    >>> published_like("VGG_ILSVRC_19_layers.caffemodel").name
    'vgg/19'
    >>> published_like("model.safetensors")
    """
    found = [one for one in published().values() if one.file_name == file_name]
    return found[0] if len(found) == 1 else None
