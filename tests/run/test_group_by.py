"""Trainings with splits by group: recorded, resumed and tested with the same groups."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from progresses import Listening
from tiny import Outcome, flags, strict_json, write_class_folders
from whole_runs import QUICK, weights

from verydeep import evaluate, train
from verydeep.errors import DataError

Program = Callable[..., Outcome]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A table of three classes by 12 images; four patients a class, each with three images."""
    root = write_class_folders(tmp_path / "scans", 12)
    rows = [
        f"{path.relative_to(root)},{path.parent.name},{path.parent.name[0]}{int(path.stem) % 4}"
        for path in sorted(root.glob("*/*.png"))
    ]
    (root / "scans.csv").write_text("\n".join(["file,label,patient", *rows]) + "\n")
    return root / "scans.csv"


def drawn(run: Path) -> dict[str, set[str]]:
    """Return the patients of every split of a run."""
    record = strict_json((run / "data.json").read_text())["drawn"]
    return {
        split: {f"{name[0]}{int(Path(name).stem) % 4}" for own in by_class.values() for name in own}
        for split, by_class in record.items()
    }


def test_a_run_keeps_its_groups_through_stop_and_test(
    scans: Path, tmp_path: Path, verydeep: Program
) -> None:
    run = tmp_path / "run"
    command = ("train", scans, "--out", run, *flags(*QUICK), "--group-by", "column:patient")
    assert verydeep(*command, "--json").code == 0
    patients = drawn(run)
    assert sum(map(len, patients.values())) == 12
    assert set().union(*patients.values()) == {f"{c}{n}" for c in "bgr" for n in range(4)}
    assert all(len({one[0] for one in own}) == 3 for own in patients.values())
    assert "group_by: column:patient" in (run / "recipe.yaml").read_text()
    before = weights(run)
    (run / "metrics.json").unlink()
    scans.write_text(scans.read_text() + "blue/new.png,blue,b0\n")
    shutil.copy(scans.parent / "blue/00.png", scans.parent / "blue/new.png")
    outcome = verydeep(*command, "--resume")
    assert outcome.code == 0, outcome.err
    assert "1 image came to" in outcome.err
    assert (drawn(run), weights(run)) == (patients, before)
    tested = evaluate(run, scans, progress=False)
    assert {f"{n[0]}{int(Path(n).stem) % 4}" for n in tested.answers.names} == patients["test"]


def test_a_removed_image_is_refused_as_ever(scans: Path, tmp_path: Path, verydeep: Program) -> None:
    run = tmp_path / "run"
    command = ("train", scans, "--out", run, *flags(*QUICK), "--group-by", "column:patient")
    assert verydeep(*command).code == 0
    (run / "metrics.json").unlink()
    rows = scans.read_text().splitlines()
    scans.write_text("\n".join(row for row in rows if not row.startswith("red/05")) + "\n")
    outcome = verydeep(*command, "--resume")
    assert outcome.code == 2
    assert "1 removed (red/05.png)" in outcome.err


def test_splits_of_the_data_s_own_that_divide_groups_are_said(
    pictures: Path, tmp_path: Path
) -> None:
    said = Listening()
    settings = {"data.group_by": r"name:/(\d+)\.png", **_quick()}
    train(pictures, "paper", tmp_path / "run", settings=settings, progress=said)
    (line,) = [one for one in said.lines if "with images in several of the data's own" in one]
    assert line.startswith(r"4 groups by name:/(\d+)\.png")


def test_too_few_groups_are_one_message_of_the_program(
    scans: Path, tmp_path: Path, verydeep: Program
) -> None:
    run = tmp_path / "run"
    outcome = verydeep("train", scans, "--out", run, *flags(*QUICK), "--group-by", "folder")
    assert outcome.code == 2
    assert "too few groups to split into train, val, test" in outcome.err
    assert "--group-by" in outcome.err
    assert not (run / "recipe.yaml").exists()
    with pytest.raises(DataError, match="has no column 'site'"):
        train(scans, "paper", run, settings={**_quick(), "data.group_by": "column:site"})


def test_a_rule_that_is_none_is_a_fault_of_the_recipe(
    scans: Path, tmp_path: Path, verydeep: Program
) -> None:
    outcome = verydeep("train", scans, "--out", tmp_path / "run", "--group-by", "patient")
    assert outcome.code == 2
    assert "data.group_by: a rule for groups must be column:NAME" in outcome.err
    assert outcome.err.count("got 'patient' instead") == 1


def _quick() -> dict[str, object]:
    """Return the tiny recipe as a mapping."""
    pairs = (one.partition("=") for one in flags(*QUICK)[3::2])
    return {
        key: json.loads(value) if value[0] in "[0123456789" else value for key, _, value in pairs
    }
