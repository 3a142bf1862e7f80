"""The paper's tables with a study beside them."""

from __future__ import annotations

import statistics

import pytest
from synthetic_study import as_published, study

from verydeep.study.claims import claims
from verydeep.study.conditions import Condition, Measure
from verydeep.study.export import table_records, tables_csv
from verydeep.study.published import PUBLISHED, PUBLISHED_BOXES, PUBLISHED_FEATURES, SVM_STACK
from verydeep.study.results import Results
from verydeep.study.tables import study_tables


def test_every_published_error_of_a_classification_study_is_in_a_table() -> None:
    shown = {
        (row.test[0].net, row.test[0].train, row.test[1]): row.paper
        for table in study_tables(Results())
        for row in table.rows
        if row.paper
    }
    assert shown == PUBLISHED


def test_the_tables_of_boxes_and_features_are_whole_and_only_there_if_asked() -> None:
    asked = study_tables(Results(study={"claims": ["localization", "transfer"]}))
    assert [table.name for table in asked] == ["Table 8", "Table 9", "Table 11", "Appendix B"]
    rows = [row for table in asked for row in table.rows]
    assert [row.paper for row in rows if row.paper] == [
        *PUBLISHED_BOXES.values(),
        *PUBLISHED_FEATURES.values(),
        # Appendix B repeats the stacked scales of D and E.
        PUBLISHED_FEATURES["D", "jitter", SVM_STACK],
        PUBLISHED_FEATURES["E", "jitter", SVM_STACK],
    ]
    needed = {need for claim in claims(["localization", "transfer"]) for need in claim.needs}
    assert {row.test for row in rows} == needed


def test_a_row_has_the_errors_of_all_seeds() -> None:
    results = study(as_published(), range(4), 200)
    (table,) = [one for one in study_tables(results) if one.name == "Table 3"]
    (row,) = [one for one in table.rows if one.test == (Condition("E", "jitter"), Measure())]
    outcomes = results.of(Condition("E", "jitter"), Measure())
    assert row.top1 == tuple(outcomes[seed].top1_error for seed in range(4))
    (record,) = [
        one
        for one in table_records([table])
        if (one["net"], one["train"], one["protocol"]) == ("E", "jitter", "dense")
    ]
    assert record["top1_error"] == pytest.approx(statistics.fmean(row.top1))
    assert record["top1_error_sd"] == pytest.approx(statistics.stdev(row.top1))


def test_tables_that_a_study_does_not_ask_for_are_left_out() -> None:
    names = [one.name for one in study_tables(Results(study={"claims": ["lrn"]}))]
    assert names == ["Table 3"]
    assert [one.name for one in study_tables(Results())][2:] == [
        f"Table {number}" for number in range(3, 8)
    ]


@pytest.mark.parametrize("how", ["staged", "scaled"])
def test_the_scaled_net_has_no_published_error_beside_it(how: str) -> None:
    table = study_tables(Results(study={"claims": ["initialise"], "initialise": how}))[0]
    assert [(row.test[0].initialise, row.paper) for row in table.rows] == [
        ("staged", (27.0, 8.8)),
        ("scaled", None),
    ]


def test_a_study_from_random_weights_stands_beside_the_same_tables() -> None:
    table = study_tables(Results(study={"claims": ["depth"], "initialise": "scaled"}))[0]
    assert next(row.paper for row in table.rows if row.test[0].net == "E") == (27.3, 9.0)


def test_the_csv_has_a_line_per_row() -> None:
    tables = study_tables(Results())
    assert len(tables_csv(tables).splitlines()) == 1 + sum(len(one.rows) for one in tables)
