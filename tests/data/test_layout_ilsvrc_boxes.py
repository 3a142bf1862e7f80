"""ILSVRC's tables of objects against a dictionary, in a tenth of the memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

from verydeep.data.layouts.ilsvrc_boxes import Solution
from verydeep.data.layouts.pascal_xml import Object

ROWS = 5000


def write(path: Path) -> dict[str, tuple[list[Object], str]]:
    """Write a table in an order of its own; return what stands in it."""
    chance = random.Random(0)
    known = {}
    numbers = chance.sample(range(10 * ROWS), ROWS)
    with path.open("w") as table:
        table.write("ImageId,PredictionString\n")
        for line, number in enumerate(numbers, start=2):
            objects = [
                Object(f"n{chance.randrange(50):08}", (one, 2.5, one + 7.0, 1e9))
                for one in map(float, range(number % 3))
            ] or [Object("n00000001", None)]
            words = " ".join(
                " ".join([name, *map(str, corners or ())]) for name, corners in objects
            )
            table.write(f"picture_{number},{words} \n")
            known[f"picture_{number}"] = objects, f"{path}, line {line}"
    return known


def test_a_table_is_what_a_dictionary_of_its_lines_is(tmp_path: Path) -> None:
    known = write(tmp_path / "solution.csv")
    solution = Solution(tmp_path / "solution.csv")
    assert dict(solution) == known
    assert [*solution] == [*known]
    assert len(solution) == ROWS
    assert solution.get("picture_", ([], "none")) == ([], "none")


def test_an_empty_table_knows_nothing(tmp_path: Path) -> None:
    (tmp_path / "solution.csv").write_text("ImageId,PredictionString\n")
    assert dict(Solution(tmp_path / "solution.csv")) == {}


def test_a_table_takes_little_memory(tmp_path: Path) -> None:
    write(tmp_path / "solution.csv")
    tracemalloc.start()
    solution = Solution(tmp_path / "solution.csv")
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 130 * len(solution)  # objects in a dictionary take 800
    assert most < 220 * len(solution)
