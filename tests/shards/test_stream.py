"""Batches from shards: every sample once per epoch, and resumed epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.made import number_of, samples, write_stream, write_tar
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.shards.batches import Reading, StreamBatches, merged
from verydeep.errors import DataError

AUGMENTATION = Augmentation(size=8, scale=(8, 10), colour_shift=0.1)


def batches(stream: object, **settings: object) -> StreamBatches:
    given_settings: dict[str, object] = {"batch": 6, "micro_batch": 2, "seed": 1, "buffer": 5}
    return StreamBatches(stream, AUGMENTATION, **(given_settings | settings))  # type: ignore[arg-type]


def numbers(parts: Iterator[MicroBatch] | list[MicroBatch]) -> list[int]:
    return [number_of(picture) for part in parts for picture in part.pictures.numpy()]


def in_turn(made: StreamBatches, epoch: int, start: int) -> list[MicroBatch]:
    """Return what a loader would: it asks the readers of the rank in turn, and merges."""
    reading = Reading(made, epoch, start)
    read = [list(reading.slices(turn)) for turn in made.turns]
    in_order = [part for turn in zip(*read, strict=True) for part in turn]
    return [part for part in merged(iter(in_order), len(read)) if not isinstance(part, str)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    world=st.integers(1, 4),
    workers=st.integers(1, 4),
    batch=st.integers(1, 20),
    micro_batch=st.integers(1, 5),
    buffer=st.integers(1, 9),
    epoch=st.integers(0, 2),
    data=st.data(),
)
def test_every_sample_once_an_epoch_and_none_twice_after_a_stop(
    shards: Path,
    lengths: list[int],
    world: int,
    workers: int,
    batch: int,
    micro_batch: int,
    buffer: int,
    epoch: int,
    data: st.DataObject,
) -> None:
    stream = write_stream(shards / "-".join(map(str, lengths)), lengths)
    given = {"batch": batch, "micro_batch": micro_batch, "buffer": buffer, "workers": workers}
    whole, shares = [], {}
    for rank in range(world):
        made = batches(stream, **given, rank=rank, world=world)
        parts = in_turn(made, epoch, 0)
        whole += numbers(parts)
        steps = [(step, list(group)) for step, group in groupby(parts, key=lambda p: p.step)]
        assert [step for step, _ in steps] == list(range(made.steps))
        for step, group in steps:
            assert [part.last for part in group] == [False] * (len(group) - 1) + [True]
            assert all(len(part.labels) <= micro_batch for part in group)
            shares[step] = shares.get(step, 0) + sum(
                len(part.labels) / part.images for part in group
            )
        start = data.draw(st.integers(0, made.steps))
        rest = in_turn(made, epoch, start)
        later = [part for part in parts if part.step >= start]
        assert numbers(rest) == numbers(later)
        for one, other in zip(rest, later, strict=True):
            assert torch.equal(one.pictures, other.pictures)
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(one.shifts, other.shifts)
    assert sorted(whole) == list(range(sum(lengths)))
    assert all(share == pytest.approx(1) for share in shares.values())


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    world=st.integers(2, 5),
    workers=st.integers(1, 4),
    batch=st.integers(1, 20),
    micro_batch=st.integers(1, 5),
)
def test_any_number_of_ranks_sees_the_same_micro_batches(
    shards: Path, lengths: list[int], world: int, workers: int, batch: int, micro_batch: int
) -> None:
    """Also with more ranks than readers, where several decode the samples of one."""
    stream = write_stream(shards / "-".join(map(str, lengths)), lengths)
    given = {"batch": batch, "micro_batch": micro_batch, "buffer": 3, "workers": workers}
    alone = in_turn(batches(stream, **given), 1, 0)
    ranks = [in_turn(batches(stream, **given, rank=r, world=world), 1, 0) for r in range(world)]
    for whole, *slices in zip(alone, *ranks, strict=True):
        assert sorted(numbers(slices)) == sorted(numbers([whole]))
        for part in slices:
            assert (part.step, part.images, part.last) == (whole.step, whole.images, whole.last)
        sizes = [len(part.labels) for part in slices]
        assert world % workers or max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_real_processes_read_what_the_plan_says(tmp_path: Path, workers: int) -> None:
    made = batches(write_stream(tmp_path, [7, 3, 11, 5]), workers=workers)
    parts = list(made.epoch(2, 1))
    expected = in_turn(made, 2, 1)
    assert numbers(parts) == numbers(expected)
    assert [(p.step, p.images, p.last) for p in parts] == [
        (p.step, p.images, p.last) for p in expected
    ]


def test_classes_go_with_their_pictures(tmp_path: Path) -> None:
    made = batches(write_stream(tmp_path, [9, 9]))
    for part in made.epoch(0):
        found = [number_of(picture) for picture in part.pictures.numpy()]
        assert part.labels.tolist() == [number % 3 for number in found]


def test_a_picture_is_augmented_alike_whoever_reads_it(tmp_path: Path) -> None:
    stream = write_stream(tmp_path, [6, 6])
    shifts = [
        {
            number_of(picture): tuple(shift.tolist())
            for part in in_turn(batches(stream, buffer=buffer, workers=workers), 0, 0)
            for picture, shift in zip(part.pictures.numpy(), part.shifts, strict=True)
        }
        for workers, buffer in ((1, 1), (3, 4))
    ]
    assert shifts[0] == shifts[1]
    assert len(set(shifts[0].values())) == 12


def test_epochs_differ_and_repeat(tmp_path: Path) -> None:
    made = batches(write_stream(tmp_path, [10, 10]))
    first, again, second = (numbers(made.epoch(epoch)) for epoch in (0, 0, 1))
    assert first == again != second


def test_only_the_buffer_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = write_stream(tmp_path, [30, 30])
    read = 0
    hold = type(stream)._hold

    def counted(*arguments: object) -> object:
        nonlocal read
        read += 1
        return hold(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(stream), "_hold", counted)
    for handed, _ in enumerate(stream.read(range(60), buffer=7, seed=0, epoch=0)):
        assert read <= handed + 7


def test_what_was_handed_out_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = write_stream(tmp_path, [30, 30])
    whole = [one.number for one in stream.read(range(60), buffer=9, seed=0, epoch=0)]
    read = []
    hold = type(stream)._hold

    def noted(self: object, shard: int, number: int, picture: object) -> object:
        held = hold(self, shard, number, picture)  # type: ignore[arg-type]
        read.append(held.number)
        return held

    monkeypatch.setattr(type(stream), "_hold", noted)
    rest = [one.number for one in stream.read(range(60), buffer=9, seed=0, epoch=0, start=41)]
    assert rest == whole[41:]
    assert sorted(read) == sorted(rest)


def test_an_unreadable_picture_is_named_and_passed_over(tmp_path: Path) -> None:
    stream = write_stream(tmp_path, [4])
    parts = [*samples(range(3)), ("00003.png", b"no image"), ("00003.cls", b"0")]
    write_tar(tmp_path / "train-000.tar", parts)
    made = list(batches(stream).epoch(0))
    assert sorted(numbers(made)) == [0, 1, 2]
    (fault,) = [fault for part in made for fault in part.unreadable]
    assert fault.startswith("train-000.tar/00003.png: not an image")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "cannot be opened"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "truncated before"),
        (lambda path: path.write_bytes(b"x" * 4096), "not a tar archive, or broken at byte 0"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: write_tar(path, samples(range(2))), "holds 2 samples instead of 8"),
        (
            lambda path: write_tar(path, [("a.png", b""), ("a.cls", b"7")]),
            "there is no training class '7'",
        ),
    ],
)
def test_a_harmed_shard_ends_in_one_message(
    tmp_path: Path, workers: int, harm: object, message: str
) -> None:
    made = batches(write_stream(tmp_path, [8, 8]), workers=workers)
    harm(tmp_path / "train-001.tar")  # type: ignore[operator]
    with pytest.raises(DataError, match=rf"train-001\.tar.*{message}") as caught:
        list(made.epoch(0))
    assert "\n" not in str(caught.value)


def test_a_stream_of_a_billion_needs_no_index(tmp_path: Path) -> None:
    shard = write_stream(tmp_path, [50])
    stream = dataclasses.replace(
        shard, places=shard.places * 20_000, names=shard.names * 20_000, lengths=(50_000,) * 20_000
    )
    assert len(stream) == 10**9
    # Its shards hold 50 each, so the first of a reader's stretch are all that can be read.
    mine = range(500_000_000, 500_000_020)
    numbers_read = [one.number for one in stream.read(mine, buffer=5, seed=0, epoch=0)]
    assert len(set(numbers_read)) == 20
    assert np.ptp(numbers_read) == 19
