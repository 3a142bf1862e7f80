"""COCO's own tools read what is written, and count as is counted here."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tiny import plant, strict_json
from torch import Tensor
from torchvision.ops import box_iou

from verydeep.data.geometry import Box
from verydeep.data.read import read_dataset
from verydeep.localization.box_geometry import iou_matrix
from verydeep.localization.coco_export import Numbers, coco_results, coco_truth
from verydeep.localization.detect import Guess, Located
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocatedSample, make_localization_result

CLASSES = tuple("abcdefg")
BOX = Box(0, 0, 9, 9)


def random_box(generator: np.random.Generator, height: float, width: float) -> Box:
    (x0, x1), (y0, y1) = (np.sort(generator.uniform(0, side, 2)) for side in (width, height))
    return Box(float(x0), float(y0), float(x1), float(y1))


def near(box: Box, generator: np.random.Generator) -> Box:
    x0, y0, x1, y1 = (float(x) for x in np.array(box) + generator.normal(0, 6, 4))
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def random_answers(count: int, most_boxes: int) -> list[LocatedSample]:
    """Make images on which about half of the boxes are found."""
    generator = np.random.default_rng(0)
    answers = []
    for number in range(count):
        height, width = generator.integers(60, 120, 2).tolist()
        label = int(generator.integers(len(CLASSES)))
        boxes = [random_box(generator, height, width) for _ in range(1 + number % most_boxes)]
        likely = np.sort(generator.dirichlet(np.ones(5)))[::-1]
        guesses = tuple(
            Guess(int(k), float(p), near(boxes[0], generator) if p > 0.02 else None, 1.0)
            for k, p in zip(generator.permutation(len(CLASSES)), likely, strict=False)
        )
        located = Located((height, width), guesses, Guess(label, None, boxes[-1], 1.0))
        answers.append(LocatedSample(f"{number}.jpg", label, tuple(boxes), located))
    return answers


def recalls(answers: list[LocatedSample], folder: Path) -> list[float]:
    """Return the share of the true boxes of every class that COCO's evaluation finds at 0.5."""
    (folder / "truth.json").write_text(json.dumps(coco_truth(answers, CLASSES)))
    found = coco_results([answer.located for answer in answers], len(CLASSES))
    (folder / "results.json").write_text(json.dumps(found))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["recall"][0, :, 0, -1].tolist()


@pytest.mark.parametrize("most_boxes", [1, 4])
def test_as_many_are_found_as_cocos_evaluation_finds(most_boxes: int, tmp_path: Path) -> None:
    """A guess is one box: of several true ones it finds one, and the others count as missed."""
    answers = random_answers(400, most_boxes)
    right = [any(map(answer.is_right, answer.located.guesses)) for answer in answers]
    expected = [
        sum(r for r, answer in zip(right, answers, strict=True) if answer.label == label)
        / sum(len(answer.boxes) for answer in answers if answer.label == label)
        for label in range(len(CLASSES))
    ]
    assert max(len(answer.boxes) for answer in answers) == most_boxes
    assert 0.2 < np.mean(right) < 0.8
    assert recalls(answers, tmp_path) == pytest.approx(expected)
    result = make_localization_result(
        answers,
        BoxProtocol("dense", (64,), flip=True),
        fitted={},
        unreadable=(),
        without_box=0,
        split="",
        models=("x",),
        nets=("x",),
        seconds=0.0,
    )
    assert result.localization_error == pytest.approx(100 - 100 * np.mean(right))


def test_the_truth_is_read_again_by_the_layout(tmp_path: Path) -> None:
    answers = random_answers(60, most_boxes=3)
    plant(tmp_path, *[answer.name for answer in answers])
    (tmp_path / "set.json").write_text(json.dumps(coco_truth(answers, CLASSES)))
    dataset = read_dataset(tmp_path / "set.json", draw=False)
    read = {sample.path.name: sample for sample in dataset.split("all")}
    assert len(read) == len(answers)
    for answer in answers:
        sample = read[answer.name]
        assert dataset.classes[sample.label] == CLASSES[answer.label]
        ours, theirs = (np.array(sorted(boxes)) for boxes in (answer.boxes, sample.boxes))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)


def test_sizes_and_numbers_are_those_of_the_pictures() -> None:
    located = Located((30, 40), (Guess(1, 0.75, Box(1, 2, 5, 10), 3.0), Guess(0, 0.25, None, 0.0)))
    sample = LocatedSample("x/y.jpg", 1, (Box(0, 2, 4, 10), Box(5, 5, 6, 7)), located)
    truth = coco_truth([sample], ["a", "b"])
    assert truth["images"] == [{"id": 1, "file_name": "x/y.jpg", "height": 30, "width": 40}]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in truth["annotations"]] == [
        (1, 1, 2),
        (2, 1, 2),
    ]
    assert [a["bbox"] for a in truth["annotations"]] == [[0, 2, 4, 8], [5, 5, 1, 2]]
    assert [a["area"] for a in truth["annotations"]] == [32, 2]
    assert truth["categories"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    found = coco_results([located], 2)
    assert found == [{"image_id": 1, "category_id": 2, "bbox": [1, 2, 4, 8], "score": 0.75}]
    assert strict_json(json.dumps(truth)) == truth


def test_without_a_classifier_the_box_that_was_asked_for_is_written() -> None:
    located = Located((30, 40), (), Guess(2, None, Box(1, 2, 5, 10), 1.0))
    (found,) = coco_results([located], 3)
    assert found == {"image_id": 1, "category_id": 3, "bbox": [1, 2, 4, 8], "score": 1.0}
    assert coco_results([Located((30, 40), ())], 3) == []


def test_numbers_that_are_given_take_the_place_of_those_from_one() -> None:
    """A class that the user's file lacks is nothing that its tools could count."""
    located = Located((30, 40), (Guess(1, 0.75, Box(1, 2, 5, 10), 3.0), Guess(0, 0.25, BOX, 0.0)))
    samples = [LocatedSample(f"{n}.jpg", 1, (Box(0, 2, 4, 10),), located) for n in range(2)]
    numbers = Numbers([70, 7], {1: 90})
    truth = coco_truth(samples, ["a", "b"], numbers)
    assert [image["id"] for image in truth["images"]] == [70, 7]
    assert [(a["image_id"], a["category_id"]) for a in truth["annotations"]] == [(70, 90), (7, 90)]
    assert truth["categories"] == [{"id": 90, "name": "b"}]
    found = coco_results([located, located], 2, numbers)
    assert [(one["image_id"], one["category_id"]) for one in found] == [(70, 90), (7, 90)]


# ---- overlaps ----


def overlaps_of_coco(a: Tensor, b: Tensor) -> np.ndarray:
    sides = [torch.cat([c[:, :2], c[:, 2:] - c[:, :2]], 1).numpy() for c in (a, b)]
    return mask.iou(*sides, [0] * len(b))


def test_overlaps_are_those_of_coco_and_torchvision() -> None:
    generator = np.random.default_rng(1)
    a, b = (
        torch.tensor([random_box(generator, 50, 80) for _ in range(n)], dtype=torch.float64)
        for n in (200, 150)
    )
    ours = iou_matrix(a, b)
    np.testing.assert_allclose(ours, overlaps_of_coco(a, b), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours, box_iou(a, b))


def test_overlaps_of_boxes_that_touch_contain_or_equal_each_other() -> None:
    edge = torch.tensor(
        [
            (0, 0, 10, 10),
            (10, 0, 20, 10),
            (0, 10, 10, 20),
            (10, 10, 20, 20),
            (0, 0, 20, 20),
            (5, 5, 6, 6),
            (0, 0, 1e-6, 1e-6),
            (1e5, 1e5, 1e6, 1e6),
            (-5, -5, 5, 5),
        ],
        dtype=torch.float64,
    )
    ours = iou_matrix(edge, edge)
    np.testing.assert_allclose(ours, overlaps_of_coco(edge, edge), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours, box_iou(edge, edge))
    assert ours.diagonal().tolist() == [1] * len(edge)
