"""Labels that are likely wrong, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.checks.label_errors import judge_warning
from verydeep.cli.text.columns import Cells, align
from verydeep.errors import plural, printable

LISTED = 10
"""Maximum number of images and of pairs listed."""


def labels_as_text(found: dict[str, Any], out: Path | None = None) -> str:
    """Return labels that are likely wrong as text.

    Args:
        found: Result from :meth:`verydeep.checks.label_errors.LabelErrors.to_dict`.
        out: Folder of page and lists; None if they were not written.
    """
    errors, pairs = found["errors"], found["pairs"]
    lines = [
        f"{plural(len(errors), 'label')} likely wrong among {plural(found['judged'], 'image')}, by "
        f"{found['source']}",
        *(f"not judged: {plural(n, 'image')} {why}" for why, n in found["left_out"].items()),
    ]
    if errors and (warning := judge_warning(found["top1_error"])):
        lines.append(f"warning: {warning}")
    if errors:
        rows: list[Cells] = [("given", "suggested", "images")]
        rows += [(one["given"], one["suggested"], f"{one['images']:,}") for one in pairs[:LISTED]]
        lines += ["", align(rows, left=2), *_more(len(pairs) - LISTED, "pairs"), ""]
        rows = [("image", "given", "suggested", "score")]
        rows += [
            (printable(one["image"]), one["given"], one["suggested"], f"{one['score']:.3f}")
            for one in errors[:LISTED]
        ]
        lines += [align(rows, left=3), *_more(len(errors) - LISTED, "images")]
    if out:
        lines += ["", f"labels  {out / 'labels.html'}", f"lists   {out / 'labels.csv'} and .json"]
    return "\n".join(lines)


def _more(count: int, what: str) -> list[str]:
    return (
        [f"... and {count:,} more {what} (all of them with --json or --out)"] if count > 0 else []
    )
