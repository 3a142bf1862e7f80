"""Confusion matrix and reliability diagram show the given numbers."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from verydeep.evaluation.calibration import Bin, reliability
from verydeep.visualization.lecture.theme import theme
from verydeep.visualization.plots.confusion import draw_confusion
from verydeep.visualization.plots.reliability import draw_reliability
from verydeep.visualization.plots.style import darken, plain_axes, save_figure

NAN = float("nan")

# ---- confusion ----


def test_every_cell_has_its_share_of_the_true_class_and_its_count() -> None:
    counts = [[6, 2, 0], [0, 1234, 0], [3, 3, 4]]
    figure = draw_confusion(torch.tensor(counts), ["cat", "dog", "owl"])
    axes = figure.axes[0]
    (image,) = axes.images
    shares = [[75, 25, 0], [0, 100, 0], [30, 30, 40]]
    assert np.allclose(image.get_array(), shares)
    assert image.get_clim() == (0, 100)
    found = {text.get_position(): text.get_text() for text in axes.texts}
    assert found == {
        (column, row): f"{counts[row][column]:,}"
        for row in range(3)
        for column in range(3)
        if counts[row][column]
    }
    assert found[1, 1] == "1,234"


def test_rows_are_the_true_classes() -> None:
    axes = draw_confusion(torch.tensor([[0, 1], [0, 0]]), ["cat", "dog"]).axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    low, high = sorted(axes.get_ylim())
    assert axes.get_ylim() == (high, low)  # the first row stands at the top


def test_counts_can_be_read_on_their_cells() -> None:
    axes = draw_confusion(torch.tensor([[9, 1], [4, 6]]), ["cat", "dog"]).axes[0]
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours == {"9": "white", "1": "black", "4": "black", "6": "white"}


def test_a_class_without_pictures_is_an_empty_row() -> None:
    axes = draw_confusion(torch.tensor([[2, 0], [0, 0]]), ["cat", "dog"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[100, 0], [0, 0]]


@pytest.mark.parametrize(
    ("classes", "names", "numbers"),
    [(1, True, True), (25, True, True), (26, True, False), (60, True, False), (61, False, False)],
)
def test_what_could_not_be_read_is_left_out(
    classes: int, names: bool, numbers: bool, tmp_path: Path
) -> None:
    known = [f"class {number}" for number in range(classes)]
    figure = draw_confusion(torch.eye(classes, dtype=torch.long), known)
    axes = figure.axes[0]
    assert ([t.get_text() for t in axes.get_xticklabels()] == known) == names
    assert len(axes.texts) == (classes if numbers else 0)
    assert axes.images[0].get_array().shape == (classes, classes)
    with Image.open(save_figure(figure, tmp_path / "c.png", dots=30)) as image:
        assert image.format == "PNG"


# ---- reliability ----

THREE = (
    Bin(0.0, 0.25, 0, NAN, NAN),
    Bin(0.25, 0.5, 3, 0.4, 2 / 3),
    Bin(0.5, 0.75, 0, NAN, NAN),
    Bin(0.75, 1.0, 8, 0.9, 0.75),
)
AFTER = (
    Bin(0.0, 0.25, 1, 0.2, 0.0),
    Bin(0.25, 0.5, 2, 0.45, 0.5),
    Bin(0.5, 0.75, 8, 0.7, 0.75),
    Bin(0.75, 1.0, 0, NAN, NAN),
)


def curve(figure: Figure, name: str) -> list[tuple[float, float]]:
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == name]
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def test_curves_and_bars_hold_the_ranges() -> None:
    figure = draw_reliability({"before": THREE})
    upper, lower = figure.axes
    assert np.allclose(curve(figure, "before"), [(40, 200 / 3), (90, 75)])
    assert curve(figure, "perfect") == [(0, 0), (100, 100)]
    assert [bar.get_height() for bar in lower.patches] == [0, 3, 0, 8]
    for bar, part in zip(lower.patches, THREE, strict=True):
        middle = bar.get_x() + bar.get_width() / 2
        assert middle == pytest.approx(50 * (part.low + part.high))
        assert 100 * part.low < bar.get_x()
        assert bar.get_x() + bar.get_width() < 100 * part.high
    assert (upper.get_xlim(), upper.get_ylim()) == ((0, 100), (0, 100))
    assert [t.get_text() for t in upper.get_legend().get_texts()] == ["perfect", "before"]


def test_two_curves_stand_beside_each_other() -> None:
    figure = draw_reliability({"before": THREE, "after": AFTER})
    assert np.allclose(curve(figure, "before"), [(40, 200 / 3), (90, 75)])
    assert np.allclose(curve(figure, "after"), [(20, 0), (45, 50), (70, 75)])
    bars = figure.axes[1].patches
    assert [bar.get_height() for bar in bars] == [0, 3, 0, 8, 1, 2, 8, 0]
    assert len({bar.get_facecolor() for bar in bars}) == 2
    beside = sorted(bars, key=lambda bar: bar.get_x())
    for left, right in pairwise(beside):
        assert left.get_x() + left.get_width() <= right.get_x() + 1e-9
    for place, (part, other) in enumerate(zip(THREE, AFTER, strict=True)):
        first, second = beside[2 * place : 2 * place + 2]
        assert (first.get_height(), second.get_height()) == (part.images, other.images)
        assert 100 * part.low < first.get_x()
        assert second.get_x() + second.get_width() < 100 * part.high


def test_colours_of_lines_and_bars_are_the_same() -> None:
    figure = draw_reliability({"before": THREE, "after": AFTER})
    upper, lower = figure.axes
    from matplotlib.colors import to_rgba

    lines = [to_rgba(line.get_color()) for line in upper.lines if line.get_label() != "perfect"]
    assert lines == [lower.patches[0].get_facecolor(), lower.patches[4].get_facecolor()]


def test_what_was_measured_is_what_is_drawn(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    likely = torch.rand(500, 4, generator=generator).mul(6).softmax(1)
    labels = torch.randint(0, 4, (500,), generator=generator)
    figure = draw_reliability({"as measured": reliability(likely, labels)})
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 500
    confidence, right = likely.max(1).values, likely.argmax(1) == labels
    for x, y in curve(figure, "as measured"):
        place = int(np.ceil(x / 100 * 15)) - 1
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        assert x == pytest.approx(100 * confidence[inside].double().mean().item(), rel=1e-5)
        assert y == pytest.approx(100 * right[inside].double().mean().item(), rel=1e-5)
    with Image.open(save_figure(figure, tmp_path / "r.png")) as image:
        assert image.format == "PNG"
        assert image.size == (825, 975)  # 5.5 x 6.5 inches at 150 dots


# ---- what they share ----


def test_a_picture_that_cannot_be_drawn_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Figure):
        def savefig(self, *_: object, **__: object) -> None:
            raise ValueError("no paint")

    path = tmp_path / "x" / "p.png"
    with pytest.raises(ValueError, match="no paint"):
        save_figure(Broken(), path)
    assert [*path.parent.iterdir()] == []


def test_plain_axes_have_neither_top_nor_right() -> None:
    axes = Figure().add_subplot()
    plain_axes(axes)
    shown = {side for side, spine in axes.spines.items() if spine.get_visible()}
    assert shown == {"left", "bottom"}


@pytest.mark.parametrize("themed", [False, True])
def test_a_darkened_figure_has_dark_paper_and_light_letters(themed: bool, tmp_path: Path) -> None:
    with theme() if themed else contextlib.nullcontext():
        figure = Figure(figsize=(2, 1), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(np.zeros((4, 4, 3)))
        axes.set_title("x")
        darken(figure)
        with Image.open(save_figure(figure, tmp_path / "x.png")) as image:
            colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
            assert image.convert("RGB").getpixel((1, 1)) == (0x16,) * 3
    assert max(map(max, colours)) > 0xC0
    assert (0, 0, 0) in colours  # the image itself stays as it was
    assert (255, 255, 255) not in colours


def test_words_of_undecodable_names_are_kept_in_files(tmp_path: Path) -> None:
    figure = Figure(figsize=(1, 1))
    notes = {"Title": "“caf\udce9”", "Description": "a cat"}
    for path in (tmp_path / "x.png", tmp_path / "x.svg"):
        save_figure(figure, path, notes=notes)
    with Image.open(tmp_path / "x.png") as image:
        assert image.info["Title"] == "“caf\\udce9”"
    assert "“caf\\udce9”" in (tmp_path / "x.svg").read_text("utf-8")
