"""Drawn views: outlines and points match the views of the net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from verydeep import Classifier
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.walkthrough import Explanation, explain
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.visualization.plots.style import BLUE, ORANGE, save_figure
from verydeep.visualization.plots.views import draw_views


@pytest.fixture(scope="module")
def net() -> Classifier:
    return Classifier(
        net=vgg("A", 3, input_size=32, width=0.03, hidden=16).eval(),
        classes=("a", "b", "c"),
        preprocessing=Preprocessing((120.0, 110.0, 100.0)),
        train_scale=(32, 40),
        test_scales=(36,),
    )


def explained(net: Classifier, name: str, *scales: int, size: tuple[int, int], **how: Any) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    protocol = TestProtocol(name, scales, **{"flip": True, **{"grid": (2, 3), **how}})
    return explain([net], [protocol], Image.fromarray(pixels))


def outlines(axes: Any) -> list[tuple[float, ...]]:
    """Return the rectangles as top, left, height, width."""
    return [(p.get_y(), p.get_x(), p.get_height(), p.get_width()) for p in axes.patches]


def points(axes: Any) -> set[tuple[float, float]]:
    """Return the points as x, y."""
    return {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines}


def panels(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.axison]


@pytest.mark.parametrize("size", [(40, 60), (70, 40), (32, 32), (32, 400)])
@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_picture_for_every_protocol_and_shape(
    name: str, size: tuple[int, int], net: Classifier, tmp_path: Path
) -> None:
    scales = (32,) if size == (32, 400) else (32, 40)
    figure = draw_views(explained(net, name, *scales, size=size))
    path = save_figure(figure, tmp_path / name / "views.png", dots=40)
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
    kinds = 2 if name == "both" else 1
    assert len(panels(figure)) == kinds * len(scales)


@pytest.mark.parametrize("name", ["center", "crops", "ten-crop", "googlenet"])
def test_every_crop_has_its_outline_and_its_centre(name: str, net: Classifier) -> None:
    explanation = explained(net, name, 36, 48, size=(44, 61))
    figure = draw_views(explanation)
    for axes, stage in zip(panels(figure), explanation.stages, strict=True):
        windows = [(tuple(g.view.window), g.view.side) for g in stage.glances]
        expected = [window for window, _ in dict.fromkeys(windows)]  # mirror images once
        assert outlines(axes) == expected
        assert points(axes) == {(left + w / 2, top + h / 2) for top, left, h, w in expected}
        first, *others = axes.patches
        assert all(first.get_linewidth() > patch.get_linewidth() for patch in others)
        for patch, (_, side) in zip(axes.patches, dict.fromkeys(windows), strict=True):
            assert patch.get_linestyle() == ("--" if side else "-")
            assert to_hex(patch.get_edgecolor()) == (ORANGE if side else BLUE)


def test_a_dense_view_has_a_point_for_every_position_and_the_first_window(net: Classifier) -> None:
    explanation = explained(net, "dense", 96, size=(96, 130))
    (axes,) = panels(draw_views(explanation))
    assert explanation.stages[0].glances[0].map_size == (3, 4)
    assert outlines(axes) == [(0, 0, 32, 32)]
    columns, rows = (16, 48, 80, 112), (16, 48, 80)
    assert points(axes) == {(x, y) for x in columns for y in rows}


def test_panels_show_the_rescaled_picture_and_say_what_they_are(net: Classifier) -> None:
    explanation = explained(net, "both", 36, 48, size=(44, 61))
    figure = draw_views(explanation)
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles == [
        "net 1 (A), dense, Q = 36: 50x36",
        "net 1 (A), dense, Q = 48: 67x48",
        "net 1 (A), grid, Q = 36: 50x36",
        "net 1 (A), grid, Q = 48: 67x48",
    ]
    drawn = [(stage.kind, stage.scale) for stage in explanation.stages]
    assert sorted(drawn) == [("dense", 36), ("dense", 48), ("grid", 36), ("grid", 48)]
    for axes in panels(figure):
        (image,) = axes.images
        height, width = image.get_array().shape[:2]
        assert axes.get_title().endswith(f"{width}x{height}")
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, width), (height, 0))
        assert image.get_extent() == [0, width, height, 0]
        stage = next(s for s in explanation.stages if s.pixels.shape[:2] == (height, width))
        assert np.array_equal(image.get_array(), stage.pixels)


class Blind:
    """Net with constant output."""

    classes = ("a", "b")
    calibration = None
    abstention = None
    familiarity = None
    any_size = slides = True
    interpolation = "bilinear"
    density = "once"
    dimensions = 2
    pixels_at_once = 2**20
    stride = 32

    def __init__(self, name: str, input_size: int) -> None:
        self.name, self.input_size = name, input_size

    def check_scale(self, scale: int) -> None:
        """Accept any scale."""

    def score_map(self, pictures: np.ndarray) -> np.ndarray:
        return np.zeros((len(pictures), 2, 1, 1), np.float32)


def of_two(first: str, second: str) -> Explanation:
    nets = [Blind(first, 32), Blind(second, 40)]
    protocols = [
        TestProtocol("center", (48, 56), flip=True),
        TestProtocol("center", (64,), flip=True),
    ]
    return explain(nets, protocols, Image.new("RGB", (80, 60), (90, 10, 50)))


def test_every_net_has_its_row_also_with_fewer_scales() -> None:
    figure = draw_views(of_two("D", "E"))
    assert [axes.get_title().partition(", Q")[0] for axes in panels(figure)] == [
        *("net 1 (D), center", "net 1 (D), center", "net 2 (E), center"),
    ]
    assert len(figure.axes) == 4


def test_two_nets_of_the_same_name_are_not_mixed_up() -> None:
    figure = draw_views(of_two("D", "D"))
    rows = [axes.get_subplotspec().rowspan.start for axes in panels(figure)]
    assert rows == [0, 0, 1]
