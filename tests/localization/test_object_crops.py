"""Crops of objects: the box lies where the object's pixels are, and enough of it is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import Box
from verydeep.data.images.decode import to_tensor
from verydeep.data.pipeline.augment import Augmentation, Crop, cut, draw_crop, sample_generator
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.colour_statistics import scan
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.samples import Sample
from verydeep.localization.box_geometry import visible_share
from verydeep.localization.object_crop import ObjectCrop, view_of

SIDE = 48
JITTER = Augmentation(size=SIDE, scale=(56, 112))
FIXED = Augmentation(size=SIDE, scale=(64, 64))
SIZES = ((120, 200), (210, 130), (60, 90), (300, 170))


def paint(height: int, width: int, box: Box) -> Image.Image:
    """Return black with the box in white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = (int(edge) for edge in box)
    pixels[y0:y1, x0:x1] = 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Images of several sizes, each with one white box; labels are their numbers."""
    folder = tmp_path_factory.mktemp("boxes")
    generator = np.random.default_rng(4)
    made = []
    for number in range(12):
        height, width = SIZES[number % len(SIZES)]
        w, h = generator.integers(20, 50, 2)
        x, y = generator.integers(0, width - w), generator.integers(0, height - h)
        box = Box(float(x), float(y), float(x + w), float(y + h))
        path = folder / f"{number}.png"
        paint(height, width, box).save(path)
        made.append(Sample(path, number, box))
    return made


def white(picture: Tensor) -> tuple[float, float, float, float]:
    """Return the corners of what is white on (3, h, w), by the mass of rows and columns."""
    share = picture.float().mean(0) / 255
    rows, columns = share.amax(1), share.amax(0)
    edges = []
    for line in (columns, rows):
        seen = torch.nonzero(line > 0.5).flatten()
        first, last = int(seen[0]), int(seen[-1])
        before = float(line[first - 1]) if first else 0.0
        after = float(line[last + 1]) if last + 1 < len(line) else 0.0
        edges.append((first + 1 - float(line[first]) - before, last + float(line[last]) + after))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def batches(samples: list[Sample], augmentation: Augmentation, **more: Any) -> TrainingBatches:
    given = {"batch": 5, "micro_batch": 3, "seed": 7, "workers": 0} | more
    visible = given.pop("visible", 0.5)
    return TrainingBatches(
        samples, augmentation, drawing=ObjectCrop(augmentation, visible), **given
    )


def of_store(samples: list[Sample], augmentation: Augmentation, **more: Any) -> TrainingBatches:
    low, high = augmentation.scale
    scanned = scan(
        samples, keep_on=torch.device("cpu"), largest_scale=high if low == high else None
    )
    return batches(samples, augmentation, store=scanned.store, **more)


@pytest.mark.parametrize("augmentation", [JITTER, FIXED], ids=["jitter", "fixed"])
@pytest.mark.parametrize("make", [batches, of_store], ids=["files", "store"])
def test_the_box_is_where_the_pixels_of_the_object_are(
    make: Any, augmentation: Augmentation, samples: list[Sample]
) -> None:
    """At a fixed scale the store keeps shrunk images: boxes are still in original pixels."""
    mirrored = 0
    for epoch in range(3):
        for part in make(samples, augmentation).epoch(epoch):
            assert part.boxes is not None
            assert part.boxes.dtype == torch.float32
            for picture, (x, y, w, h), label in zip(
                part.pictures, part.boxes.tolist(), part.labels.tolist(), strict=True
            ):
                told = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                shown = [min(max(SIDE * edge, 0), SIDE) for edge in told]
                assert white(picture) == pytest.approx(shown, abs=1.2), (epoch, label)
                mirrored += told[0] > 0.5
    assert mirrored


def test_files_and_store_give_the_same_boxes(samples: list[Sample]) -> None:
    for augmentation in (JITTER, FIXED):
        pairs = zip(
            batches(samples, augmentation).epoch(1),
            of_store(samples, augmentation).epoch(1),
            strict=True,
        )
        for one, other in pairs:
            assert torch.equal(one.labels, other.labels)
            assert torch.equal(boxes_of(one), boxes_of(other))


def boxes_of(part: MicroBatch) -> Tensor:
    assert part.boxes is not None
    return part.boxes


def test_grouping_and_processes_change_no_box(samples: list[Sample]) -> None:
    def by_label(**more: Any) -> dict[int, list[float]]:
        return {
            label: box
            for part in batches(samples, JITTER, **more).epoch(2)
            for label, box in zip(part.labels.tolist(), boxes_of(part).tolist(), strict=True)
        }

    assert by_label() == by_label(batch=12, micro_batch=12) == by_label(workers=2)
    assert by_label() != by_label(seed=8)


def test_a_file_that_breaks_takes_its_box_along(samples: list[Sample], tmp_path: Path) -> None:
    broken = [*samples[:3], Sample(tmp_path / "none.png", 3, Box(0, 0, 5, 5))]
    (part,) = batches(broken, JITTER, batch=4, micro_batch=4).epoch(0)
    assert (len(part.labels), len(boxes_of(part)), len(part.unreadable)) == (3, 3, 1)
    (nothing,) = batches(broken[3:], JITTER, batch=4, micro_batch=4).epoch(0)
    assert boxes_of(nothing).shape == (0, 4)


def test_batches_for_classes_have_no_boxes(samples: list[Sample]) -> None:
    plain = TrainingBatches(samples, JITTER, batch=4, micro_batch=4, seed=0, workers=0)
    assert all(part.boxes is None for part in plain.epoch(0))


# ---- crops that lose the object ----


@given(st.data(), st.integers(0, 50), st.sampled_from([0.3, 0.5, 0.9]))
def test_a_crop_shows_enough_or_as_much_as_can_be(
    data: st.DataObject, epoch: int, visible: float
) -> None:
    size = data.draw(st.sampled_from(SIZES))
    box = data.draw(boxes_in(size))
    drawing = ObjectCrop(JITTER, visible)
    crop = drawing.crop(Sample(Path(), 0, box), size, size, sample_generator(0, epoch, 3))
    assert is_inside(crop)
    share = share_of(box, crop, size)
    if share < visible:
        assert share == pytest.approx(best_share(box, crop, size), abs=0.02)


def test_the_first_crop_that_shows_enough_is_taken() -> None:
    """Whatever is drawn again goes on with the numbers of the same image."""
    size, box = (120, 200), Box(0, 0, 30, 30)
    later = 0
    for number in range(200):
        generator = sample_generator(3, 0, number)
        tries = [draw_crop(JITTER, *size, generator) for _ in range(10)]
        enough = [crop for crop in tries if share_of(box, crop, size) >= 0.5]
        found = ObjectCrop(JITTER, 0.5).crop(
            Sample(Path(), 0, box), size, size, sample_generator(3, 0, number)
        )
        if enough:
            assert found == enough[0]
            later += found != tries[0]
        else:
            assert found.flip == tries[-1].flip
            assert found.rescaled == tries[-1].rescaled
            assert (found.window.top, found.window.left) == (0, 0)
    assert later > 20


def test_without_a_rule_crops_are_the_ones_of_the_classifier() -> None:
    size, box = (120, 200), Box(0, 0, 30, 30)
    for number in range(20):
        found = ObjectCrop(JITTER, 0.0).crop(
            Sample(Path(), 0, box), size, size, sample_generator(3, 0, number)
        )
        assert found == draw_crop(JITTER, *size, sample_generator(3, 0, number))


@st.composite
def boxes_in(draw: st.DrawFn, size: tuple[int, int]) -> Box:
    height, width = size
    x0, y0 = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    assume((x1 - x0) * (y1 - y0) >= 16)
    return Box(float(x0), float(y0), float(x1), float(y1))


def is_inside(crop: Crop) -> bool:
    (top, left, height, width), (tall, wide) = crop.window, crop.rescaled
    return 0 <= top <= tall - height and 0 <= left <= wide - width


def share_of(box: Box, crop: Crop, size: tuple[int, int]) -> float:
    return float(visible_share(torch.tensor(box, dtype=torch.float64), view_of(crop, size)))


def best_share(box: Box, crop: Crop, size: tuple[int, int]) -> float:
    """Try every place of the window, one axis after the other."""
    best = 1.0
    for axis, edges in ((0, (box.y0, box.y1)), (1, (box.x0, box.x1))):
        factor = crop.rescaled[axis] / size[axis]
        low, high = (edge * factor for edge in edges)
        seen = (
            max(0.0, min(high, start + SIDE) - max(low, start))
            for start in range(crop.rescaled[axis] - SIDE + 1)
        )
        best *= max(seen) / (high - low)
    return best


def test_a_painted_share_is_the_visible_share() -> None:
    """The rule's measure against the pixels that are seen."""
    size, box = (120, 200), Box(30, 40, 90, 100)
    picture = paint(*size, box)
    for number in range(30):
        crop = draw_crop(FIXED, *size, sample_generator(0, 0, number))
        shown = float(cut(to_tensor(picture), crop)[0].double().sum()) / 255
        whole = (box.x1 - box.x0) * (box.y1 - box.y0)
        scale = crop.rescaled[0] * crop.rescaled[1] / (size[0] * size[1])
        assert share_of(box, crop, size) == pytest.approx(shown / (whole * scale), abs=0.03)
