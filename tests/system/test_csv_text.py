"""CSV keeps its content, and no text cell is a formula."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.system.csv_text import csv_text, digits, guard, unguard, write_csv
from verydeep.system.files import encodable

Factory = pytest.TempPathFactory

RISKY = "=+-@\t\r\n＝＋－＠"
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text(RISKY + " '\"a1,;"),
)


def read_back(text: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(text, newline=""))]


@given(st.lists(st.lists(NAMES, min_size=2, max_size=4), min_size=1, max_size=4))
def test_text_is_harmless_and_comes_back(rows: list[list[str]]) -> None:
    read = read_back(csv_text(rows))
    assert [[unguard(cell) for cell in row] for row in read] == rows
    for cell in (cell for row in read for cell in row):
        assert cell.strip()[:1] not in set(RISKY) - set("\t\r\n") or not cell.strip()
        assert cell[:1] not in RISKY or not cell


@given(st.lists(st.lists(NAMES | st.just("caf\udce9"), min_size=2, max_size=4), max_size=4))
def test_a_file_has_the_same_text(tmp_path_factory: Factory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    write_csv(path, iter(rows))
    assert path.read_bytes().decode() == encodable(csv_text(rows))


@given(NAMES, NAMES)
def test_two_names_never_become_one(one: str, other: str) -> None:
    assert (guard(one) == guard(other)) == (one == other)


@given(st.floats(allow_nan=False), st.integers())
def test_numbers_stay_numbers(real: float, whole: int) -> None:
    text = csv_text([(real, whole, digits(real, ".17g"), digits(whole, "d"))])
    cells = read_back(text)[0]
    assert [float(cell) for cell in cells[:3:2]] == [real, real]
    assert [int(cell) for cell in cells[1::2]] == [whole, whole]


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "-pic.jpg", "@home.png", "+1", "-1", "\tx", "\rx", " =1", "＝1"],
)
def test_no_cell_of_text_is_a_formula(name: str) -> None:
    assert read_back(csv_text([("x", name)])) == [["x", f"'{name}"]]


@pytest.mark.parametrize(
    "name", ["cat", "a=1", "'tis", "猫", "", " cat", "3-toed", "photos/-1.jpg"]
)
def test_other_names_are_left_alone(name: str) -> None:
    assert read_back(csv_text([("x", name)])) == [["x", name]]


def test_negative_numbers_are_left_alone() -> None:
    assert csv_text([(-1, -0.5, digits(-2.25, ".1f"), None, math.inf)]) == "-1,-0.5,-2.2,,inf\n"
