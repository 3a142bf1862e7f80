"""Verb ``weights``: published weights by name."""

from __future__ import annotations

from typing import Annotated

import typer

from verydeep.cli.completion import weights_beginning
from verydeep.cli.options import Json
from verydeep.cli.output import print_result

WEIGHTS_EXAMPLES = "Examples:  verydeep weights   |   verydeep weights keras/vgg16"


def weights(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of weights, such as torchvision/vgg16 or vgg/19.",
            autocompletion=weights_beginning,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List published weights of the nets: names, errors, licences and what is on this machine.

    With a name, show these weights in full: address, checksum, size and reference. Nothing is
    downloaded.
    """
    from verydeep.cli.text import weights as tables
    from verydeep.models.weights.published import find_published, published

    if name is None:
        every = list(published().values())
        print_result(tables.weights_as_json(every), tables.weights_as_text(every), as_json)
    else:
        one = find_published(name)
        print_result(tables.one_as_json(one), tables.one_as_text(one), as_json)
