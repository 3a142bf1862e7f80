"""The verb ``weights``: every name with its errors, and one name in full."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import Outcome

from verydeep.cli.completion import weights_beginning
from verydeep.models.weights.published import published


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("TORCH_HOME", "KERAS_HOME", "HF_HOME", "VERYDEEP_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(verydeep: object, *words: str) -> Outcome:
    outcome: Outcome = verydeep("weights", *words)  # type: ignore[operator]
    assert (outcome.code, outcome.err) == (0, "")
    return outcome


def test_every_name_stands_in_the_table_once(verydeep: object) -> None:
    text = run(verydeep).out
    for one in published().values():
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [one.name])
        assert f" {one.net} " in line
        assert f"{one.size_about / 1e6:.0f} MB" in line
        if one.top1_error is None:
            assert line.endswith("MB")
        else:
            top1, top5 = map(float, line.split()[-2:])
            assert top1 == pytest.approx(one.top1_error, abs=0.0051)
            assert top5 == pytest.approx(one.top5_error, abs=0.0051)
    flat = " ".join(text.split())
    for one in published().values():
        assert f"licence: {one.licence}" in flat
        assert one.protocol in flat or not one.classifier
    assert max(map(len, text.splitlines())) <= 100


def test_the_json_has_every_field(verydeep: object) -> None:
    rows = json.loads(run(verydeep, "--json").out)["weights"]
    assert [row["name"] for row in rows] == list(published())
    for row in rows:
        one = published()[row["name"]]
        assert all(
            row[field] == (list(value) if field == "mirrors" else value)
            for field, value in vars(one).items()
        )
        assert row["cached"] is None


def test_one_name_in_full(verydeep: object) -> None:
    text = run(verydeep, "onnx/vgg19-bn").out
    one = published()["onnx/vgg19-bn"]
    for part in (*one.addresses, one.digest, "574,774,380 bytes", "E (vgg19_bn)", "26.17 %"):
        assert str(part) in text
    assert re.search(r"^here +no$", text, re.MULTILINE)
    assert "about 531 MB" in run(verydeep, "timm/vgg11.tv_in1k").out
    assert "none published" in run(verydeep, "keras/vgg16-notop").out
    assert json.loads(run(verydeep, "vgg/16", "--json").out)["family"] == "caffe"


def test_a_file_on_this_machine_is_told(verydeep: object, empty_caches: Path) -> None:
    file = empty_caches / "TORCH_HOME" / "hub" / "checkpoints" / "vgg16-397923af.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    assert str(file) in run(verydeep, "torchvision/vgg16").out
    (line,) = (line for line in run(verydeep).out.splitlines() if line.endswith("yes"))
    assert line.startswith("torchvision/vgg16 ")


def test_a_wrong_name_is_answered_with_the_nearest(verydeep: object) -> None:
    outcome: Outcome = verydeep("weights", "torchvision/vg16")  # type: ignore[operator]
    assert (outcome.code, outcome.out) == (2, "")
    assert "did you mean 'torchvision/vgg16'?" in outcome.err
    assert outcome.err.count("\n") == 1


def test_names_are_completed() -> None:
    assert weights_beginning("vgg/") == ["vgg/16", "vgg/19"]
    assert weights_beginning("KERAS/vgg19") == ["keras/vgg19", "keras/vgg19-notop"]


def test_the_names_are_known_without_torch() -> None:
    code = (
        "import sys; from verydeep.cli.text.weights import weights_as_text as text; "
        "from verydeep.models.weights.published import published; "
        "text(list(published().values())); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
