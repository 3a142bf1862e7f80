"""Results of a study: what is written is read back, and damage is one message."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import ModelError
from verydeep.study.conditions import Condition, Measure
from verydeep.study.results import (
    Outcome,
    Results,
    TrainingRecord,
    load_results,
    write_outcome,
    write_training,
)
from verydeep.system.files import write_json


def outcome(images: int = 13, seed: int = 0, condition: Condition | None = None) -> Outcome:
    generator = np.random.default_rng(seed)
    wrong = generator.random(images) < 0.6
    return Outcome(
        condition or Condition("D+E", "jitter"),
        Measure("both", "multi"),
        seed,
        100 * float(wrong.mean()),
        10.0,
        images,
        1.5,
        wrong,
        wrong & (generator.random(images) < 0.5),
    )


def a_study(folder: Path, images: int = 13) -> Path:
    write_json(folder / "study.json", {"seeds": [0, 1]})
    write_json(folder / "images.json", [f"{n}.png" for n in range(images)])
    return folder


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_bits_come_back(bits: list[bool]) -> None:
    wrong = np.array(bits)
    made = Outcome(Condition("A"), Measure(), 3, 1.0, 2.0, len(bits), 0.5, wrong, ~wrong)
    again = Outcome.from_dict(made.to_dict())
    assert again.to_dict() == made.to_dict()
    assert again.wrong.tolist() == bits
    assert again.wrong_top5.tolist() == [not bit for bit in bits]


def test_a_study_is_read_back_by_condition_and_seed(tmp_path: Path) -> None:
    root = a_study(tmp_path)
    for seed in (0, 1):
        write_outcome(root, outcome(seed=seed))
    record = TrainingRecord(Condition("A"), 0, "runs/A", 2, 7200.0, "done", errors=(90.5, 80.25))
    write_training(root, record)
    found = load_results(root)
    assert len(found.names) == 13
    seeds = found.of(Condition("D+E", "jitter"), Measure("both", "multi"))
    assert list(seeds) == [0, 1]
    assert seeds[1].wrong.tolist() == outcome(seed=1).wrong.tolist()
    assert found.of(Condition("D"), Measure()) == {}
    # A has one initialisation, whatever it is called.
    kept = replace(record, condition=Condition("A", initialise="scaled"))
    assert found.training(Condition("A"), 0) == found.training(kept.condition, 0) == kept
    assert found.training(Condition("A"), 1) is None
    assert list(found.trainings.values()) == [kept]  # once


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a study"):
        load_results(tmp_path)


@pytest.mark.parametrize("damage", ["", "[]", '{"condition": {}}', "{"])
def test_a_damaged_result_names_its_file_and_the_remedy(tmp_path: Path, damage: str) -> None:
    root = a_study(tmp_path)
    write_outcome(root, outcome())
    (path,) = (root / "results").iterdir()
    path.write_text(damage)
    with pytest.raises(ModelError, match=path.name.replace("+", r"\+")):
        load_results(root)


def test_a_result_on_other_images_is_refused(tmp_path: Path) -> None:
    root = a_study(tmp_path, images=12)
    write_outcome(root, outcome(images=13))
    with pytest.raises(ModelError, match="13 images, where the study tests on 12"):
        load_results(root)


def test_results_in_memory_need_no_folder() -> None:
    found = Results.from_outcomes([outcome()], ["a"])
    assert list(found.of(outcome().condition, outcome().measure)) == [0]


def test_reading_a_study_needs_no_torch() -> None:
    program = (
        "import sys, verydeep.study.results\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_kind_of_test_has_its_own_images(tmp_path: Path) -> None:
    root = a_study(tmp_path)
    write_json(root / "images-boxes.json", ["a", "b"])
    write_json(root / "images-transfer.json", ["a", "b", "c"])
    boxes = Condition("D", "fixed-large", head="pcr-all"), Measure("center")
    svm = Condition("D", "jitter"), Measure("svm-mean", "multi")
    for (condition, measure), count in ((boxes, 2), (svm, 3)):
        wrong = np.arange(count) > 0
        made = Outcome(condition, measure, 0, 1.0, 2.0, count, 0.5, wrong, ~wrong)
        write_outcome(root, made)
    found = load_results(root)
    assert [len(found.names_of(kind)) for kind in ("classes", "boxes", "transfer")] == [13, 2, 3]
    assert found.of(*boxes)[0].compared.tolist() == [True, False]
    assert found.of(*svm)[0].compared.tolist() == [False, True, True]
    write_json(root / "images-boxes.json", ["a"])
    with pytest.raises(ModelError, match="2 images, where the study tests on 1"):
        load_results(root)


def test_records_of_earlier_versions_are_of_classes() -> None:
    value = outcome().to_dict()
    del value["condition"]["head"]
    assert Outcome.from_dict(value).condition.head == "classes"
