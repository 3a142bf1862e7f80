"""Summary of bulk work as text."""

from __future__ import annotations

from typing import Any

from verydeep.errors import plural


def bulk_as_text(value: dict[str, Any]) -> str:
    """Return the summary of a finished job."""
    unreadable = f", {value['errors']:,} unreadable" if value["errors"] else ""
    now = value["rows"] - value["earlier"]
    speed = (
        f"{now:,} of them now, in {value['seconds']:.1f} s ({value['images_per_second']:,.1f}/s)"
    )
    retried = f", {plural(value['retried'], 'attempt')} repeated" if value["retried"] else ""
    return (
        f"{plural(value['rows'], 'image')}{unreadable}; {speed}{retried}\n"
        f"one row each in {plural(value['parts'], 'file')}: {value['out']}/parts"
    )
