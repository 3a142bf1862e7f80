"""Compact samples return what was put in."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.dataset import Dataset
from verydeep.data.geometry import Box
from verydeep.data.samples import Sample, Samples, SamplesBuilder
from verydeep.data.string_array import Names

names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=9
).filter(lambda name: name not in (".", ".."))
boxes = st.none() | st.builds(Box, *[st.floats(0, 9, allow_nan=False)] * 4)
samples = st.lists(
    st.builds(
        lambda folder, name, label, box: Sample(Path(folder, name), label, box),
        st.sampled_from(["/data/pets", "/data", "elsewhere", "/data/petshop"]),
        names,
        st.integers(0, 2**31 - 1),
        boxes,
    ),
    max_size=8,
)


@given(samples, st.sampled_from([None, Path("/data/pets"), Path("/"), Path()]))
def test_all_comes_out_as_it_was_put_in(given_samples: list[Sample], root: Path | None) -> None:
    builder = SamplesBuilder(root)
    for sample in given_samples:
        builder.add(sample.path, sample.label, sample.box)
    kept = builder.samples()
    assert list(kept) == given_samples
    assert kept == tuple(given_samples)
    assert kept.labels.tolist() == [sample.label for sample in given_samples]
    assert list(kept.paths) == [sample.path for sample in given_samples]
    assert kept.has_boxes == any(sample.box for sample in given_samples)
    assert pickle.loads(pickle.dumps(kept)) == kept


@given(samples.filter(bool), st.data())
def test_parts_are_those_of_a_list(given_samples: list[Sample], data: st.DataObject) -> None:
    kept = Samples.of(given_samples)
    numbers = data.draw(st.lists(st.integers(0, len(kept) - 1), max_size=9))
    part = kept.take(numbers)
    assert list(part) == [given_samples[number] for number in numbers]
    start, stop = data.draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
    assert list(part[start:stop]) == list(part)[start:stop]
    assert list(part.paths[start:stop]) == [sample.path for sample in part][start:stop]


def test_classes_get_other_numbers() -> None:
    kept = Samples.of([Sample(Path("a"), 0), Sample(Path("b"), 1, Box(0, 0, 1, 1))]).take([1, 0])
    assert list(kept.relabelled([7, 5])) == [
        Sample(Path("b"), 5, Box(0, 0, 1, 1)),
        Sample(Path("a"), 7),
    ]


def test_a_name_in_no_encoding_is_kept() -> None:
    odd = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert Samples.of([Sample(Path("/data", odd), 0)])[0].path == Path("/data", odd)


def test_there_is_nothing_beyond_the_ends() -> None:
    for few in (Names(["a", "b"]), Samples.of([Sample(Path("a"), 0)] * 2)):
        with pytest.raises(IndexError):
            few[2]


def test_a_data_set_keeps_what_it_is_given_compactly() -> None:
    one = Sample(Path("pets/cat/1.jpg"), 0)
    dataset = Dataset(Path("pets"), "one folder per class", ("cat", "dog"), {"train": (one, one)})  # type: ignore[dict-item]
    assert isinstance(dataset.split("train"), Samples)
    assert dataset.count("train") == (2, 0)


def test_a_sample_takes_less_than_a_hundred_bytes() -> None:
    builder = SamplesBuilder(Path("/data"))
    for number in range(10_000):
        builder.add(f"/data/train/n01440764/n01440764_{number}.JPEG", number % 1000)
    size = len(pickle.dumps(builder.samples()))
    assert size / 10_000 < 100
    assert np.array_equal(builder.samples().labels, np.arange(10_000) % 1000)
