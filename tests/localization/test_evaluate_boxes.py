"""Tests of boxes on images with rectangles, which stand-in nets see, so that all is known."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import strict_json
from torch import Tensor
from torchvision.ops import box_iou

from verydeep.data.geometry import Box
from verydeep.data.samples import Sample
from verydeep.errors import DataError, PictureError
from verydeep.evaluation.significance import wilson_interval
from verydeep.localization import evaluate as evaluation
from verydeep.localization.baselines import constant_box, fit_baselines
from verydeep.localization.evaluate import evaluate_boxes, training_baselines
from verydeep.localization.head import euclidean
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocalizationResult
from verydeep.localization.validation import check_center
from verydeep.system.group.distributed import Group

CLASSES = ("blue", "green", "red")
DENSE, CENTER = BoxProtocol("dense", (64,), flip=True), BoxProtocol("center", (64,), flip=True)


@dataclass
class Seeing:
    """Sees the brightest rectangle; its colour is the class. As both kinds of net."""

    name: str = "eye"
    classes: tuple[str, ...] = CLASSES
    input_size: int = 64
    pixels_at_once: int = 2**20
    stride: int = 32
    per_class: bool = False
    shrink: float = 1.0
    any_size = slides = True

    def check_scale(self, scale: int) -> None:
        assert scale >= self.input_size

    def score_map(self, shown: np.ndarray) -> np.ndarray:
        pictures = torch.from_numpy(shown)
        h, w = (side // 32 - 1 for side in pictures.shape[2:])
        bright = pictures.float().amax((2, 3)).flip(1)  # blue, green, red
        return (bright / 20)[:, :, None, None].expand(-1, -1, h, w).numpy()

    def outputs(self, pictures: Tensor) -> Tensor:
        count, _, height, width = pictures.shape
        h, w = height // 32 - 1, width // 32 - 1
        groups = len(self.classes) if self.per_class else 1
        boxes = torch.zeros(count, groups, 4, h, w)
        for number, picture in enumerate(pictures):
            seen = picture.amax(0) > 120
            rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
            wide, high = len(columns) * self.shrink, len(rows)
            for row in range(h):
                for column in range(w):
                    cx = (columns[0] + columns[-1] + 1) / 2 - 32 * column
                    cy = (rows[0] + rows[-1] + 1) / 2 - 32 * row
                    box = torch.tensor([cx, cy, wide, high]) / 64
                    boxes[number, :, :, row, column] = box
        return boxes


def draw(path: Path, size: tuple[int, int], box: Box, colour: int) -> Path:
    """Write a dark image of height, width ``size`` with a rectangle of a class's colour."""
    pixels = np.full((*size, 3), 20, np.uint8)
    x0, y0, x1, y1 = map(int, box)
    pixels[y0:y1, x0:x1, 2 - colour] = 250
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Eight images of which six can be counted; their names tell what is wrong with some."""
    wide, tall = (128, 192), (160, 128)
    at = Box(40, 30, 80, 90)
    elsewhere = Box(90, 100, 110, 120)
    (tmp_path / "broken.png").write_bytes(b"no image")

    def sample(name: str, label: int, *boxes: Box, seen: int | None = None) -> Sample:
        size = tall if label == 2 else wide
        path = draw(tmp_path / f"{name}.png", size, at, label if seen is None else seen)
        return Sample(path, label, boxes[0] if boxes else None, boxes[1:])

    return [
        sample("right", 0, at),
        sample("also right", 2, at),
        sample("no box", 1),
        sample("wrong class", 1, at, seen=0),
        sample("wrong place", 0, elsewhere),
        Sample(tmp_path / "broken.png", 1, at),
        sample("second box", 2, elsewhere, at),
        sample("both wrong", 2, elsewhere, seen=1),
    ]


def test_every_picture_counts_once_and_in_the_right_way(
    samples: list[Sample], tmp_path: Path
) -> None:
    result = evaluate_boxes([Seeing()], [Seeing()], samples, DENSE, root=tmp_path, split="test")
    assert (result.images, result.unreadable, result.without_box) == (6, ("broken.png",), 1)
    # All three classes are guessed, so that only places can be wrong; of the first guess both.
    assert result.localization_error == pytest.approx(100 * 2 / 6)
    assert result.top1_localization_error == pytest.approx(100 * 3 / 6)
    assert result.true_class_error == pytest.approx(100 * 2 / 6)
    assert result.top1_error == pytest.approx(100 * 2 / 6)
    assert result.top5_error == 0
    assert result.localization_interval == wilson_interval(2, 6)
    assert result.top1_localization_interval == wilson_interval(3, 6)
    assert result.mean_iou == pytest.approx(4 / 6, abs=0.03)
    assert (result.protocol, result.scales, result.split) == ("dense", (64,), "test")
    names = [answer.name for answer in result.answers]
    assert names == [
        f"{name}.png"
        for name in (
            *("right", "also right", "wrong class"),
            *("wrong place", "second box", "both wrong"),
        )
    ]


def test_with_one_guess_the_class_must_be_right_too(samples: list[Sample]) -> None:
    one = BoxProtocol("dense", (64,), top=1, flip=True)
    result = evaluate_boxes([Seeing()], [Seeing()], samples, one)
    assert result.localization_error == result.top1_localization_error == pytest.approx(50)
    assert result.top5_error == result.top1_error == pytest.approx(100 / 3)


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize(
    "protocol", [DENSE, CENTER, BoxProtocol("dense", (64, 128, 97), flip=True)]
)
def test_boxes_are_found_where_they_are(
    samples: list[Sample], protocol: BoxProtocol, per_class: bool
) -> None:
    right = [samples[0], samples[1], samples[3]]
    result = evaluate_boxes([Seeing()], [Seeing(per_class=per_class)], right, protocol)
    assert result.true_class_error == 0
    assert result.mean_iou > 0.9


def test_the_centre_asks_for_the_true_class_and_needs_no_classifier(
    samples: list[Sample],
) -> None:
    result = evaluate_boxes([], [Seeing()], samples, BoxProtocol("center", (97, 64), flip=True))
    assert result.localization_error == result.true_class_error == pytest.approx(100 * 2 / 6)
    assert result.localization_interval == wilson_interval(2, 6)
    assert result.top1_error is result.top5_error is result.top1_localization_error is None
    assert result.top1_localization_interval is None
    assert (result.scales, result.flip) == ((64,), False)


def test_validation_counts_the_loss_on_the_central_crop_too(tmp_path: Path) -> None:
    """Nothing is rescaled, so the net is wrong by a known part of the width alone."""
    boxes = [Box(30, 10, 70, 40), Box(20, 0, 60, 64), Box(16, 8, 80, 24)]
    pictures = [draw(tmp_path / f"{n}.png", (64, 96), box, 0) for n, box in enumerate(boxes)]
    samples = [Sample(path, 0, box) for path, box in zip(pictures, boxes, strict=True)]
    (tmp_path / "broken.png").write_bytes(b"no image")
    samples.insert(1, Sample(tmp_path / "broken.png", 0, boxes[0]))
    net = Seeing(shrink=0.75)
    figures, faults = check_center(net, samples, 64, euclidean, workers=0)
    assert figures.loss == pytest.approx(np.mean([(w / 4 / 64) ** 2 for w in (40, 40, 64)]))
    assert figures.mean_iou == pytest.approx(0.75)
    assert [*faults] == [1]
    result = evaluate_boxes([], [net], samples, CENTER, workers=0)
    assert (figures.mean_iou, figures.localization_error) == (
        result.mean_iou,
        result.localization_error,
    )


def test_a_box_is_right_above_a_half_and_not_at_it(tmp_path: Path) -> None:
    """Half as wide is an overlap of a half; a little more is more."""
    path = draw(tmp_path / "x.png", (64, 64), Box(8, 16, 40, 48), 0)
    sample = Sample(path, 0, Box(8, 16, 40, 48))
    for shrink, error in ((0.5, 100), (0.51, 0)):
        result = evaluate_boxes([], [Seeing(shrink=shrink)], [sample], CENTER)
        assert result.mean_iou == pytest.approx(shrink, abs=1e-6)
        assert result.localization_error == error
        dense = evaluate_boxes([Seeing()], [Seeing(shrink=shrink)], [sample], DENSE)
        assert dense.localization_error == dense.true_class_error == error


def test_a_net_that_is_wrong_is_outvoted_where_boxes_are_joined_before_merging(
    samples: list[Sample],
) -> None:
    nets = [Seeing(), Seeing(), Seeing(shrink=0.2)]
    right = samples[:1]
    alone = evaluate_boxes([Seeing()], nets[2:], right, DENSE)
    joined = evaluate_boxes([Seeing()], nets, right, DENSE)
    assert (alone.localization_error, joined.localization_error) == (100, 0)
    guess = joined.answers[0].located.guesses[0]
    assert guess.label == 0
    assert guess.probability == pytest.approx(1, abs=1e-3)
    positions = 2 * 2  # 64x96 pixels are 1x2 positions, and as many mirrored
    assert guess.score == pytest.approx(2 * positions, rel=1e-3)
    assert joined.nets == ("eye",) * 3


# ---- what knows nothing ----


def test_baselines_are_what_simple_boxes_are_worth(samples: list[Sample]) -> None:
    mean = torch.tensor([0.3, 0.5, 0.2, 0.5], dtype=torch.float64)
    result = evaluate_boxes([], [Seeing()], samples, CENTER, fitted={"mean_box": mean})
    overlaps: dict[str, list[float]] = {"mean_box": [], "whole_picture": [], "central_square": []}
    for sample in samples:
        if not sample.boxes or sample.path.name == "broken.png":
            continue
        with Image.open(sample.path) as picture:
            width, height = picture.size
        side = math.sqrt(0.5) * min(width, height)
        simple = {
            "mean_box": (0.2 * width, 0.25 * height, 0.4 * width, 0.75 * height),
            "whole_picture": (0, 0, width, height),
            "central_square": (
                *((width - side) / 2, (height - side) / 2),
                *((width + side) / 2, (height + side) / 2),
            ),
        }
        true = torch.tensor(sample.boxes, dtype=torch.float64)
        for name, box in simple.items():
            matrix = box_iou(torch.tensor([box], dtype=torch.float64), true)
            overlaps[name].append(matrix.max().item())
    assert set(result.baselines) == set(overlaps)
    for name, found in overlaps.items():
        wrong = sum(overlap <= 0.5 for overlap in found)
        assert result.baselines[name]["error"] == pytest.approx(100 * wrong / 6)
        assert result.baselines[name]["mean_iou"] == pytest.approx(sum(found) / 6)
    best = min(overlaps, key=lambda name: result.baselines[name]["error"])
    net = [answer.overlap > 0.5 for answer in result.answers]
    other = [overlap > 0.5 for overlap in overlaps[best]]
    only_net = sum(a and not b for a, b in zip(net, other, strict=True))
    only_other = sum(b and not a for a, b in zip(net, other, strict=True))
    differing = only_net + only_other
    # Of all ways in which so many coins can fall, those at least as far from half and half.
    as_far = [
        math.comb(differing, heads)
        for heads in range(differing + 1)
        if abs(2 * heads - differing) >= abs(only_net - only_other)
    ]
    assert result.comparison == {
        "baseline": best,
        "only_net_right": only_net,
        "only_baseline_right": only_other,
        "p_value": pytest.approx(sum(as_far) / 2**differing),
        "learned": False,
    }
    assert overlaps["mean_box"][0] > 0.5  # else the errors above would all be alike


def test_without_a_training_set_there_is_no_mean_box(samples: list[Sample]) -> None:
    result = evaluate_boxes([], [Seeing()], samples, CENTER)
    assert set(result.baselines) == {"whole_picture", "central_square"}


def test_the_mean_box_of_a_training_set_is_relative_to_upright_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    turned = Image.new("RGB", (100, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: upright it is 50 wide and 100 high
    turned.save(tmp_path / "b.jpg", exif=exif)
    (tmp_path / "broken.png").write_bytes(b"")
    boxed = [
        Sample(tmp_path / "a.png", 0, Box(10, 10, 30, 20)),
        Sample(tmp_path / "b.jpg", 0, Box(10, 10, 30, 20), (Box(0, 0, 50, 100),)),
        Sample(tmp_path / "broken.png", 0, Box(0, 0, 1, 1)),
        Sample(tmp_path / "a.png", 0),
    ]
    mean = training_baselines(boxed)["mean_box"]
    assert mean is not None
    expected = np.mean([(0.2, 0.3, 0.2, 0.2), (0.4, 0.15, 0.4, 0.1)], 0)
    assert mean.tolist() == pytest.approx(expected)
    assert training_baselines(boxed[2:]) == {}
    monkeypatch.setattr(evaluation, "ENOUGH", 2)  # of three images, the first and the third
    third = training_baselines(
        [boxed[0], boxed[1], Sample(tmp_path / "a.png", 0, Box(0, 0, 100, 50))]
    )["mean_box"]
    assert third is not None
    assert third.tolist() == pytest.approx(np.mean([(0.2, 0.3, 0.2, 0.2), (0.5, 0.5, 1, 1)], 0))
    assert training_baselines([]) == {}


def test_the_size_of_a_picture_that_is_none(tmp_path: Path) -> None:
    from verydeep.data.images.decode import upright_size

    (tmp_path / "x.png").write_bytes(b"PNG")
    with pytest.raises(PictureError, match=r"x\.png: not an image"):
        upright_size(tmp_path / "x.png")
    with pytest.raises(PictureError, match=r"y\.png"):
        upright_size(tmp_path / "y.png")


# ---- results ----


def test_a_result_is_plain_values(samples: list[Sample]) -> None:
    mean = torch.tensor([0.5, 0.5, 0.2, 0.5], dtype=torch.float64)
    plain = evaluate_boxes(
        [Seeing()], [Seeing()], samples, DENSE, fitted={"mean_box": mean}
    ).to_dict()
    assert strict_json(json.dumps(plain)) == plain
    assert set(plain) >= {
        *("top1_error", "top5_error", "images", "unreadable", "protocol", "scales", "seconds"),
        *("localization_error", "mean_iou", "top1_localization_error", "baselines"),
    }
    assert "answers" not in plain
    assert plain["merging"] == {"threshold": DENSE.merging.threshold, "most": 1000}


def test_pictures_that_tell_nothing_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(DataError, match="none of the 1 images to test on has a box"):
        evaluate_boxes([], [Seeing()], samples[2:3], CENTER)
    with pytest.raises(DataError, match=r"can be read:\n.*broken\.png"):
        evaluate_boxes([], [Seeing()], samples[5:6], CENTER)


def test_processes_share_the_pictures_and_all_know_the_whole(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = samples * 3
    whole = evaluate_boxes([Seeing()], [Seeing()], many, DENSE)
    told: list[list[dict]] = [[], []]  # what was found, then what is unreadable, of each process
    asked: list[int] = []

    class Meeting(Group):
        def gather(self, value: object) -> list:  # type: ignore[override]
            asked.append(len(asked))
            told[asked[-1]].append(value)
            return [*told[asked[-1]]]

    results: list[LocalizationResult] = []
    for rank in range(2):
        asked.clear()

        class Joined:
            rank_now = rank

            def __enter__(self) -> Group:
                return Meeting(self.rank_now, 2)

            def __exit__(self, *_: object) -> None:
                pass

        monkeypatch.setattr(evaluation, "joined", Joined)
        results.append(evaluate_boxes([Seeing()], [Seeing()], many, DENSE))
    rows = [set(found) | set(faults) for found, faults in zip(*told, strict=True)]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(21))
    assert results[1].answers == whole.answers
    assert results[1].unreadable == whole.unreadable


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_the_constant_box_meets_as_many_as_any_on_a_grid(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(30, 4, generator=generator, dtype=torch.float64)
    boxes = torch.tensor([0.3, 0.3, 0.2, 0.2]) + boxes * torch.tensor([0.4, 0.4, 0.5, 0.5])

    def met(candidates: Tensor) -> Tensor:
        own, true = (torch.cat([c[:, :2] - c[:, 2:] / 2, c[:, :2] + c[:, 2:] / 2], 1)
                     for c in (candidates, boxes))  # fmt: skip
        return (box_iou(own, true) > 0.5).sum(1)

    places = torch.arange(1, 16, dtype=torch.float64) / 16
    best = met(torch.cartesian_prod(*[places] * 4)).max()
    found = fit_baselines(boxes)
    assert met(found["constant_box"][None]) >= best > met(found["mean_box"][None])


def test_of_equal_boxes_each_is_the_constant_one() -> None:
    box = torch.tensor([[0.25, 0.5, 0.125, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(constant_box(box.repeat(1000, 1)), box[0])
