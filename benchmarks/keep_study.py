"""Keep the results of a study, without its trained nets and the paths of a machine.

    python benchmarks/keep_study.py studies/pets docs/results/reproduce/pets --page

What is kept is enough to go on with the study elsewhere: see "On another machine" in
docs/reproduce.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from verydeep.study.results import load_results
from verydeep.visualization.study import write_page

FOLDERS = ("trainings", "results")


def main() -> None:
    """Copy the files of a study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", action="store_true", help="page, tables and verdicts, too")
    given = parser.parse_args()
    keep(given.study, given.out)
    if given.page:
        write_page(load_results(given.out), given.out)


def keep(study: Path, out: Path) -> None:
    """Copy the files of a study that its results need."""
    out.mkdir(parents=True, exist_ok=True)
    for file in study.glob("images*.json"):
        shutil.copy(file, out)
    for name in FOLDERS:
        shutil.copytree(study / name, out / name, dirs_exist_ok=True)
    facts = json.loads((study / "study.json").read_text("utf-8"))
    text = json.dumps(without_places(facts), indent=2, ensure_ascii=False)
    (out / "study.json").write_text(text + "\n", "utf-8")


def without_places(value: Any) -> Any:
    """Return plain values with the last part of every absolute path in them.

    >>> without_places({"data": "/home/me/pets", "command": ["/bin/verydeep", "reproduce"]})
    {'data': 'pets', 'command': ['verydeep', 'reproduce']}
    """
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    if isinstance(value, str) and value.startswith("/"):
        return "verydeep" if value.endswith("__main__.py") else Path(value).name
    return value


if __name__ == "__main__":
    main()
