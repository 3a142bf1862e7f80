"""Published weights, as text and plain values."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.models.weights.caches import cached
from verydeep.models.weights.published import Published

_WIDTH = 92
_HEAD = ("name", "net", "size", "top-1", "top-5", "here")


def weights_as_text(every: Sequence[Published]) -> str:
    """Return published weights as a table, in groups by publisher, protocol and licence."""
    head, *lines = align([_HEAD, *map(_cells, every)], left=2).splitlines()
    blocks = [head]
    rows = zip(every, lines, strict=True)
    for _, group in itertools.groupby(rows, key=lambda row: _shared(row[0])):
        found = list(group)
        blocks.append("\n".join([*(line for _, line in found), *_notes(found[0][0])]))
    return "\n\n".join(
        [
            *blocks,
            "Errors in % on ILSVRC-2012's validation set, as published; size: of the download;\n"
            "here: a file of that name is on this machine. Address and checksum: "
            "verydeep weights NAME",
        ]
    )


def weights_as_json(every: Sequence[Published]) -> dict[str, Any]:
    """Return published weights as plain values."""
    return {"weights": [one_as_json(one) for one in every]}


def one_as_text(one: Published) -> str:
    """Return everything that is known of published weights, a line for each fact."""
    here = cached(one)
    rows = [
        ("net", f"{one.net} ({one.alias})"),
        ("file", one.file_name),
        ("address", one.url),
        *(("mirror", mirror) for mirror in one.mirrors),
        ("checksum", one.checksum),
        ("size", _size_in_words(one)),
        ("licence", one.licence),
        ("errors", _errors_in_words(one)),
        ("measured", one.protocol),
        ("reference", one.reference),
        ("here", f"{here} (checked when it is used)" if here else "no"),
    ]
    return (
        f"{one.name}\n\n{align(rows, left=2)}\n\n"
        f"As a model of this package: verydeep import {one.name} --out MODEL"
    )


def one_as_json(one: Published) -> dict[str, Any]:
    """Return published weights as plain values; ``cached`` is a path or null."""
    here = cached(one)
    return {**dataclasses.asdict(one), "file": one.file_name, "cached": here and str(here)}


def _shared(one: Published) -> tuple[str, str, str]:
    """Return what a group has in common: publisher, protocol and licence."""
    return one.name.partition("/")[0], one.protocol, one.licence


def _notes(first: Published) -> Iterator[str]:
    """Yield what holds for all weights of a group, wrapped and indented."""
    for text in (f"errors: {first.protocol}", f"licence: {first.licence}"):
        yield textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="      ")


def _cells(one: Published) -> Cells:
    return (
        one.name,
        one.net + " + BN" * one.batch_norm,
        f"{one.size_about / 1e6:.0f} MB",
        _error(one.top1_error),
        _error(one.top5_error),
        "yes" if cached(one) else "",
    )


def _error(error: float | None) -> str:
    """Return an error with two decimals, or with one if it was published so.

    >>> _error(9.618), _error(25.6), _error(None)
    ('9.62', '25.6', '')
    """
    return "" if error is None else f"{error:.2f}".removesuffix("0")


def _size_in_words(one: Published) -> str:
    about = f"{one.size_about / 1e6:.0f} MB"
    return f"about {about}" if one.size is None else f"{one.size:,} bytes ({about})"


def _errors_in_words(one: Published) -> str:
    if one.top1_error is None:
        return "none published"
    return f"top-1 {one.top1_error:g} %, top-5 {one.top5_error:g} %"
