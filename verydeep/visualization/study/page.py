"""HTML page of a study, with JSON and CSV beside it: a single file without external resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.errors import plural
from verydeep.study.claim import MARGIN
from verydeep.study.export import claims_csv, table_records, tables_csv, verdict_records
from verydeep.study.results import Results
from verydeep.study.tables import Row, Table, mean_and_spread, study_tables
from verydeep.study.verdicts import ALPHA, Judged, Verdict, end_rate, judge
from verydeep.study.wording import (
    ONE_SEED,
    TESTED,
    TRAINED,
    claimed,
    counts,
    found,
    remarks,
    scales_title,
    signed,
    tenths,
    trained_title,
)
from verydeep.system.durations import in_words
from verydeep.system.files import expanded, write_json, write_text
from verydeep.system.pages import render
from verydeep.visualization.report.provenance import command_line, made
from verydeep.visualization.study.cost import progress_of
from verydeep.visualization.study.curves import depth_plots, training_curves
from verydeep.visualization.study.intervals import draw_comparisons

WRITTEN = ("report.html", "verdicts.json", "verdicts.csv", "tables.json", "tables.csv")
"""Files written: the page, the verdicts and the tables."""

KIND = {"holds": "holds", "does not hold": "fails", "not decided": "open"}
"""Class of a verdict in the style sheet."""

Parts = dict[str, Any]
"""Template variables."""


def write_page(results: Results, out: str | Path) -> Path:
    """Write the page of a study, finished or not, with JSON and CSV files beside it.

    Args:
        results: Results so far.
        out: Folder, usually that of the study.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: The folder is not writable.
        DiskError: The disk is full or failing.
    """
    folder = expanded(out)
    verdicts, tables = judge(results), study_tables(results)
    write_json(folder / "verdicts.json", verdict_records(verdicts))
    write_text(folder / "verdicts.csv", claims_csv(verdicts))
    write_json(folder / "tables.json", table_records(tables))
    write_text(folder / "tables.csv", tables_csv(tables))
    write_text(folder / "report.html", _page(results, verdicts, tables))
    return folder / "report.html"


def _page(results: Results, verdicts: Sequence[Verdict], tables: Sequence[Table]) -> str:
    tally = Counter[str](verdict.decision for verdict in verdicts)
    study = results.study
    environment = study.get("environment", {})
    command = environment.get("command") or study.get("command")
    return render(
        "verydeep.visualization.study",
        "study.html",
        data=study.get("data"),
        lead=list(_lead(results)),
        tally=[(decision, tally[decision], kind) for decision, kind in KIND.items()],
        verdicts=[_claim(verdict) for verdict in verdicts],
        level=100 * (1 - ALPHA),
        end=100 * end_rate([verdict.claim for verdict in verdicts]),
        comparisons=sum(len(verdict.judged) for verdict in verdicts),
        rates=round(ALPHA / end_rate([verdict.claim for verdict in verdicts])),
        margin=MARGIN,
        one_seed=ONE_SEED if any(verdict.seeds == 1 for verdict in verdicts) else None,
        groups={verdict.claim.group for verdict in verdicts},
        tables=[_table(table) for table in tables],
        depth=depth_plots(results),
        trained_words=TRAINED,
        curves=training_curves(results),
        progress=progress_of(results),
        processor=environment.get("accelerator") or environment.get("processor"),
        estimated=study.get("hours_estimated"),
        asked=study.get("hours_asked"),
        more_commands=[command_line(one) for one in study.get("more_commands", [])],
        earlier_seeds=study.get("earlier_seeds"),
        in_words=in_words,
        command=command_line(command) if command else None,
        plan=study.get("plan", []),
        made=_made(study),
        files=WRITTEN[1:],
    )


def _lead(results: Results) -> Iterator[str]:
    """Yield what the study is about, as far as it is known."""
    study = results.study
    images, budget = study.get("images", {}), study.get("budget", {})
    if images:
        counts = ", ".join(f"{count:,} {split}" for split, count in images.items())
        yield f"{study.get('classes', '?')} classes: {counts}; tested on {study['test_split']}"
    elif results.names:
        yield f"tested on {plural(len(results.names), 'image')}"
    if boxed := study.get("boxed"):
        yield f"with boxes: {', '.join(f'{count:,} {split}' for split, count in boxed.items())}"
    if other := study.get("transfer"):
        counts = ", ".join(f"{count:,} {split}" for split, count in other["images"].items())
        yield f"features of {other['data']}, {other['classes']} classes: {counts}"
    if budget:
        yield f"{budget['width']:g} times the paper's width, {budget['scale']:g} times its size"


def _claim(verdict: Verdict) -> Parts:
    drawings = draw_comparisons(verdict.judged)
    return {
        "claim": verdict.claim,
        "decision": verdict.decision,
        "kind": KIND[verdict.decision],
        "comparisons": [
            _comparison(one, drawing) for one, drawing in zip(verdict.judged, drawings, strict=True)
        ],
    }


def _comparison(one: Judged, drawing: str) -> Parts:
    expected, sides = one.comparison.expected, one.comparison.published
    paper = None
    if expected is not None:
        errors = "{} % against {} %, ".format(*map(tenths, sides)) if sides else ""
        paper = f"{errors}{signed(expected)} points"
    return {
        "claimed": claimed(one.comparison),
        "decision": one.decision,
        "kind": KIND[one.decision],
        "found": found(one),
        "counts": counts(one.measured) if one.measured else None,
        "notes": remarks(one),
        "paper": paper,
        "drawing": drawing if one.measured else None,
    }


def _table(table: Table) -> Parts:
    scales = {row.test[1].scales for row in table.rows}
    return {
        "name": table.name,
        "title": table.title,
        "rows": [_row(row, scales=len(scales) > 1) for row in table.rows],
        "several": len({row.test[1] for row in table.rows}) > 1,
    }


def _row(row: Row, *, scales: bool) -> Parts:
    condition, measure = row.test
    tested = TESTED[measure.protocol]
    how = " (random)" if condition.canonical.initialise == "scaled" else ""
    return {
        "net": condition.net,
        "train": trained_title(condition),
        "how": how,
        "test": f"{tested}, {scales_title(row.test)}" if scales else tested,
        "seeds": len(row.top1),
        "errors": [
            (_error(errors), "–" if paper is None else tenths(paper))
            for errors, paper in zip((row.top1, row.top5), row.paper or (None, None), strict=True)
        ],
    }


def _error(errors: Sequence[float]) -> str:
    """Return a mean with its spread in words, or a dash."""
    if not errors:
        return "–"
    mean, spread = mean_and_spread(errors)
    return tenths(mean) if spread is None else f"{tenths(mean)} ± {tenths(spread)}"


def _made(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts needed to repeat the study, as far as it states them."""
    words = {key: study[key] for key in ("claims", "seeds", "initialise", "begun") if key in study}
    sizes = {f"budget: {key}": value for key, value in study.get("budget", {}).items()}
    listed = [
        (key.replace("_", " "), _in_words(value))
        for key, value in {**words, **sizes, **study.get("settings", {})}.items()
    ]
    environment = {"layout": study.get("layout") or "detected", **study}
    facts = made(study.get("environment", {}), environment, "") if "data" in study else []
    return [*listed, *facts]


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
