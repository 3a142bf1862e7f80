"""``labels.html``, contact sheets of labels that are likely wrong, and their lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from verydeep.checks.contact_sheets import shrink_all
from verydeep.checks.label_errors import LabelError, LabelErrors, judge_warning
from verydeep.data.images.member import ImageSource
from verydeep.errors import printable
from verydeep.system.csv_text import digits, write_csv
from verydeep.system.files import write_json, write_text
from verydeep.system.pages import render
from verydeep.system.progress import Progress

WRITTEN = ("labels.html", "labels.csv", "labels.json")
"""Files written: the page and the lists."""

MOST_ON_A_PAGE = 600
"""Maximum number of images on the page; the lists have all."""

MOST_A_PAIR = 40


@dataclass(frozen=True, slots=True)
class Sheet:
    """Images of one pair of given and suggested class.

    Attributes:
        given: Given class.
        suggested: Suggested class.
        total: Number of images of the pair.
        shown: The first of them, each with its thumbnail.
    """

    given: str
    suggested: str
    total: int
    shown: tuple[tuple[LabelError, str], ...]


def write_label_page(
    found: LabelErrors,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page and the lists.

    Args:
        found: The labels.
        folder: Output folder, outside of the data set.
        workers: Decoding processes for thumbnails.
        progress: Progress reporting; None is silent.

    Returns:
        The path of ``labels.html``, beside ``labels.csv`` and ``labels.json``.
    """
    chosen = list(_chosen(found))
    small = shrink_all([place for _, place in chosen], workers=workers, progress=progress)
    sheets = [*_sheets(found, [(error, small.get(place, "")) for error, place in chosen])]
    shown = sum(len(sheet.shown) for sheet in sheets)
    page = render(
        "verydeep.checks",
        "labels.html",
        found=found,
        sheets=sheets,
        shown=shown,
        warning=judge_warning(found.top1_error),
        printable=printable,
    )
    html, table, values = (folder / name for name in WRITTEN)
    write_text(html, page)
    write_csv(table, _rows(found))
    write_json(values, found.to_dict())
    return html


def _chosen(found: LabelErrors) -> Iterator[tuple[LabelError, ImageSource]]:
    """Yield the images to show, the most suspicious of each pair."""
    counts: dict[tuple[str, str], int] = {}
    total = 0
    for error, place in zip(found.errors, found.places, strict=True):
        pair = (error.given, error.suggested)
        counts[pair] = counts.get(pair, 0) + 1
        if counts[pair] <= MOST_A_PAIR and total < MOST_ON_A_PAGE:
            total += 1
            yield error, place


def _sheets(found: LabelErrors, shown: list[tuple[LabelError, str]]) -> Iterator[Sheet]:
    by_pair = defaultdict[tuple[str, str], list[tuple[LabelError, str]]](list)
    for one in shown:
        by_pair[one[0].given, one[0].suggested].append(one)
    for given, suggested, total in found.pairs:
        if own := by_pair.get((given, suggested)):
            yield Sheet(given, suggested, total, tuple(own))


def _rows(found: LabelErrors) -> Iterator[tuple[object, ...]]:
    yield tuple(part.name for part in fields(LabelError))
    for error in found.errors:
        *words, score, probability = astuple(error)
        yield (*words, digits(score, ".6f"), digits(probability, ".6f"))
