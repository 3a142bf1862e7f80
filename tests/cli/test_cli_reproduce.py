"""The verb ``reproduce``: its help, its plan, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome, strict_json

from verydeep.study.claims import ALL_GROUPS

Program = Callable[..., Outcome]

TINY = ("--budget", "tiny", "--device", "cpu", "--set", "net.width=0.03")


def test_the_verb_explains_itself_with_examples(verydeep: Program) -> None:
    outcome = verydeep("reproduce", "--help")
    assert outcome.code == 0
    assert re.search(r"Examples:\s+\$ verydeep reproduce", outcome.out)
    for group in ALL_GROUPS:
        assert group in outcome.out


def test_a_plan_trains_nothing_and_writes_nothing(
    pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    out = tmp_path / "study"
    outcome = verydeep("reproduce", pictures, "--out", out, "--plan", "--claims", "depth", *TINY)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("budget tiny: 0.03 of the width, crops of 32 pixels, S = 37, 55")
    assert any(
        re.match(r"  train E, fixed, staged, from A +0 of 2 done, .* each", x) for x in lines
    )
    assert lines[-1].startswith("20 parts, 0 done; about ")
    assert not out.exists()


def test_a_plan_as_json(pictures: Path, tmp_path: Path, verydeep: Program) -> None:
    out = tmp_path / "study"
    arguments = ("--plan", "--claims", "filters", "--seeds", "3", "--json", *TINY)
    value = strict_json(verydeep("reproduce", pictures, "--out", out, *arguments).out)
    trainings = [part for part in value["parts"] if part["kind"] == "training"]
    # Net A for B to begin with, B, and its rival, three times each.
    assert len(trainings) == 9
    assert value["hours"] == pytest.approx(sum(part["hours"] for part in value["parts"]))
    assert value["budget"]["width"] == 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--claims", "dept"), "did you mean 'depth'"),
        (("--claims", "localization"), "no image of split 'train' has a box"),
        (("--claims", "transfer"), "give one with --transfer-data DATA"),
        (("--transfer-data", "digits"), "name them in --claims"),
        (("--budget", "huge"), "--budget must be one of tiny, small, full"),
        (("--initialise", "random"), "--initialise must be staged or scaled"),
        (("--set", "training.seed=3"), "training.seed cannot be changed"),
        (("--hours", "0.000001", "--claims", "lrn"), "--hours 1e-06 is too little"),
    ],
)
def test_a_wrong_wish_is_one_message(
    arguments: tuple[str, ...], message: str, pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    outcome = verydeep("reproduce", pictures, "--out", tmp_path / "study", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in " ".join(outcome.err.split())


def test_a_folder_with_other_files_is_refused(
    pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    (tmp_path / "thesis.txt").touch()
    outcome = verydeep("reproduce", pictures, "--out", tmp_path, "--claims", "lrn", *TINY)
    assert outcome.code == 2
    assert "not empty and not a study: choose another --out" in outcome.err
