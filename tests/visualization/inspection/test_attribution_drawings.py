"""Sections about one class: drawings and texts match the computed values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from verydeep.inspection.attribution import grad_cam, guided_backpropagation, occlusion, saliency
from verydeep.inspection.box_provenance import provenance
from verydeep.inspection.heatmap import peak, strongest_ninth
from verydeep.inspection.subject import Subject
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine
from verydeep.visualization.inspection.attributions import (
    grad_cam_section,
    guided_backprop_section,
    occlusion_section,
    saliency_section,
)
from verydeep.visualization.inspection.boxes import boxes_section
from verydeep.visualization.inspection.class_model import class_model_section
from verydeep.visualization.inspection.heatmap import draw_heat
from verydeep.visualization.inspection.section import Section
from verydeep.visualization.plots.style import BLUE, ORANGE

COMMON: dict[str, Any] = {
    "classes": ("cat", "dog", "costs $5 or $6"),
    "preprocessing": Preprocessing((120.0, 110.0, 100.0), 50.0),
    "train_scale": (40, 40),
    "test_scales": (40, 64),
    "machine": choose_machine("cpu", "fp32"),
}


def net(seed: int, outputs: int, bias: float = 0.0) -> VGG:
    torch.manual_seed(seed)
    made = vgg("A", outputs, input_size=32, width=0.125, hidden=64).eval()
    torch.nn.init.constant_(made.classifier.fc8.bias, bias)
    torch.nn.init.normal_(made.classifier.fc8.weight, 0, 0.02 if bias else 1.0)
    return made


def subject(size: tuple[int, int] = (40, 70), label: int = 1) -> Subject:
    model = Classifier(net=net(3, 3), **COMMON)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    likely = model.score_map(pixels[None]).mean((2, 3)).softmax(1)[0]
    return Subject(model, "noise.png", pixels, likely, label)


def localizer() -> Localizer:
    return Localizer(net=net(5, 12, bias=0.5), per_class=True, **COMMON)


def test_every_section_can_be_drawn_and_names_the_class() -> None:
    asked = subject(label=2)
    sections: list[Section] = [
        saliency_section(asked),
        guided_backprop_section(asked),
        grad_cam_section(asked),
        occlusion_section(asked),
        class_model_section(asked, steps=3),
        boxes_section(asked, localizer()),
    ]
    names = [section.name for section in sections]
    assert names == [
        "saliency",
        "guided-backprop",
        "grad-cam",
        "occlusion",
        "class-model",
        "boxes",
    ]
    for section in sections:
        assert section.panels
        assert "costs $5 or $6" in section.lead
        assert section.facts["class"] == "costs $5 or $6"
        for panel in section.panels:
            panel.figure.canvas.draw()
            assert re.fullmatch(r"[a-z0-9-]+", panel.name)
            assert re.search(r"\d", panel.alt)
            assert panel.caption.endswith(".")
            assert panel.figure.get_figwidth() <= 6.8


@pytest.mark.parametrize(
    ("make", "heat"),
    [
        (saliency_section, saliency),
        (guided_backprop_section, lambda asked: guided_backpropagation(asked).abs().amax(0)),
        (grad_cam_section, lambda asked: grad_cam(asked).heat),
        (occlusion_section, lambda asked: occlusion(asked).heat),
    ],
)
def test_alternative_text_and_facts_tell_the_peak_and_the_strongest_part(
    make: Any, heat: Any
) -> None:
    section, values = make(subject()), heat(subject())
    top, (place, share) = peak(values), strongest_ninth(values)
    assert top.value > 0
    assert f"x = {top.x}, y = {top.y} ({top.value:.2g})" in section.panels[0].alt
    assert f"The {place} ninth holds {100 * share:.0f} %" in section.panels[0].alt
    assert section.facts["peak"] == top._asdict()
    assert section.facts["strongest_ninth_share"] == pytest.approx(share)


def drawn(axes: Any) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


@pytest.mark.parametrize("signed", [True, False])
def test_the_map_is_drawn_in_its_colours_and_ringed_at_its_peak(*, signed: bool) -> None:
    heat = torch.zeros(30, 20)
    heat[7, 12], heat[20, 3] = 2.0, -1.0 if signed else 1.0
    pixels = torch.randint(0, 256, (3, 30, 20), dtype=torch.uint8)
    figure = draw_heat(pixels, heat, "unit", signed=signed)
    first, second, third, bar = figure.axes
    np.testing.assert_array_equal(drawn(first), pixels.permute(1, 2, 0))
    colours = drawn(second)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 3
    grey = pixels.permute(1, 2, 0).double().numpy() @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(drawn(third)[0, 0], 3 * [grey[0, 0]])
    assert not np.allclose(drawn(third)[7, 12], 3 * [grey[7, 12]])
    assert bar.get_ylim() == ((-2, 2) if signed else (0, 2))
    assert bar.get_ylabel() == "unit"
    for axes in (second, third):
        (x, y) = axes.lines[0].get_data()
        assert (float(x[0]), float(y[0])) == (12.5, 7.5)


def test_what_is_nowhere_positive_is_said_so() -> None:
    asked = subject()
    torch.nn.init.zeros_(asked.model.net.classifier.fc8.weight)
    section = grad_cam_section(Subject(asked.model, "", asked.pixels, asked.probabilities, 0))
    assert "nowhere positive" in section.panels[0].alt
    section.panels[0].figure.canvas.draw()


def test_the_box_that_is_drawn_is_the_answer() -> None:
    asked = subject((60, 90))
    image = Image.fromarray(asked.pixels.permute(1, 2, 0).numpy())
    found = provenance(
        [asked.model], [localizer()], image, BoxProtocol("dense", (40, 64), flip=True), 1
    )
    section = boxes_section(asked, localizer())
    assert found.box is not None
    assert section.facts["box"] == pytest.approx([*found.box])
    assert section.facts["boxes"] == len(found.origins)
    assert [o["score"] for o in section.facts["origins"]] == [
        found.origins[number].score for number in found.used
    ]
    for axes in section.panels[0].figure.axes:
        # The answer lies below the others, of which the strongest is the last: both are seen.
        answer, *_, strongest = axes.patches
        assert answer.get_edgecolor() == pytest.approx(_rgba(ORANGE))
        assert strongest.get_edgecolor() == pytest.approx(_rgba(BLUE))
        assert answer.get_linewidth() > strongest.get_linewidth() + 1
        corner = (*answer.get_xy(), answer.get_width(), answer.get_height())
        x0, y0, x1, y1 = found.box
        assert corner == pytest.approx((x0, y0, x1 - x0, y1 - y0))
    assert f"{len(found.used)} of {len(found.origins)} boxes" in section.panels[0].alt


def _rgba(colour: str) -> tuple[float, ...]:
    return (*(int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)), 1.0)


def test_the_file_is_drawn_and_not_what_the_box_regressor_was_shown_of_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    section = boxes_section(subject((40, 67)), localizer(), tmp_path / "a.png")
    origins = section.panels[0]
    assert origins.name == "boxes-origins"
    for axes in origins.figure.axes:
        np.testing.assert_array_equal(drawn(axes), pixels)
        assert axes.get_xlim() == (0, 200)


def test_where_nothing_is_merged_that_is_said_and_not_drawn() -> None:
    one = boxes_section(
        subject((40, 40)), localizer(), protocol=BoxProtocol("dense", scales=[40], flip=False)
    )
    assert (one.facts["boxes"], one.facts["merges"]) == (1, 0)
    assert [panel.name for panel in one.panels] == ["boxes-origins", "boxes-pull"]
    assert "only one box: nothing is merged" in one.lead
    assert "is the only box of “dog”; its score is" in one.panels[0].alt
    never = boxes_section(subject(), localizer(), protocol=BoxProtocol("dense", threshold=-2.0))
    assert never.facts["boxes"] > 1
    assert never.facts["merges"] == 0
    assert "No two boxes match well enough" in never.lead
    assert f"is 1 of {never.facts['boxes']} boxes of “dog”; its" in never.panels[0].alt
    several = boxes_section(
        subject(), localizer(), protocol=BoxProtocol("dense", scales=[40, 64], threshold=10.0)
    )
    assert several.facts["merges"] > 0
    assert [panel.name for panel in several.panels][1] == "boxes-merging"
    assert "nothing is merged" not in several.lead


@pytest.mark.parametrize(("most", "power"), [(5e-5, "×10⁻⁵"), (2500.0, "×10³")])
def test_the_power_of_ten_stands_above_the_bar(most: float, power: str) -> None:
    figure = draw_heat(
        torch.zeros(3, 30, 20, dtype=torch.uint8), most * torch.eye(30)[:, :20], "unit"
    )
    figure.canvas.draw()
    bar = figure.axes[-1]
    assert (bar.get_ylabel(), bar.get_title()) == ("unit", power)
    assert bar.yaxis.get_offset_text().get_text() == ""
    values = [float(tick.get_text().replace("−", "-")) for tick in bar.get_yticklabels()]
    assert max(map(abs, values)) < 10


def test_the_box_of_crops_is_drawn_as_well() -> None:
    section = boxes_section(
        subject(), localizer(), protocol=BoxProtocol("crops", grid=(1, 2), flip=False)
    )
    assert "(crops at Q = " in section.lead
    assert section.facts["boxes"] == 2 * len(section.facts["scales"])
    assert all((one["row"], one["column"]) == (0, 0) for one in section.facts["origins"])


def test_where_there_is_no_box_nothing_is_drawn() -> None:
    nowhere = localizer()
    torch.nn.init.zeros_(nowhere.net.classifier.fc8.weight)
    torch.nn.init.constant_(nowhere.net.classifier.fc8.bias, -1.0)
    section = boxes_section(subject(), nowhere)
    assert section.panels == ()
    assert section.facts["box"] is None
    assert "No box overlaps the image" in section.lead
