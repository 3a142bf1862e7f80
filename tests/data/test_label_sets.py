"""Label sets: rows against sets of Python, and the samples and data sets that hold them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.builtin.multi_digits import COUNTS, make_multi_digits
from verydeep.data.dataset import Dataset
from verydeep.data.label_sets import LabelSets, LabelSetTable
from verydeep.data.read import read_dataset
from verydeep.data.samples import SamplesBuilder, share_sets
from verydeep.data.shards.write import write_shards
from verydeep.errors import DataError

CLASSES = 6
MANY = st.lists(st.sets(st.integers(0, CLASSES - 1)), max_size=20)


@given(MANY)
def test_rows_hold_the_sets(sets: list[set[int]]) -> None:
    rows = LabelSets.of(sets)
    assert [set(one) for one in rows] == sets
    assert rows.sizes.tolist() == [len(one) for one in sets]
    expected = [[int(label in one) for label in range(CLASSES)] for one in sets]
    assert rows.indicators(CLASSES).tolist() == expected
    turned = rows.renumbered([*range(CLASSES)][::-1])
    assert [set(one) for one in turned] == [{CLASSES - 1 - k for k in one} for one in sets]


@given(MANY, st.data())
def test_counts_of_classes_are_those_of_a_loop(sets: list[set[int]], data: st.DataObject) -> None:
    table = LabelSetTable()
    labels = [table.number(one) for one in sets]
    found = table.sets().images_of_classes(labels, CLASSES).tolist()
    assert found == [sum(label in one for one in sets) for label in range(CLASSES)]
    assert len(table.sets()) == len({frozenset(one) for one in sets})


def dataset_of(**splits: list[list[int]]) -> Dataset:
    """Return a data set of images that have these classes."""
    made = {}
    for name, sets in splits.items():
        builder, table = SamplesBuilder(), LabelSetTable()
        for number, one in enumerate(sets):
            builder.add(Path(f"{name}{number}.png"), table.number(one))
        samples = builder.samples()
        made[name] = samples.with_sets(table.sets(), samples.labels)
    return Dataset(Path("d"), "table", ("a", "b", "c"), share_sets(made))


def test_splits_share_one_table_of_sets() -> None:
    data = dataset_of(train=[[0], [0, 1], []], val=[[], [2], [1, 0]])
    assert data.multi_label
    assert data.label_sets is data.split("val").label_sets or len(data.label_sets or ()) == 4
    for split, expected in {"train": [(0,), (0, 1), ()], "val": [(), (2,), (0, 1)]}.items():
        assert [data.classes_of(sample.label) for sample in data.split(split)] == expected
    (one,) = [s.label for s in data.split("train") if data.classes_of(s.label) == (0, 1)]
    assert one in data.split("val").labels
    assert data.count("train") == (2, 1, 0)
    assert json.loads(data.label_text(one)) == ["a", "b"]
    assert data.split("val")[1:].relabelled([2, 1, 0]).label_sets is not None
    turned = data.split("val").relabelled([2, 1, 0])
    assert turned.label_sets is not None
    assert turned.label_sets[turned[1].label] == (0,)


def test_what_needs_one_class_per_image_refuses_sets(tmp_path: Path) -> None:
    data = dataset_of(train=[[0], [1]])
    with pytest.raises(DataError, match="several labels"):
        write_shards(data, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_images_in_memory_may_have_several_labels() -> None:
    images = [np.full((4, 4, 3), number, np.uint8) for number in range(4)]
    data = read_dataset((images, [["cat"], ["dog", "cat"], [], ["dog"]]), draw=False)
    assert data.classes == ("cat", "dog")
    assert [data.classes_of(one.label) for one in data.split("all")] == [(0,), (0, 1), (), (1,)]


def test_digits_are_drawn_as_labelled() -> None:
    images = list(make_multi_digits(0, {"train": 40, "val": 10}))
    assert [one.split for one in images] == ["train"] * 40 + ["val"] * 10
    assert {len(one.labels) for one in images} == {0, 1, 2, 3}
    again = list(make_multi_digits(0, {"train": 40, "val": 10}))
    assert all((a.pixels == b.pixels).all() for a, b in zip(images, again, strict=True))
    assert len({one.pixels.tobytes() for one in images}) == len(images)  # also without digits
    assert set(COUNTS) == {"train", "val", "test"}
    assert all(Image.fromarray(one.pixels).size == (64, 64) for one in images)
