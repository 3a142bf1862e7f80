"""Groups of the images of a data set by a rule, see :mod:`verydeep.data.group_rule`.

Splits and folds take whole groups, see :mod:`verydeep.data.split`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.group_rule import COLUMN, FOLDER, NAME, GroupRule
from verydeep.data.layouts.columns import canonical
from verydeep.data.layouts.table import column_of
from verydeep.data.samples import Sample
from verydeep.errors import DataError, plural, printable
from verydeep.system.option_names import option

NAMED = 3
"""Images to name in a message."""


def groups_of(rule: GroupRule, dataset: Dataset, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the name of each image's group.

    Args:
        rule: The rule.
        dataset: Data set of the samples.
        samples: Some of its images.

    Raises:
        DataError: The data have no such column, or the rule says nothing about an image.
    """
    names = [relative_name(sample.path, dataset.root) for sample in samples]
    if rule.kind == FOLDER:
        return tuple(PurePosixPath(name).parent.name for name in names)
    if rule.kind == NAME:
        return _found(rule, names)
    return _in_column(rule, names, _column(dataset, rule.value))


def divided_groups(dataset: Dataset, rule: GroupRule) -> dict[str, tuple[str, ...]]:
    """Return the groups that are in several splits of a data set, with these splits."""
    found: dict[str, list[str]] = {}
    for split, samples in dataset.splits.items():
        for group in set(groups_of(rule, dataset, samples)):
            found.setdefault(group, []).append(split)
    return {group: tuple(splits) for group, splits in sorted(found.items()) if len(splits) > 1}


def _found(rule: GroupRule, names: Sequence[str]) -> tuple[str, ...]:
    pattern = rule.pattern()
    matches = [pattern.search(name) for name in names]
    without = [name for name, match in zip(names, matches, strict=True) if not match]
    if without:
        raise DataError(
            f"{option('group_by', str(rule))}: {_count(without, len(names))} without a match "
            f"({_some(without)}); add |(.+) at the end of the expression to make each of "
            "them a group of its own"
        )
    return tuple(_text(match) for match in matches if match)


def _in_column(rule: GroupRule, names: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    without = [name for name in names if not values.get(name)]
    if without:
        raise DataError(
            f"{option('group_by', str(rule))}: {_count(without, len(names))} with no value in "
            f"that column ({_some(without)}); fill it for all images"
        )
    return tuple(values[name] for name in names)


def _text(match: re.Match[str]) -> str:
    r"""Return what the groups of a regular expression found, or else the whole match.

    >>> _text(re.search(r"(p\d+)_(left|right)", "p3_left_1.png")), _text(re.search("p.", "p3"))
    ('p3/left', 'p3')
    """
    found = [one for one in match.groups() if one is not None]
    return "/".join(found) if found else match.group()


def _column(dataset: Dataset, name: str) -> dict[str, str]:
    """Return the values of a table's column by the image's name within the data set."""
    if dataset.table is None:
        raise DataError(
            f"{dataset.place}: {option('group_by', f'{COLUMN}:{name}')} needs a table (.csv, "
            f".jsonl, .parquet); these data are {dataset.layout}: use {NAME}:REGEX or {FOLDER}"
        )
    values = column_of(dataset.table, canonical(name))
    return {relative_name(Path(path), dataset.root): value for path, value in values}


def _count(without: Sequence[str], all_images: int) -> str:
    return f"{len(without):,} of {plural(all_images, 'image')}"


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(printable(name) for name in names[:NAMED]) + more
