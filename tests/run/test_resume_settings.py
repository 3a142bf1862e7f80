"""More epochs for a started run: what is written, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from progresses import Listening

from verydeep.recipe.recipe import load_recipe, shipped
from verydeep.run.training.resume_settings import extend
from verydeep.training.run_folder import RunFolder


def finished(path: Path, name: str) -> RunFolder:
    run = RunFolder(path)
    run.write_recipe(load_recipe(name))
    run.write("metrics.json", {})
    return run


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_takes_more_epochs(name: str, tmp_path: Path) -> None:
    run, own = finished(tmp_path, name), load_recipe(name)
    said = Listening()
    longer = own.training.epochs + 7
    assert extend(run, {"training": {"epochs": longer}}, said)
    assert not run.finished
    found = run.read_recipe()
    assert found.training.epochs == longer
    curve = own.training.schedule not in ("plateau", "constant")
    assert found.training.restarts == (own.training.epochs,) * curve
    cycle = f"new {own.training.schedule} cycle"
    assert [cycle in line for line in said.lines] == [curve]


def test_what_is_refused_leaves_a_finished_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    run = finished(tmp_path, "paper")
    before = (tmp_path / "recipe.yaml").read_bytes()
    monkeypatch.setattr("verydeep.run.training.resume_settings._longer", refuse)
    with pytest.raises(ValueError, match=r"^$"):
        extend(run, {"training": {"epochs": 100}}, Listening())
    assert run.finished
    assert (tmp_path / "recipe.yaml").read_bytes() == before
