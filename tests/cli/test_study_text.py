"""Verdicts of a study as text."""

from __future__ import annotations

from synthetic_study import as_published, study

from verydeep.cli.text.study import verdicts_as_text
from verydeep.study.claims import claims
from verydeep.study.results import Results
from verydeep.study.verdicts import judge
from verydeep.study.wording import ONE_SEED


def test_each_claim_has_its_verdict_and_what_it_rests_on() -> None:
    chosen = claims(["filters", "lrn"])
    results = study(as_published(["filters", "lrn"]), range(4), 3000)
    text = verdicts_as_text(judge(results, chosen))
    assert "HOLDS          A deep net with small filters beats a shallow one" in text
    assert "B is better than B-5x5: holds" in text
    assert "the paper: +7.0 points; here: 4 seeds, 3,000 images" in text
    assert text.splitlines()[-1].startswith("1 holds, 0 does not hold, 1 not decided")
    assert max(map(len, text.splitlines())) <= 100


def test_one_seed_has_its_caveat() -> None:
    results = study(as_published(["filters"]), range(1), 300)
    assert ONE_SEED in verdicts_as_text(judge(results, claims(["filters"])))


def test_a_study_without_results_names_what_is_missing() -> None:
    text = verdicts_as_text(judge(Results(), claims(["lrn"])))
    assert "not measured yet: A-LRN, smaller S, dense at one scale; A, smaller S" in text
