"""Summary of bulk work as text."""

from __future__ import annotations

from typing import Any

from verydeep.errors import plural


def bulk_as_text(value: dict[str, Any]) -> str:
    """Return the summary of a finished job."""
    now, rate = value["rows"] - value["earlier"], value["images_per_second"]
    notes = [plural(value["rows"], "image")]
    if value["errors"]:
        notes.append(f"{value['errors']:,} unreadable")
    if value["earlier"]:
        notes.append(f"{value['earlier']:,} done before")
    if value["retried"]:
        notes.append(f"{plural(value['retried'], 'attempt')} repeated")
    if now:
        these = f"{now:,} " if value["earlier"] else ""
        notes.append(f"{these}in {value['seconds']:.1f} s ({rate:,.1f} images/s)")
    files = plural(value["parts"], "file")
    return f"{', '.join(notes)}\none row per image in {value['out']}/parts ({files})"
