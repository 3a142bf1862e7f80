"""A box regressor as a folder, and what it answers against the net itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from verydeep.errors import ModelError
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.models.loading import read_task
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine
from verydeep.system.settings import Compute

K = 3


def box_regressor(*, per_class: bool) -> Localizer:
    torch.manual_seed(0)
    net = vgg("A", 4 * (K if per_class else 1), input_size=32, width=0.125, hidden=32)
    return Localizer(
        net=net.eval(),
        classes=("a", "b", "c"),
        preprocessing=Preprocessing((120.0, 110.0, 100.0), 50.0),
        train_scale=(32, 40),
        test_scales=(32, 36),
        test_flip=False,
        titles={"a": "first"},
        measured={"localization_error": 1.5, "baselines": {"mean_box": {"error": 60.0}}},
        machine=choose_machine("cpu", "fp32"),
        per_class=per_class,
        baselines={"mean_box": (0.5, 0.1 + 0.2, 1 / 3, 0.25)},
    )


@pytest.mark.parametrize("per_class", [True, False], ids=["PCR", "SCR"])
def test_a_box_regressor_comes_back_bit_for_bit(per_class: bool, tmp_path: Path) -> None:
    saved = box_regressor(per_class=per_class)
    saved.save(tmp_path / "model")
    loaded = load_localizer(tmp_path / "model", compute=Compute(device="cpu", precision="fp32"))
    for key, tensor in saved.net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[key], tensor)
    for field in dataclasses.fields(Localizer):
        if field.name != "net":
            assert getattr(loaded, field.name) == getattr(saved, field.name), field.name
    assert read_task(tmp_path / "model") == "localization"
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert ("PCR" if per_class else "SCR") in card
    assert "| to compare: mean box, error | 60.00 % | |" in card


@pytest.mark.parametrize("per_class", [True, False], ids=["PCR", "SCR"])
def test_what_it_answers_are_the_numbers_of_the_last_layer(per_class: bool) -> None:
    model = box_regressor(per_class=per_class)
    G = K if per_class else 1
    pictures = torch.randint(256, (2, 3, 64, 96), dtype=torch.uint8)
    found = model.outputs(pictures)
    assert found.shape == (2, G, 4, 2, 3)
    x = (pictures.float() - torch.tensor([120.0, 110, 100]).view(3, 1, 1)) / 50
    with torch.no_grad():
        numbers = model.net.score_map(x)
    for group in range(G):
        assert torch.allclose(found[:, group], numbers[:, 4 * group : 4 * group + 4], atol=1e-5)
    crop = model.outputs(pictures[..., :32, :32])
    assert crop.shape == (2, G, 4, 1, 1)


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_in_bf16_boxes_are_not_rounded_to_it(size: tuple[int, int]) -> None:
    """A grid of 1/256 of the crop is some pixels of a photograph."""
    exact = box_regressor(per_class=True)
    torch.nn.init.normal_(exact.net.classifier.fc8.bias, 0.5, 0.1)
    model = exact.on(choose_machine("cpu", "bf16"))
    pictures = torch.randint(256, (4, 3, *size), dtype=torch.uint8)
    found, wanted = model.outputs(pictures), exact.outputs(pictures)
    assert (found != found.bfloat16().float()).float().mean() > 0.9
    assert (found - wanted).abs().max() < 0.05 * wanted.abs().max()
    # The layers before compute in bf16 as before; the last one is that of the net.
    rows = model.activation_map(pictures, "fc7").movedim(1, -1)
    assert torch.equal(rows, rows.bfloat16().float())
    last = model.net.classifier.fc8
    by_hand = (rows.double() @ last.weight.double().T + last.bias.double()).movedim(-1, 1)
    torch.testing.assert_close(found.flatten(1, 2).double(), by_hand, rtol=1e-4, atol=1e-5)


def section(card: str, heading: str) -> list[str]:
    return card.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()


def test_the_card_says_nothing_of_what_was_not_measured(tmp_path: Path) -> None:
    measured = {
        "localization_error": 1.5,
        "top1_error": None,
        "models": [],
        "unreadable": (),
        "flip": False,
        "without_box": 0,
    }
    dataclasses.replace(box_regressor(per_class=False), measured=measured).save(tmp_path)
    card = (tmp_path / "README.md").read_text("utf-8")
    rows = [line for line in section(card, "Measured") if line.startswith("| ")]
    assert rows == [
        "| measure | value | 95 % interval |",
        "| localization error | 1.50 % |  |",
        "| without box | 0 |  |",
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"per_class": None}, "per_class"),
        ({"per_class": False}, "does not fit"),
        ({"classes": ["a", "b"]}, "does not fit"),
        ({"task": "classification"}, "per_class"),
        ({"task": "segmentation"}, "task"),
    ],
)
def test_a_folder_that_does_not_hold_together_is_refused(
    change: dict[str, object], fault: str, tmp_path: Path
) -> None:
    box_regressor(per_class=True).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8")) | change
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match=fault):
        load_localizer(tmp_path)


def test_a_folder_of_an_earlier_version_keeps_no_baselines(tmp_path: Path) -> None:
    box_regressor(per_class=True).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config.pop("baselines")
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    assert load_localizer(tmp_path).baselines == {}
