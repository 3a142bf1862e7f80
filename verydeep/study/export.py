"""Verdicts and tables of a study as plain values, for JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verydeep.study.tables import Table, mean_and_spread
from verydeep.study.verdicts import Judged, Verdict
from verydeep.system.csv_text import csv_text

Record = dict[str, Any]


def verdict_records(verdicts: Sequence[Verdict]) -> list[Record]:
    """Return one record per claim, with its comparisons."""
    return [
        {
            "claim": verdict.claim.name,
            "group": verdict.claim.group,
            "sentence": verdict.claim.sentence,
            "source": verdict.claim.source,
            "decision": verdict.decision,
            "comparisons": [_comparison(one) for one in verdict.judged],
        }
        for verdict in verdicts
    ]


def table_records(tables: Sequence[Table]) -> list[Record]:
    """Return one record per row of a table; None stands for what is not there."""
    return [
        {
            "table": table.name,
            "net": row.test[0].net,
            "train": row.test[0].train,
            "initialise": row.test[0].canonical.initialise,
            "protocol": row.test[1].protocol,
            "scales": row.test[1].scales,
            "paper_top1_error": row.paper[0] if row.paper else None,
            "paper_top5_error": row.paper[1] if row.paper else None,
            **_spread("top1_error", row.top1),
            **_spread("top5_error", row.top5),
            "seeds": len(row.top1),
            "head": row.test[0].head,
        }
        for table in tables
        for row in table.rows
    ]


def claims_csv(verdicts: Sequence[Verdict]) -> str:
    """Return one line per comparison as CSV."""
    return _csv(
        [
            {
                "claim": verdict.claim.name,
                "claim_decision": verdict.decision,
                **_flat(_comparison(one)),
            }
            for verdict in verdicts
            for one in verdict.judged
        ]
    )


def tables_csv(tables: Sequence[Table]) -> str:
    """Return one line per row of a table as CSV."""
    return _csv(table_records(tables))


def _comparison(one: Judged) -> Record:
    compared, measured = one.comparison, one.measured
    return {
        "first": compared.first,
        "second": compared.second,
        "relation": compared.relation,
        "margin": compared.margin,
        "paper_difference": compared.expected,
        "decision": one.decision,
        "difference": measured and measured.difference,
        "interval": measured and list(measured.interval),
        "errors": measured and list(measured.errors),
        "by_seed": measured and list(measured.by_seed),
        "seeds": measured and len(measured.seeds),
        "images": measured and measured.images,
        "images_needed": measured and measured.images_needed,
        "seeds_needed": measured and measured.seeds_needed,
        "for_these_nets": measured and measured.for_these_nets,
        "seeds_open": len(one.open_seeds),
        "trainings_failed": len(one.failed),
    }


def _flat(record: Record) -> Record:
    """Return a record with numbers instead of lists."""
    low, high = record["interval"] or (None, None)
    first, second = record["errors"] or (None, None)
    lists = ("interval", "errors", "by_seed")
    flat = {key: value for key, value in record.items() if key not in lists}
    return {**flat, "low": low, "high": high, "first_error": first, "second_error": second}


def _spread(name: str, errors: Sequence[float]) -> Record:
    mean, spread = mean_and_spread(errors) if errors else (None, None)
    return {name: mean, f"{name}_sd": spread}


def _csv(records: Sequence[Record]) -> str:
    head = list(records[0]) if records else []
    return csv_text([head, *(list(record.values()) for record in records)])
