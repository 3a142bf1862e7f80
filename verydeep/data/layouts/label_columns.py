"""Labels of multi-label tables: a column of several labels, or a column for each class.

========================  ==================================================================
``labels``                the classes of an image, separated by ``;`` or ``|``; or a JSON list of
                          names; empty for an image of none of the classes
``label:cat``, …          0 or 1 for one class
========================  ==================================================================

A column called ``labels`` may also hold one class per image. If the task is not given, the table
is multi-label if a value of that column is empty, a list, or contains a separator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from verydeep.data.label_sets import DataTask
from verydeep.data.layouts.columns import ALIASES, INDICATOR, indicator_columns
from verydeep.errors import DataError, shortened

Row = Mapping[str, Any]

SEVERAL = "labels"
"""Column whose values decide the task."""

_BETWEEN = re.compile("[;|]")
_TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def is_multi_label(rows: Callable[[], Iterable[tuple[str, Row]]], task: DataTask | None) -> bool:
    """Return whether a table is multi-label; read its labels only if they decide.

    Args:
        rows: Yields the rows under their canonical column names.
        task: The task that was given; None lets the table decide.
    """
    if task is not None:
        return task == "multi-label"
    for place, (_, row) in enumerate(rows()):
        if place == 0:
            first = next((name for name in ALIASES["label"] if name in row), None)
            if indicator_columns(row):
                return True
            if first != SEVERAL:
                return False
        if _is_several(row.get(SEVERAL)):
            return True
    return False


def _is_several(value: object) -> bool:
    if value is None or isinstance(value, list):
        return True
    if not isinstance(value, str):
        return False
    return not value.strip() or bool(_BETWEEN.search(value)) or _json_list(value) is not None


def labels_of(row: Row, columns: Sequence[str], place: str) -> tuple[str, ...]:
    """Return the class names of a row.

    Args:
        row: Values by standard column name.
        columns: The table's columns of zeros and ones; empty if it has a column of labels.
        place: Location of the row, for messages.

    Raises:
        DataError: The labels cannot be read.
    """
    if columns and "label" in row:
        raise DataError(f"{place}: has both labels and {columns[0]!r}: keep one")
    if columns:
        return tuple(name.removeprefix(INDICATOR) for name in columns if _is_set(row, name, place))
    value = row.get("label")
    listed = _json_list(value) if isinstance(value, str) else value
    if isinstance(listed, list):
        return tuple(_name(one, place) for one in listed)
    if isinstance(value, str):
        return tuple(part.strip() for part in _BETWEEN.split(value) if part.strip())
    return () if value is None else (_name(value, place),)


def _json_list(value: str) -> list[Any] | None:
    if not value.lstrip().startswith("["):
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _name(value: object, place: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        got = shortened(value)
        raise DataError(f"{place}: a label must be text or an integer, got {got} instead")
    return value.strip()


def _is_set(row: Row, column: str, place: str) -> bool:
    value = row.get(column)
    found = _TRUTH.get(str(value).strip().lower())
    if found is None:
        raise DataError(
            f"{place}: {column} must be 0 or 1, got {shortened(value)} instead; of a table with "
            f"further columns, name those of classes {INDICATOR}NAME"
        )
    return found
