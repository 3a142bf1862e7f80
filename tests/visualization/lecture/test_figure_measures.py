"""Test figures against pixel counts of views, simulated intervals and counted boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from verydeep.data.geometry import Window
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.significance import wilson_interval
from verydeep.evaluation.views import Dense
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.confidence_intervals import (
    ERRORS,
    coverage,
    draw_intervals,
    half_width,
    wald_interval,
)
from verydeep.visualization.lecture.effective_receptive_field import (
    NETS,
    SIDE,
    _random,
    centre_fields,
    draw_effective_field,
)
from verydeep.visualization.lecture.figures import chosen
from verydeep.visualization.lecture.iou import draw_overlaps, overlap_of_squares
from verydeep.visualization.lecture.protocol_coverage import draw_shown, share_shown, windows
from verydeep.visualization.lecture.receptive_field import growth

# ---- views ----


@pytest.mark.parametrize("name", ["center", "crops", "ten-crop", "googlenet"])
def test_pixels_are_shown_as_often_as_views_hold_them(name: str) -> None:
    height, width, size = 40, 53, 32
    protocol = TestProtocol(name, (height,), grid=(3, 4), flip=True)
    (kind,) = protocol.kinds
    views = kind(height, width, size)
    counts = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for (top, left, rows, columns), *_ in views:
                inside = top <= row < top + rows and left <= column < left + columns
                counts[row, column] += inside
    shares = share_shown(protocol, height, width, size)
    assert shares == pytest.approx(counts / len(views))


def test_dense_positions_are_those_of_the_score_map() -> None:
    net = VGG("A", 2, input_size=64, width=1 / 64, hidden=64).eval()
    maps = net.score_map(torch.zeros(1, 3, 100, 140))
    seen = [*windows(Dense(), 100, 140, 64)]
    assert len(seen) == maps.shape[2] * maps.shape[3] == 2 * 3
    assert seen[-1] == Window(32, 64, 64, 64)


def test_both_is_the_mean_of_its_halves() -> None:
    halves = [
        share_shown(TestProtocol(name, (256,), flip=True), 256, 341, 224)
        for name in ("dense", "crops")
    ]
    both = share_shown(TestProtocol("both", (256,), flip=True), 256, 341, 224)
    assert both == pytest.approx((halves[0] + halves[1]) / 2)


def test_what_is_said_of_the_borders() -> None:
    (figure,) = chosen(["views"])
    never = {
        name: int(
            (share_shown(TestProtocol(name, (256,), flip=True), 256, 341, 224).max(0) == 0).sum()
        )
        for name in NAMES
    }
    assert never["dense"] == 21
    assert never["ten-crop"] == 42 + 43
    assert never["center"] == 341 - 224
    assert never["crops"] == never["both"] == never["googlenet"] == 0
    assert "last 21 columns" in figure.alt
    assert "42 and 43 columns" in figure.alt


def test_each_protocol_has_a_panel_with_its_windows() -> None:
    panels = [axes for axes in draw_shown().axes if axes.get_label() != "<colorbar>"]
    outlines = [len(axes.patches) for axes in panels]
    assert outlines == [1, 8, 25, 31, 5, 18]  # both: two windows are in dense and crops
    for axes, name in zip(panels, NAMES, strict=True):
        (image,) = axes.images
        shares = share_shown(TestProtocol(name, (256,), flip=True), 256, 341, 224)
        assert np.asarray(image.get_array()) == pytest.approx(100 * shares)


# ---- intervals ----


def test_coverage_is_what_a_simulation_counts() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.binomial(40, 0.08, size=20_000)
    for interval in (wilson_interval, wald_interval):
        ends = np.array([interval(wrong, 40) for wrong in range(41)])[drawn]
        held = 100 * np.mean((ends[:, 0] <= 8) & (ends[:, 1] >= 8))
        (share,) = coverage(interval, 40, [8.0])
        assert share == pytest.approx(held, abs=1)


def test_the_textbooks_interval_is_symmetric_and_fails_for_none_wrong() -> None:
    low, high = wald_interval(20, 80)
    assert (low + high) / 2 == pytest.approx(25)
    assert high - low == pytest.approx(2 * 196 * np.sqrt(0.25 * 0.75 / 80), rel=1e-3)
    assert wald_interval(0, 80) == (0, 0)
    assert coverage(wald_interval, 100, [0.1])[0] < 10
    assert coverage(wilson_interval, 100, [0.1])[0] > 80


def test_half_widths_are_those_of_the_closed_form() -> None:
    z = stats.norm.ppf(0.975)
    for error, count in ((5.0, 500), (15.0, 500), (30.0, 50_000)):
        p = error / 100
        closed = z * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
        assert half_width(error, count) == pytest.approx(100 * closed)


def test_the_words_tell_the_widths_that_are_drawn() -> None:
    (figure,) = chosen(["wilson"])
    left, right = draw_intervals().axes
    told = {500: "1.9, 3.1 and 4.0 points", 50_000: "0.19, 0.31 and 0.40"}
    for count, words in told.items():
        assert words in figure.alt
        places = 1 if count == 500 else 2
        numbers = [f"{half_width(error, count):.{places}f}" for error in ERRORS]
        assert words.startswith(f"{numbers[0]}, {numbers[1]} and {numbers[2]}")
    curves = [line for line in left.lines if len(line.get_xdata()) > 2]
    for line, error in zip(curves, ERRORS, strict=True):
        counts, widths = line.get_data()
        assert widths == pytest.approx([half_width(error, int(count)) for count in counts])
    wilson, wald = (np.asarray(line.get_ydata()) for line in right.lines[:2])
    assert wilson.min() > 80
    assert wald.min() < 20


# ---- boxes ----


def test_overlaps_are_what_counting_cells_says() -> None:
    cells = (torch.arange(-3000, 3000, dtype=torch.float64) + 0.5) / 1000
    for right, down, side in ((0.2, 0.0, 1.0), (0.3, 0.1, 1.5), (0.0, 0.4, 0.5), (0.9, 0.9, 0.6)):
        first = cells.abs() < 0.5
        x, y = (cells - right).abs() < side / 2, (cells - down).abs() < side / 2
        common = (first & x).sum() * (first & y).sum()
        union = first.sum() ** 2 + x.sum() * y.sum() - common
        values = (torch.tensor(each, dtype=torch.float64) for each in (right, down, side))
        assert overlap_of_squares(*values).item() == pytest.approx(
            (common / union).item(), abs=3e-3
        )


def test_the_words_tell_where_the_overlap_is_half() -> None:
    half = torch.tensor(0.5, dtype=torch.float64)
    none, one = torch.zeros_like(half), torch.ones_like(half)
    assert overlap_of_squares(one / 3, none, one).item() == pytest.approx(0.5)
    diagonal = 1 - (2 / 3) ** half
    assert overlap_of_squares(diagonal, diagonal, one).item() == pytest.approx(0.5)
    assert overlap_of_squares(none, none, half.sqrt()).item() == pytest.approx(0.5)
    (figure,) = chosen(["iou"])
    for number in ("0.33", "0.71", "1.41", f"{diagonal.item():.2f}"):
        assert number in figure.alt


def test_dots_stand_where_the_curves_cross_one_half() -> None:
    axes = draw_overlaps().axes[1]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    places = [float(line.get_xdata()[0]) for line in dots]
    assert places == pytest.approx([1 / 3, 1 - (2 / 3) ** 0.5], abs=0.004)


# ---- effective fields ----


def test_gradients_are_those_of_a_plain_pass_through_the_modules() -> None:
    (second,) = (seen for seen in centre_fields("A") if seen.unit.layer == "conv2_1")
    mean = torch.zeros(SIDE, SIDE)
    for seed in range(NETS):
        net, x = _random("A", seed)
        maps = net.features[:4](x)  # conv1_1, its ReLU, pool1, conv2_1
        maps[0, 0, SIDE // 4, SIDE // 4].backward()
        assert x.grad is not None
        gradient = x.grad[0].abs().sum(0)
        mean += gradient / gradient.sum() / NETS
    assert torch.allclose(second.gradient, mean, atol=1e-6)


def test_nothing_matters_beyond_what_can_be_seen() -> None:
    fields = centre_fields("A")
    assert [seen.field.whole.height for seen in fields] == [step.field for step in growth("A")]
    for seen in fields:
        top, left, height, width = seen.field.whole
        assert seen.field.visible == seen.field.whole
        inside = seen.gradient[top : top + height, left : left + width]
        assert float(inside.sum()) == pytest.approx(1, abs=1e-4)
        assert float(seen.gradient.sum() - inside.sum()) == pytest.approx(0, abs=1e-6)


def test_the_words_tell_the_sides_that_are_drawn() -> None:
    (figure,) = chosen(["effective-field"])
    can, does = (line.get_ydata() for line in draw_effective_field().axes[1].lines)
    assert list(can) == [step.field for step in growth("D")]
    assert (np.diff(does) > 0).all()
    assert f"square of {can[-1]} pixels" in figure.alt
    assert f"square of {does[-1]} pixels holds 95 %" in figure.alt
    assert list(does[:4]) == list(can[:4])
    assert f"up to {can[3]} pixels at the fourth" in figure.alt
    assert all(does[4:] < can[4:])
    held = centre_fields("D")[-1].gradient
    middle, reach = 38 + 98, int(does[-1]) // 2
    share = held[middle - reach : middle + reach, middle - reach : middle + reach].sum()
    assert 0.95 <= float(share / held.sum()) < 0.96
