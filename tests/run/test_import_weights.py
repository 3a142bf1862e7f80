"""Import of weights as people do it: report, model folder, refusals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import run_program, strict_json, write_class_folders
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

import verydeep
from verydeep.errors import InputError, ModelError
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32", 0)


def save(path: Path, classes: int = 2, layers: int = 3) -> Path:
    """Save net A at an eighth of its width, as torchvision does, with a head of some layers."""
    torch.manual_seed(0)
    plan = [step if step == "M" else step // 8 for step in cfgs["A"]]  # type: ignore[operator]
    units = [64 * 4, *[16] * (layers - 1), classes]
    head = [nn.Linear(*pair) for pair in pairwise(units)]
    net = nn.Sequential()
    net.features, net.classifier = make_layers(plan), nn.Sequential(*head)
    torch.save(net.state_dict(), path)
    return path


def test_the_model_folder_says_where_it_is_from(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth")
    result = verydeep.import_weights(path, tmp_path / "model", classes=["cat", "dog"], compute=CPU)
    assert result.model.classes == ("cat", "dog")
    again = verydeep.load(tmp_path / "model", CPU)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(again.predict_proba([image]), result.model.predict_proba([image]))
    assert again.source is not None
    assert again.source["file"] == "w.pth"
    assert again.source["facts"]["channels"]["value"] == "rgb"
    assert "w.pth" in (tmp_path / "model" / "README.md").read_text("utf-8")


def test_said_facts_change_the_scores(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth")
    rgb, bgr = (
        verydeep.import_weights(path, channels=order, mean=(99, 99, 99), std=(1, 1, 1), compute=CPU)
        for order in ("rgb", "bgr")
    )
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    swapped = np.ascontiguousarray(image[:, :, ::-1])
    one, other = (r.model.predict_proba([i]) for r, i in ((rgb, image), (bgr, swapped)))
    assert np.allclose(one, other, atol=1e-6)
    assert rgb.model.preprocessing.mean == (99, 99, 99)


@pytest.mark.parametrize(
    "wrong",
    [{"channels": "grb"}, {"mean": (1, 2)}, {"std": (0, 1, 1)}, {"classes": ["a", "b", "c"]}],
)
def test_facts_that_make_no_sense_are_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        verydeep.import_weights(save(tmp_path / "w.pth"), **wrong)  # type: ignore[arg-type]


def test_a_head_of_another_kind_is_named_and_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", layers=4)
    said = "\n".join(verydeep.import_weights(path, tmp_path / "model").lines())
    assert "conv5_2: copied from features.18" in said
    assert "classifier.3 (2x16): left out" in said
    data = write_class_folders(tmp_path / "data", 3, names=["red", "blue"])
    found = verydeep.features(tmp_path / "model", data, compute=CPU)
    assert found.about.layer == "pool5"
    with pytest.raises(ModelError, match="transfer"):
        verydeep.load(tmp_path / "model", CPU).predict(data)


def test_a_head_without_valid_numbers_is_left_out(tmp_path: Path) -> None:
    # So are torchvision's convolutions "for features" published: with a head of NaN.
    path = save(tmp_path / "vgg.pth")
    values = torch.load(path)
    values["classifier.1.weight"][1, 2] = torch.nan
    torch.save(values, path)
    said = "\n".join(verydeep.import_weights(path, tmp_path / "model").lines())
    assert "classifier.1 (16x16): left out, the head holds numbers that are NaN or infinite" in said
    assert verydeep.load(tmp_path / "model", CPU).net.num_classes == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_convolution_without_valid_numbers_is_refused(value: float, tmp_path: Path) -> None:
    path = save(tmp_path / "vgg.pth")
    values = torch.load(path)
    values["features.0.bias"][:2] = value
    torch.save(values, path)
    with pytest.raises(ModelError, match=r"features\.0: 2 numbers NaN or infinite"):
        verydeep.import_weights(path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_trained_model_is_not_written_over(tmp_path: Path) -> None:
    path, out = save(tmp_path / "w.pth"), tmp_path / "model"
    result = verydeep.import_weights(path, out)
    verydeep.import_weights(path, out)  # over an import of before
    result.model.source = None
    result.model.save(out)
    with pytest.raises(ModelError, match="trained"):
        verydeep.import_weights(path, out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(InputError, match="other files"):
        verydeep.import_weights(path, tmp_path / "other")


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "w.pth")
    # A mark at the beginning, as editors of Windows write it, and a name with a line separator.
    (tmp_path / "names.txt").write_text("cat\r\ndog\u2028x\r\n", "utf-8-sig", newline="")
    Image.new("RGB", (80, 70), (200, 30, 40)).save(tmp_path / "a.png")
    words = ["import", str(path), "--out", str(tmp_path / "m"), "--device", "cpu", "--json"]
    names = ["--classes", str(tmp_path / "names.txt")]
    assert run_program([*words, *names]) == 0
    value = strict_json(capsys.readouterr().out)
    assert (value["net"], value["classes"], value["left_out"]) == ("A", 2, [])
    assert value["copied"]["fc8"] == "classifier.2"
    assert verydeep.load(tmp_path / "m").classes == ("cat", "dog\u2028x")
    assert run_program(["predict", str(path), str(tmp_path / "a.png"), "--device", "cpu"]) == 0


def test_three_numbers_are_three_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", str(save(tmp_path / "w.pth")), "--out", str(tmp_path / "m")]
    for option, number, rule in (
        ("--mean", "256", "0 to 255"),
        ("--std", "10001", "0.000001 to 10,000"),
        ("--std", "0", "0.000001 to 10,000"),
    ):
        assert run_program([*words, option, f"1,2,{number}"]) == 2
        assert f"must be three numbers (red, green, blue) from {rule}" in capsys.readouterr().err
    assert run_program([*words, "--mean", "1,2"]) == 2
    assert "--mean" in capsys.readouterr().err
