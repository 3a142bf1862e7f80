"""What ``verydeep shard`` wrote."""

from __future__ import annotations

import shlex
from typing import Any

from verydeep.data.shards.write import Written
from verydeep.tables.align import align


def shards_as_json(written: Written) -> dict[str, Any]:
    """Return what was written as plain values."""
    return {
        "folder": str(written.folder),
        "splits": {
            name: {"samples": written.samples[name], "shards": len(entry.shards)}
            for name, entry in written.manifest.splits.items()
        },
        "classes": len(written.manifest.classes),
        "bytes": written.bytes,
        "unreadable": list(written.unreadable),
    }


def shards_as_text(written: Written) -> str:
    """Return it as a table, and what to do next."""
    rows = [
        [name, f"{written.samples[name]:,}", f"{len(entry.shards):,}"]
        for name, entry in written.manifest.splits.items()
    ]
    table = align([["split", "samples", "shards"], *rows])
    return (
        f"{table}\n\n{written.bytes / 2**20:,.1f} MiB in {written.folder}; train with "
        f"verydeep train {shlex.quote(str(written.folder))} --out RUN"
    )
