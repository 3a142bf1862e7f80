"""Studies whose results are in the documentation: whole, and judged as the package judges now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verydeep.study.export import table_records, verdict_records
from verydeep.study.results import load_results
from verydeep.study.tables import study_tables
from verydeep.study.verdicts import judge
from verydeep.visualization.study.cost import progress_of

KEPT = sorted(path.parent for path in Path(__file__).parents[3].glob("docs/results/*/*/study.json"))


def test_there_is_one() -> None:
    assert KEPT


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_kept_study_is_whole_and_published_once_it_is_finished(folder: Path) -> None:
    results = load_results(folder)
    for record in results.trainings.values():
        assert len(record.errors) == record.epochs
    published = (folder / "report.html").is_file()
    assert published == progress_of(results).finished
    if published:
        for name, records in {
            "verdicts": verdict_records(judge(results)),
            "tables": table_records(study_tables(results)),
        }.items():
            assert json.loads((folder / f"{name}.json").read_text("utf-8")) == json.loads(
                json.dumps(records)
            )
