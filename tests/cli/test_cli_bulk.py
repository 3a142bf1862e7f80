"""The verbs of bulk work: help, and what is refused before anything starts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from random_nets import random_classifier
from tiny import Outcome

Program = Callable[..., Outcome]


def test_the_group_names_its_verbs(verydeep: Program) -> None:
    outcome = verydeep("bulk", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for verb in ("predict", "features"):
        assert re.search(rf"│ {verb}\s", outcome.out)


@pytest.mark.parametrize("verb", ["predict", "features"])
def test_a_verb_explains_itself_with_examples(verb: str, verydeep: Program) -> None:
    outcome = verydeep("bulk", verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"Examples?:\s+\$ verydeep bulk\s+{verb}", outcome.out)
    for word in ("s3://", "--column", "--address", "--cores-per-actor", "--part-size"):
        assert word in outcome.out


@pytest.fixture
def model(tmp_path: Path) -> Path:
    random_classifier(name="A").save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "photos"], "none: no such folder; give a model or run folder"),
        (["model", "nowhere"], "nowhere: no such file or folder"),
        (["model", "empty"], "empty: no images and no shards in this folder"),
        (["model", "empty", "--column", "file"], "empty: no images and no shards in this folder"),
    ],
)
def test_faults_are_told_before_ray_starts(
    words: list[str],
    said: str,
    model: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray", reason="bulk work needs the extra ray")
    monkeypatch.chdir(model.parent)
    Path("empty").mkdir()
    outcome = verydeep("bulk", "predict", *words, "--out", "out")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"verydeep: {said}\n")


def test_ray_that_is_missing_is_told_with_its_install_line(
    model: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(model.parent)
    outcome = verydeep("bulk", "predict", "model", "model", "--out", "out")
    said = "verydeep: bulk work needs an extra: pip install 'verydeep[ray]'\n"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", said)
    assert not Path("out").exists()
