"""``verydeep runs`` lists finished, unfinished and broken runs, the best first."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome

from verydeep.recipe.recipe import load_recipe
from verydeep.training.run_folder import RunFolder
from verydeep.training.run_list import list_runs

Program = Callable[..., Outcome]


@pytest.fixture
def runs(trained_run: Path, tmp_path: Path) -> Path:
    """A good run, a worse, an unfinished, three broken ones, and other things."""
    for name in ("good", "worse", "deep/unfinished", "cut", "list", "no-recipe"):
        shutil.copytree(trained_run, tmp_path / name, ignore=shutil.ignore_patterns("check*"))
    metrics = json.loads((trained_run / "metrics.json").read_text("utf-8"))
    worse = {**metrics, "top1_error": 50.0, "top1_interval": [25.4, 74.6]}
    (tmp_path / "worse" / "metrics.json").write_text(json.dumps(worse))
    (tmp_path / "deep" / "unfinished" / "metrics.json").unlink()
    with (tmp_path / "deep" / "unfinished" / "log.jsonl").open("a") as log:
        log.write('{"epoch": 2')  # killed while it wrote
    (tmp_path / "cut" / "metrics.json").write_text("{")
    (tmp_path / "list" / "recipe.yaml").write_text("[1, 2]")
    (tmp_path / "no-recipe" / "recipe.yaml").unlink()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_every_run_is_listed_the_best_first(runs: Path) -> None:
    found = list_runs(runs)
    assert [(Path(one.run).name, one.state) for one in found] == [
        ("good", "finished"),
        ("worse", "finished"),
        ("unfinished", "unfinished"),
        ("cut", "broken"),
        ("list", "broken"),
        ("no-recipe", "broken"),
    ]
    good, worse, unfinished, cut, *_ = found
    assert (good.net, good.epochs, good.images, good.split) == ("A", 20, 12, "test")
    assert (worse.error, worse.interval) == (50.0, (25.4, 74.6))
    assert (unfinished.epochs, unfinished.split) == (20, "val")
    assert "metrics.json" in str(cut.fault)
    assert all(one.date.startswith("20") for one in found[:4])


@pytest.mark.parametrize(
    ("recipe", "settings", "error", "measure"),
    [
        ("paper", {}, "top1_error", "top-1"),
        ("localization", {"initialize.source": "a"}, "localization_error", "localization"),
        ("paper", {"data.task": "multi-label"}, "map_error", "mAP"),
    ],
)
def test_an_unfinished_run_of_any_task_has_its_best_validation_error(
    recipe: str, settings: dict[str, str], error: str, measure: str, tmp_path: Path
) -> None:
    RunFolder(tmp_path).write_recipe(load_recipe(recipe, settings))
    rows = [{"epoch": n, "val_loss": n, f"val_{error}": 41.0 - n} for n in (1, 2)]
    RunFolder(tmp_path).write_lines("log.jsonl", rows)
    (found,) = list_runs(tmp_path)
    assert (found.state, found.epochs, found.measure) == ("unfinished", 2, measure)
    assert (found.error, found.split) == (39.0, "val")


def test_the_program_lists_them(runs: Path, verydeep: Program) -> None:
    told = verydeep("runs", runs)
    assert (told.code, told.err) == (0, "")
    head, *lines = told.out.splitlines()
    assert head.split()[:2] == ["run", "net"]
    assert len(lines) == 6
    assert "50.00 % (25.4 to 74.6)" in lines[1]
    value = json.loads(verydeep("runs", runs, "--json").out)
    assert [one["state"] for one in value["runs"]].count("broken") == 3
    assert "no runs" in verydeep("runs", runs / "pictures").out
    assert verydeep("runs", runs / "nowhere").code == 2


def test_runs_come_without_torch(runs: Path) -> None:
    code = (
        "import sys\nfrom verydeep.cli.app import main\n"
        f"sys.argv = ['verydeep', 'runs', {str(runs)!r}]\n"
        "try: main()\nexcept SystemExit: print('loaded:', *{'torch', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


COMPLETE = "import sys; sys.argv = ['verydeep']; from verydeep.cli.app import main; main()"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("verydeep tr", ["train"]),
        ("verydeep train pets --net A", ["A", "A-LRN"]),
        ("verydeep train pets --recipe sm", ["small"]),
        ("verydeep evaluate runs/a --protocol c", ["center", "crops"]),
        ("verydeep check pets --layout class", ["class-folders"]),
    ],
)
def test_a_shell_completes_words(words: str, wanted: list[str]) -> None:
    environment = {
        "_VERYDEEP_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    import os

    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == wanted
