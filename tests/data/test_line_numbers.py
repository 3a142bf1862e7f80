"""Locations of entries: compact, and returned unchanged."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.layouts.line_numbers import LineNumbers

NUMBERS = st.integers(0, 10**20).map(str) | st.from_regex(r"[0-9]{1,4}", fullmatch=True)
TEXTS = st.tuples(st.sampled_from(["a, line", "b", ""]), NUMBERS).map(" ".join)


@given(st.lists(TEXTS | st.sampled_from(["", " ", "x", "x y", "1", "٣ ٣", "a -1"])))
def test_the_same_texts_come_back(texts: list[str]) -> None:
    places = LineNumbers()
    for text in texts:
        places.append(text)
    assert [places[number] for number in range(len(places))] == texts


def test_lines_of_a_file_and_pictures_of_a_folder_take_a_few_bytes_each() -> None:
    tracemalloc.start()
    places = LineNumbers()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000):
        places.append(f"/a/folder/that/is/called/something/long/table.csv, line {number}")
        places.append("/a/folder/that/is/called/something/long/train/n01440764")
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20 * len(places)
