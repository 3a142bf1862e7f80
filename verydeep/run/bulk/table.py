"""Tables of results: the columns that all kinds of bulk work share.

N images of a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verydeep.data.images.member import ImageSource
from verydeep.errors import printable
from verydeep.system.device import without_secret
from verydeep.system.files import encodable


def table_of(
    first: int,
    names: Sequence[str],
    columns: Mapping[str, Any],
    errors: Sequence[str | None],
    model: str,
) -> Any:
    """Return an Arrow table of a part.

    Args:
        first: Row number of the first image.
        names: Names of N images.
        columns: Arrow arrays of this kind of work.
        errors: Reason why each image has no result, or None.
        model: Model, for a column.
    """
    import pyarrow as pa

    count = len(names)
    return pa.table(
        {
            "row": pa.array(range(first, first + count), pa.int64()),
            "path": pa.array([shown(name) for name in names], pa.string()),
            **columns,
            "error": pa.array([one if one is None else shown(one) for one in errors], pa.string()),
            "model": pa.array([model] * count, pa.string()),
        }
    )


def errors_of(sources: Sequence[ImageSource], faults: Sequence[str | None]) -> list[str | None]:
    """Return faults without the names of the images, which have a column of their own."""
    return [
        None if fault is None else fault.removeprefix(f"{printable(source)}: ")
        for source, fault in zip(sources, faults, strict=True)
    ]


def shown(text: str) -> str:
    """Return a name without credentials of a URL, and encodable as UTF-8."""
    return encodable(without_secret(text))


def model_id(model: str, model_hash: str) -> str:
    """Return a model's name with the first digits of its hash.

    >>> model_id("runs/a", "0123456789abcdef")
    'runs/a@0123456789ab'
    """
    return f"{model}@{model_hash[:12]}"
