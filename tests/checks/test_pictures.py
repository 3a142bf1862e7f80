"""The compact table of facts returns what was added."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.checks.facts_table import DatasetFacts, FactsTable
from verydeep.checks.file_facts import FileFacts
from verydeep.data.geometry import Box
from verydeep.data.samples import Sample, Samples

WHOLE = st.integers(-(2**63), 2**63 - 1)
FACTS = st.builds(
    FileFacts,
    length=st.integers(0, 2**63 - 1),
    digest=st.one_of(st.just(b""), st.binary(min_size=16, max_size=16)),
    fault=st.sampled_from([None, "empty", "broken", "unreadable"]),
    reason=st.text(max_size=5),
    format=st.sampled_from([None, "JPEG", "PNG"]),
    mode=st.sampled_from(["", "L", "RGB", "I;16"]),
    width=WHOLE,
    height=WHOLE,
    hash=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    **dict.fromkeys(("animated", "turned", "deep", "alpha"), st.booleans()),
)


@given(st.lists(FACTS, max_size=9))
def test_facts_come_back_as_they_were(facts: list[FileFacts]) -> None:
    table = FactsTable()
    for one in facts:
        table.append(one)
    assert [table[index] for index in range(len(table))] == facts
    with pytest.raises(IndexError):
        table[len(facts)]


def test_pictures_stand_in_their_splits() -> None:
    root = Path("pets")
    train = [Sample(root / f"a/{n}.jpg", n % 2, Box(0, 0, n + 1, 5)) for n in range(5)]
    val = [Sample(root / "b/x.jpg", 1), Sample(Path("elsewhere/y.jpg"), 0)]
    pictures = DatasetFacts({"train": Samples.of(train), "val": Samples.of(val)}, root)
    for number in range(7):
        pictures.add(FileFacts(length=number))
    expected = [
        *((f"a/{n}.jpg", "train", n % 2, (Box(0, 0, n + 1, 5),), n) for n in range(5)),
        ("b/x.jpg", "val", 1, (), 5),
        ("elsewhere/y.jpg", "val", 0, (), 6),
    ]
    for found in (list(pictures), [pictures[n] for n in range(7)], pictures[:]):
        assert [(p.name, p.split, p.label, p.boxes, p.facts.length) for p in found] == expected
    assert len(pictures) == 7
    assert [p.path for p in pictures] == [sample.path for sample in (*train, *val)]
