"""Run folders: what a killed process leaves in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from verydeep.recipe.recipe import load_recipe
from verydeep.training.run_folder import RunFolder


@pytest.mark.parametrize("name", ["metrics.json", "checkpoints/last.pt", "maps/view-00.npy"])
def test_a_killed_write_is_cleared_when_the_run_is_taken_up_again(
    name: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    run.write_recipe(load_recipe("transfer"))
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    left, kept = path.with_name(f".{path.name}.k2u8x1.tmp"), path.with_name("val.npy")
    left.write_bytes(b"half")
    kept.touch()
    with run.opened(resume=True):
        assert not left.exists()
        assert kept.exists()
