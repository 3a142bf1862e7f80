"""The page of a study: whole, self-contained, and true to its numbers."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from html_page import Page
from synthetic_study import as_published, facts, study, with_runs

from verydeep.study.claims import claims
from verydeep.study.conditions import Condition, Measure
from verydeep.study.results import Results
from verydeep.study.verdicts import judge
from verydeep.study.wording import claimed, found
from verydeep.system.csv_text import unguard
from verydeep.visualization.study import WRITTEN, write_page
from verydeep.visualization.study.cost import progress_of
from verydeep.visualization.study.curves import DEPTHS, depth_plots, training_curves
from verydeep.visualization.study.intervals import draw_comparisons


@pytest.fixture(scope="module")
def drawn() -> Results:
    """Return a finished study with the curves of its trainings."""
    return with_runs(study(as_published(), range(3), 400))


def page(results: Results, folder: Path) -> Page:
    return Page(write_page(results, folder).read_text("utf-8"))


def test_the_page_is_whole_and_loads_nothing(drawn: Results, tmp_path: Path) -> None:
    shown = page(drawn, tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert {"html", "title", "h1", "table", "svg", "main", "nav"} <= set(shown.tags)
    assert not {"script", "link", "iframe", "object", "embed"} & set(shown.tags)
    assert all(one.startswith("#") for one in shown.references)
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?!#)", text) == []
    assert {path.name for path in tmp_path.iterdir()} == set(WRITTEN)


def test_every_claim_is_there_with_its_verdict_and_its_comparisons(
    drawn: Results, tmp_path: Path
) -> None:
    text = page(drawn, tmp_path).text.lower()
    for verdict in judge(drawn):
        assert verdict.claim.sentence.lower() in text
        for one in verdict.judged:
            assert claimed(one.comparison).lower() in text
            assert found(one).lower() in text


def test_the_tables_show_the_paper_beside_the_means_of_the_study(
    drawn: Results, tmp_path: Path
) -> None:
    rows = [[cell.strip() for cell in row] for row in page(drawn, tmp_path).rows]
    errors = [one.top1_error for one in drawn.of(Condition("E"), Measure()).values()]
    (row,) = [row for row in rows if row[:2] == ["E", "smaller S"] and row[3] == "27.3"]
    assert row[2].split(" ± ")[0] == f"{sum(errors) / 3:.1f}"
    assert row[-1] == "3"


def test_the_files_for_programs_say_the_same(drawn: Results, tmp_path: Path) -> None:
    write_page(drawn, tmp_path)
    verdicts = json.loads((tmp_path / "verdicts.json").read_text("utf-8"))
    judged = judge(drawn)
    assert [(one["claim"], one["decision"]) for one in verdicts] == [
        (one.claim.name, one.decision) for one in judged
    ]
    with (tmp_path / "verdicts.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    every = [one for verdict in judged for one in verdict.judged]
    assert len(lines) == len(every)
    for line, one in zip(lines, every, strict=True):
        assert one.measured is not None
        assert float(line["difference"]) == pytest.approx(one.measured.difference)
        assert (float(line["low"]), float(line["high"])) == pytest.approx(one.measured.interval)
        assert unguard(line["first"]) == one.comparison.first
    tables = json.loads((tmp_path / "tables.json").read_text("utf-8"))
    (row,) = [one for one in tables if one["table"] == "Table 6" and one["protocol"] == "dense"]
    assert (row["paper_top1_error"], row["paper_top5_error"], row["seeds"]) == (24.0, 7.1, 3)


def test_an_unfinished_study_says_what_is_missing(drawn: Results, tmp_path: Path) -> None:
    begun = replace(
        drawn,
        outcomes=dict(list(drawn.outcomes.items())[:4]),
        trainings=dict(list(drawn.trainings.items())[:6]),
    )
    text = page(begun, tmp_path).text
    assert "The study is unfinished" in text
    assert "Not measured yet:" in text
    assert progress_of(begun).trainings == (6, 42)
    assert progress_of(drawn).finished


def test_a_study_that_has_not_begun_has_a_page(tmp_path: Path) -> None:
    text = page(Results(), tmp_path).text
    assert f"{len(claims())}" in text
    assert "Error by depth" not in text


def test_failed_trainings_are_named_and_their_tests_count_as_done(drawn: Results) -> None:
    failed = {
        key: replace(record, failed="the loss is not finite") if key[0].net == "B-5x5" else record
        for key, record in drawn.trainings.items()
    }
    left = {key: seeds for key, seeds in drawn.outcomes.items() if key[0].net != "B-5x5"}
    progress = progress_of(replace(drawn, trainings=failed, outcomes=left))
    (rival,) = [one for one in progress.trained if one.title.startswith("B-5x5")]
    assert rival.finished == 0
    assert rival.notes[0] == "seed 0 failed: the loss is not finite"
    assert progress.finished


def test_names_of_data_are_escaped(drawn: Results, tmp_path: Path) -> None:
    study = {**drawn.study, "data": "<script>alert(1)</script>"}
    assert "script" not in page(replace(drawn, study=study), tmp_path).tags


def test_a_drawing_places_interval_difference_and_paper_on_one_axis(drawn: Results) -> None:
    (verdict,) = judge(drawn, claims(["filters"]))
    (svg,) = draw_comparisons(verdict.judged)
    measured = verdict.judged[0].measured
    assert measured is not None
    span = re.search(r'class="span" x1="([\d.]+)" y1="22.0" x2="([\d.]+)"', svg)
    spot = re.search(r'class="difference spot" cx="([\d.]+)"', svg)
    zero = re.search(r'class="zero" x1="([\d.]+)"', svg)
    assert span
    assert spot
    assert zero
    unit = (float(span[2]) - float(span[1])) / (measured.interval[1] - measured.interval[0])
    assert float(spot[1]) - float(zero[1]) == pytest.approx(unit * measured.difference, abs=0.3)
    assert 'class="paper"' in svg


def test_the_depth_plot_has_a_point_for_each_mean(drawn: Results) -> None:
    (_, ours), (_, paper) = depth_plots(drawn)
    assert ours.count("spot") == paper.count("spot") == len(DEPTHS) + 2 * 3
    assert facts()["seeds"] == [0, 1, 2]


NEIGHBOURS = ("localization", "transfer")


def test_boxes_and_features_are_shown_where_they_are_asked_for(
    drawn: Results, tmp_path: Path
) -> None:
    other = {"data": "flowers", "classes": 17, "images": {"train": 900, "test": 300}}
    results = with_runs(
        study(as_published(NEIGHBOURS), range(3), 400),
        groups=NEIGHBOURS,
        boxed={"train": 800, "val": 400},
        transfer=other,
    )
    shown = page(results, tmp_path)
    assert "with boxes: 800 train, 400 val" in shown.text
    assert "features of flowers, 17 classes: 900 train, 300 test" in shown.text
    assert "top-5 localization error" in shown.text
    rows = [[cell.strip() for cell in row] for row in shown.rows]
    by_test = {tuple(row[1:3]): row for row in rows}
    one, two = "whole image, one scale", "whole image, two scales"
    alone = by_test["larger S, boxes (PCR, all layers)", one]
    assert (alone[4], alone[6]) == ("–", "28.2")
    assert by_test["smaller and larger S, boxes (PCR, all layers)", two][6] == "26.9"
    (row,) = [row for row in rows if row[0] == "D+E"]
    assert (row[3], row[5]) == ("13.8", "–")
    curves = dict(training_curves(results))
    assert "by epoch, 3 seeds" in curves["A, smaller S"]
    assert "localization error" in curves["D, larger S, boxes (PCR, FC layers)"]
    assert progress_of(results).finished
    text = page(drawn, tmp_path).text
    assert "localization" not in text
    assert "Table 11" not in text


def test_boxes_that_have_learned_nothing_are_marked(tmp_path: Path) -> None:
    results = with_runs(study(as_published(["localization"]), [0], 50))
    records = {
        key: replace(record, learned=key[0].head != "scr-fc")
        for key, record in results.trainings.items()
    }
    notes = [
        note
        for one in progress_of(
            replace(results, trainings=records, study=facts([0], ["localization"]))
        ).trained
        for note in one.notes
    ]
    assert notes == ["seed 0 has not learned: no better than a box that ignores the image"]
