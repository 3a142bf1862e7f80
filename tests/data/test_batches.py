"""Training batches: equal from files and from memory, for one process and several."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

from verydeep.data.images.decode import decode, to_tensor
from verydeep.data.pipeline.augment import Augmentation, cut, draw_crop, sample_generator
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.colour_statistics import scan
from verydeep.data.pipeline.image_cache import PictureStore
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.samples import Sample

CPU = torch.device("cpu")
COUNT = 11
JITTER = Augmentation(size=24, scale=(32, 64))
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
)


@pytest.fixture(scope="module")
def originals(photographs: list[Image.Image]) -> list[Image.Image]:
    """Parts of photographs whose smallest sides run from 34 to 64."""
    return [
        photographs[n % 2].crop((40 * n, 20 * n, 40 * n + 34 + 3 * n, 20 * n + 95 - 3 * n))
        for n in range(COUNT)
    ]


@pytest.fixture
def samples(tmp_path: Path, originals: list[Image.Image]) -> list[Sample]:
    """The originals as files; the label is the number of the image."""
    for number, picture in enumerate(originals):
        picture.save(tmp_path / f"{number}.png")
    return [Sample(tmp_path / f"{number}.png", number) for number in range(COUNT)]


def from_files(samples: list[Sample], **changes: Any) -> TrainingBatches:
    augmentation = changes.pop("augmentation", JITTER)
    settings = {"batch": 4, "micro_batch": 3, "seed": 5, "workers": 0} | changes
    return TrainingBatches(samples, augmentation, **settings)


def from_memory(samples: list[Sample], largest_scale: int = 64, **changes: Any) -> TrainingBatches:
    scanned = scan(samples, keep_on=CPU, largest_scale=largest_scale)
    assert len(scanned.samples) == len(samples)
    return from_files(samples, store=scanned.store, **changes)


def numbered(count: int, **settings: Any) -> TrainingBatches:
    """Batches of images in memory; all pixels of an image are its number."""
    pixels = [np.full((8, 8, 3), number, np.uint8) for number in range(count)]
    known = [Sample(Path(f"{number}.png"), number % 3) for number in range(count)]
    whole = Augmentation(size=8, scale=(8, 8), random_crop=False)
    return TrainingBatches(known, whole, seed=1, store=PictureStore(pixels, CPU), **settings)


def same(one: MicroBatch, other: MicroBatch) -> bool:
    """Whether two micro-batches agree to the last bit."""
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def all_same(some: Iterator[MicroBatch], others: Iterator[MicroBatch]) -> bool:
    return all(same(one, other) for one, other in zip(some, others, strict=True))


def by_label(parts: Iterator[MicroBatch]) -> dict[int, tuple[Tensor, Tensor]]:
    return {
        label: (picture, shift)
        for part in parts
        for label, picture, shift in zip(
            part.labels.tolist(), part.pictures, part.shifts, strict=True
        )
    }


def largest_difference(some: TrainingBatches, others: TrainingBatches) -> int:
    """Compare two epochs; everything but the pixels must be equal."""
    largest = 0
    for epoch in range(2):
        for one, other in zip(some.epoch(epoch), others.epoch(epoch), strict=True):
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(one.shifts, other.shifts)
            assert (one.step, one.images, one.last) == (other.step, other.images, other.last)
            apart = (one.pictures.int() - other.pictures.int()).abs().max()
            largest = max(largest, int(apart))
    return largest


# The images


@pytest.mark.parametrize("make", [from_files, from_memory])
def test_every_crop_is_the_one_drawn_for_its_picture(
    make: Any, samples: list[Sample], originals: list[Image.Image]
) -> None:
    found = by_label(make(samples).epoch(3))
    assert sorted(found) == list(range(COUNT))
    for number, (picture, shift) in found.items():
        original = originals[number]
        crop = draw_crop(JITTER, original.height, original.width, sample_generator(5, 3, number))
        expected = cut(to_tensor(original), crop)
        assert (picture.int() - expected.int()).abs().max() <= 1
        assert shift.tolist() == pytest.approx(crop.shift)


def test_files_and_memory_give_the_same_crops(samples: list[Sample]) -> None:
    assert largest_difference(from_files(samples), from_memory(samples)) <= 1


def test_shrunk_pictures_in_memory_give_the_same_crops_at_the_scale_they_have(
    samples: list[Sample],
) -> None:
    """All but the first are shrunk to 36; at a fixed S of 36 that is what is cut from files too."""
    settings = {"augmentation": Augmentation(size=24, scale=(36, 36))}
    difference = largest_difference(
        from_files(samples, **settings), from_memory(samples, largest_scale=36, **settings)
    )
    assert difference <= 2


def test_a_panorama_does_not_pad_the_batch() -> None:
    """Only what a crop needs is gathered, however long its image is."""
    long = [np.zeros((64, 64, 3), np.uint8)] * 3 + [np.zeros((64, 4000, 3), np.uint8)]
    store = PictureStore(long, torch.device("cpu"))
    sizes: list[torch.Size] = []
    gather = store.gather
    store.gather = lambda *given: (sizes.append(gather(*given).shape), gather(*given))[1]  # type: ignore[method-assign]
    samples = [Sample(Path(f"{n}.png"), 0) for n in range(4)]
    list(from_files(samples, store=store).epoch(0))
    assert max(size[-1] for size in sizes) <= 64


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_picture_keeps_its_label(device: str) -> None:
    """Images of one colour each: the crop tells which image it is from."""
    solid = [np.full((20 + n, 33 - n, 3), 20 * n, np.uint8) for n in range(COUNT)]
    samples = [Sample(Path(f"{n}.png"), n) for n in range(COUNT)]
    store = PictureStore(solid, torch.device(device))
    for part in from_files(samples, store=store).epoch(0):
        assert part.labels.dtype == torch.long
        assert part.pictures.dtype == torch.uint8
        assert part.pictures.shape == (len(part.labels), 3, 24, 24)
        expected = 20 * part.labels[:, None, None, None]
        assert torch.equal(part.pictures.cpu().long(), expected.expand(part.pictures.shape))


@pytest.mark.parametrize("make", [from_files, from_memory])
def test_how_pictures_are_grouped_does_not_change_their_crops(
    make: Any, samples: list[Sample]
) -> None:
    coarse = by_label(make(samples, batch=11, micro_batch=11).epoch(1))
    fine = by_label(make(samples, batch=3, micro_batch=2).epoch(1))
    assert sorted(coarse) == sorted(fine)
    for label, (picture, shift) in coarse.items():
        assert (picture.int() - fine[label][0].int()).abs().max() <= 1
        assert torch.equal(shift, fine[label][1])


@settings(max_examples=40)
@given(
    count=st.integers(1, 60),
    world=st.integers(1, 9),
    batch=st.integers(1, 30),
    micro_batch=st.integers(1, 9),
    start=st.integers(0, 5),
    balanced=st.booleans(),
)
@example(count=1, world=2, batch=1, micro_batch=1, start=0, balanced=False)
def test_ranks_share_every_update_without_rest(
    count: int, world: int, batch: int, micro_batch: int, start: int, balanced: bool
) -> None:
    """Memory stands in for files: which process reads a micro-batch changes nothing (below)."""
    shares: dict[int, float] = {}
    met: list[int] = []
    for rank in range(world):
        made = numbered(
            count,
            batch=batch,
            micro_batch=micro_batch,
            balanced=balanced,
            rank=rank,
            world=world,
        )
        start = min(start, made.steps)
        for step, parts in groupby(made.epoch(2, start), key=lambda part: part.step):
            group = list(parts)
            assert [part.last for part in group] == [False] * (len(group) - 1) + [True]
            assert all(len(part.labels) <= micro_batch for part in group)
            shares[step] = shares.get(step, 0) + sum(
                len(part.labels) / part.images for part in group
            )
            met += [int(picture[0, 0, 0]) for part in group for picture in part.pictures]
    assert sorted(shares) == list(range(start, made.steps))
    assert all(share == pytest.approx(1) for share in shares.values())
    if start == 0 and not balanced:
        assert sorted(met) == list(range(count))


@settings(max_examples=40)
@given(
    count=st.integers(1, 60),
    world=st.integers(2, 9),
    batch=st.integers(1, 30),
    micro_batch=st.integers(1, 9),
)
def test_a_micro_batch_holds_the_same_images_for_any_number_of_ranks(
    count: int, world: int, batch: int, micro_batch: int
) -> None:
    def read(rank: int, world: int) -> list[MicroBatch]:
        made = numbered(count, batch=batch, micro_batch=micro_batch, rank=rank, world=world)
        return list(made.epoch(0))

    alone, ranks = read(0, 1), [read(rank, world) for rank in range(world)]
    for whole, *slices in zip(alone, *ranks, strict=True):
        assert torch.equal(torch.cat([part.pictures for part in slices]), whole.pictures)
        assert torch.equal(torch.cat([part.shifts for part in slices]), whole.shifts)
        assert {(part.step, part.images, part.last) for part in slices} == {
            (whole.step, whole.images, whole.last)
        }


def test_each_epoch_has_its_own_order_and_crops(samples: list[Sample]) -> None:
    batches = from_memory(samples)
    orders = [[part.labels.tolist() for part in batches.epoch(epoch)] for epoch in range(4)]
    assert all(orders[a] != orders[b] for a in range(4) for b in range(a))
    first, second = by_label(batches.epoch(0)), by_label(batches.epoch(1))
    assert not any(torch.equal(first[n][0], second[n][0]) for n in range(COUNT))


def test_another_seed_is_another_training(samples: list[Sample]) -> None:
    assert not all_same(from_memory(samples).epoch(0), from_memory(samples, seed=6).epoch(0))


# The order of an epoch


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_an_epoch_meets_each_picture_once_and_shares_add_up(
    batch: int, micro_batch: int, epoch: int
) -> None:
    store = PictureStore([np.zeros((24, 24, 3), np.uint8)] * COUNT, CPU)
    samples = [Sample(Path(f"{n}.png"), n) for n in range(COUNT)]
    batches = from_files(samples, store=store, batch=batch, micro_batch=micro_batch)
    steps = [
        (number, list(parts))
        for number, parts in groupby(batches.epoch(epoch), key=lambda part: part.step)
    ]
    assert [number for number, _ in steps] == list(range(batches.steps))
    labels = []
    for _, parts in steps:
        sizes = [len(part.labels) for part in parts]
        assert max(sizes) <= micro_batch
        assert sum(sizes) <= batch
        assert {part.images for part in parts} == {sum(sizes)}
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        labels += [label for part in parts for label in part.labels.tolist()]
    assert sorted(labels) == list(range(COUNT))


@pytest.mark.parametrize("make", [from_files, from_memory])
@pytest.mark.parametrize("start", range(4))
def test_an_epoch_goes_on_where_it_was_left(make: Any, start: int, samples: list[Sample]) -> None:
    batches = make(samples, batch=4, micro_batch=2)
    assert batches.steps == 3
    tail = [part for part in batches.epoch(2) if part.step >= start]
    assert all_same(iter(tail), batches.epoch(2, start))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_number_of_processes_changes_no_bit(
    kind: str, samples: list[Sample], originals: list[Image.Image]
) -> None:
    """Nor whether JPEGs are decoded by Pillow, here, or quicker in a process of their own."""
    for sample, original in zip(samples, originals, strict=True):
        factor = 1 + sample.label % 5  # some are decoded at a reduced size
        original.resize((factor * original.width, factor * original.height)).save(sample.path, kind)
    samples[4].path.write_bytes(b"no image")
    alone, one, many = (from_files(samples, workers=workers) for workers in (0, 1, 2))
    assert all_same(alone.epoch(0), many.epoch(0))
    assert all_same(one.epoch(0), many.epoch(0))
    assert all_same(alone.epoch(1, start=1), many.epoch(1, start=1))


def test_large_jpegs_are_reduced_only_if_that_is_wanted(
    samples: list[Sample], photographs: list[Image.Image]
) -> None:
    for sample in samples:
        photographs[0].save(sample.path, "JPEG")
    full, reduced = (
        by_label(from_files(samples, reduced=wanted).epoch(0)) for wanted in (False, True)
    )
    picture = to_tensor(decode(samples[0].path))
    for number in range(COUNT):
        crop = draw_crop(JITTER, 427, 640, sample_generator(5, 0, number))
        assert torch.equal(full[number][0], cut(picture, crop))
        assert not torch.equal(full[number][0], reduced[number][0])


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_programs_random_numbers_alone(
    workers: int, samples: list[Sample]
) -> None:
    """They belong to dropout: a training must not depend on how its images were loaded."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = list(from_files(samples, workers=workers).epoch(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        assert all_same(iter(first), from_files(samples, workers=workers).epoch(0))


# Files that break while a training runs


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_breaks_is_named_and_the_others_are_as_before(
    workers: int, samples: list[Sample]
) -> None:
    batches = from_files(samples, workers=workers)
    before = list(batches.epoch(0))
    samples[2].path.write_bytes(samples[2].path.read_bytes()[:100])
    samples[7].path.unlink()
    after = list(batches.epoch(0))
    faults = [fault for part in after for fault in part.unreadable]
    assert {fault.partition(": ")[0] for fault in faults} == {
        str(samples[number].path) for number in (2, 7)
    }
    assert len(faults) == 2
    for whole, part in zip(before, after, strict=True):
        kept = [n for n, label in enumerate(whole.labels.tolist()) if label not in (2, 7)]
        assert torch.equal(part.labels, whole.labels[kept])
        assert torch.equal(part.pictures, whole.pictures[kept])
        assert torch.equal(part.shifts, whole.shifts[kept])
        assert (part.step, part.images, part.last) == (whole.step, whole.images, whole.last)
        assert len(part.unreadable) == len(whole.labels) - len(kept)


def test_a_micro_batch_of_broken_files_is_empty_but_keeps_its_shape(samples: list[Sample]) -> None:
    for sample in samples:
        sample.path.unlink()
    parts = list(from_files(samples).epoch(0))
    assert sum(len(part.unreadable) for part in parts) == COUNT
    for part in parts:
        assert part.pictures.shape == (0, 3, 24, 24)
        assert part.pictures.dtype == torch.uint8
        assert part.labels.shape == (0,)
        assert part.labels.dtype == torch.long
        assert part.shifts.shape == (0, 3)


def test_pictures_on_their_way_to_a_gpu_are_pinned(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = next(from_files(samples).epoch(0))
    pinned: list[Tensor] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.append(self) or self.clone())
    moved = pin_memory(part)  # as a DataLoader does it
    assert {id(tensor) for tensor in pinned} == {
        id(tensor) for tensor in (part.pictures, part.labels, part.shifts)
    }
    assert moved.pictures is not part.pictures
    assert same(moved, part)


@pytest.mark.parametrize("taken", [0, 1, 3, None])
def test_parts_for_a_gpu_are_fetched_and_pinned_in_a_thread(
    taken: int | None, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(from_files(samples, workers=2).epoch(0))
    threads: list[str] = []

    def pin(tensor: Tensor) -> Tensor:
        threads.append(threading.current_thread().name)
        return tensor.clone()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    parts = from_files(samples, workers=2).epoch(0)
    found = list(islice(parts, taken))
    parts.close()
    assert len(found) == (len(expected) if taken is None else taken)
    assert all(map(same, found, expected))
    assert {name.rpartition("_")[0] for name in threads} == ({"verydeep-pin"} if found else set())
    assert not [t for t in threading.enumerate() if t.name.startswith("verydeep-pin")]
