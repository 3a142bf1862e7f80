"""Galleries show the best and the worst; merging drawings show the boxes of each step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.localization.detect import Guess, Located
from verydeep.localization.merge import Merging, merge_steps
from verydeep.localization.result import LocatedSample
from verydeep.visualization.plots.localization import answer_marks, draw_gallery, draw_merging
from verydeep.visualization.plots.style import BLUE, ORANGE, save_figure


def answer(number: int, share: float) -> LocatedSample:
    """Return a result whose box overlaps the true one by a given share."""
    found = Guess(0, 0.9, Box(0, 0, 40 * share, 40) if share else None, 1.0)
    return LocatedSample(
        str(number), number % 2, (Box(0, 0, 40, 40),), Located((50, 60), (), found)
    )


def grey(_: LocatedSample) -> Image.Image:
    return Image.new("RGB", (60, 50), "grey")


def titles(figure: Figure) -> list[list[str]]:
    return [[a.get_title() for a in part.axes if a.get_title()] for part in figure.subfigs]


def test_the_best_and_the_worst_are_shown_in_order() -> None:
    shares = np.random.default_rng(0).permutation(np.linspace(0.04, 1, 25))
    answers = [answer(number, share) for number, share in enumerate(shares)]
    figure = draw_gallery(answers, grey, ("cat", "dog").__getitem__, count=4, columns=3)
    best, worst = titles(figure)
    ranked = sorted(answers, key=lambda one: one.overlap)
    names = ("cat", "dog")
    assert best == [f"{names[a.label]}\nIoU {a.overlap:.2f}" for a in ranked[:-5:-1]]
    assert worst == [f"{names[a.label]}\nIoU {a.overlap:.2f}" for a in ranked[:4]]
    assert "best 4" in figure.subfigs[0].get_suptitle()
    assert "worst 4" in figure.subfigs[1].get_suptitle()


@pytest.mark.parametrize(("many", "expected"), [(1, (1, 0)), (2, (1, 1)), (5, (2, 2)), (9, (4, 4))])
def test_no_picture_is_among_the_best_and_the_worst(
    many: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    answers = [answer(number, (number + 1) / 10) for number in range(many)]
    figure = draw_gallery(answers, grey, str)
    shown = titles(figure)
    assert tuple(map(len, shown)) == expected
    assert len({*shown[0], *shown[1]}) == sum(expected)
    with Image.open(save_figure(figure, tmp_path / "g.png", dots=40)) as image:
        assert image.format == "PNG"


def test_a_picture_without_a_box_says_so_and_long_names_are_cut() -> None:
    figure = draw_gallery([answer(0, 0.0)], grey, lambda _: "x" * 50)
    ((title,), _) = titles(figure)
    assert title == "x" * 25 + "…\nIoU 0.00, no box"


def test_true_boxes_and_the_found_one_are_drawn() -> None:
    first, second = answer_marks(answer(0, 0.5))
    assert (first.box, first.dashed) == (Box(0, 0, 40, 40), True)
    assert (second.box, second.label, second.dashed) == (Box(0, 0, 20, 40), "0.50", False)
    assert len(answer_marks(answer(0, 0.0))) == 1


def rectangles(axes: object) -> list[tuple[tuple[float, ...], str]]:
    return [
        ((*patch.get_xy(), patch.get_width(), patch.get_height()), to_hex(patch.get_edgecolor()))
        for patch in axes.patches  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("classes", [None, 1])
def test_every_step_shows_its_boxes_and_those_that_merge_next(
    classes: int | None, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(12, 2, generator=generator) * 25
    boxes, scores = torch.cat([corner, corner + 30], 1), torch.rand(12, 2, generator=generator)
    steps = list(merge_steps(boxes, scores[:, 0] if classes is None else scores, Merging(0.2)))
    assert len(steps) > 6
    picture = Image.new("RGB", (60, 60))
    figure = draw_merging(picture, steps, panels=5, column=classes)
    panels = [axes for axes in figure.axes if axes.get_title()]
    numbers = [int(axes.get_title().split()[1]) for axes in panels]
    assert len(numbers) == 5
    assert (numbers[0], numbers[-1]) == (0, len(steps) - 1)
    assert numbers == sorted(set(numbers))
    for number, axes in zip(numbers, panels, strict=True):
        step, drawn = steps[number], rectangles(axes)
        x0, y0, x1, y1 = step.boxes.T
        expected = torch.stack([x0, y0, x1 - x0, y1 - y0], 1).tolist()
        np.testing.assert_allclose(sorted(b for b, _ in drawn), sorted(expected), atol=1e-6)
        blue = sorted(box for box, colour in drawn if colour == BLUE)
        orange = [box for box, colour in drawn if colour == ORANGE]
        if step.pair:
            pair = sorted(expected[row] for row in step.pair)
            np.testing.assert_allclose(blue, pair, atol=1e-6)
            assert orange == []
            assert f"next match {step.match:.2f}".replace("-", "−") in axes.get_title()
        else:
            column = step.scores if classes is None else step.scores[:, classes]
            assert blue == []
            assert orange == [pytest.approx(expected[int(column.argmax())])]
            assert axes.get_title().endswith("end")
    save_figure(figure, tmp_path / "m.png", dots=40)


def test_merging_without_boxes_can_be_drawn() -> None:
    steps = list(merge_steps(torch.zeros(0, 4), torch.zeros(0)))
    (axes,) = draw_merging(Image.new("RGB", (60, 60)), steps).axes
    assert axes.get_title() == "after 0 merges: 0 boxes, end"
    assert not axes.patches


def test_photographs_do_not_fill_the_memory() -> None:
    photograph = Image.new("RGB", (4000, 3000))
    gallery = draw_gallery([answer(0, 0.5)], lambda _: photograph, str)
    boxes = torch.tensor([[0.0, 0, 4000, 3000]])
    merging = draw_merging(photograph, list(merge_steps(boxes, torch.ones(1))))
    shown = [image for figure in (gallery.subfigs[0], merging) for image in figure.axes[0].images]
    assert [image.get_array().shape for image in shown] == [(525, 700, 3)] * 2
    assert shown[1].get_extent() == [0, 4000, 3000, 0]
