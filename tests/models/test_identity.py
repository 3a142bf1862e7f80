"""The hash of a model changes with its weights, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_nets import random_classifier

import verydeep
from verydeep.models.export import targets
from verydeep.models.export.describe import describe
from verydeep.models.export.targets import Target, write_target
from verydeep.models.identity import model_key


@pytest.mark.parametrize(("target", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_files_that_differ_in_weights_alone_differ(
    target: Target, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime" if target == "onnx" else target)
    monkeypatch.setattr(targets, "BESIDE_FROM", 0)
    model, keys = random_classifier(name="A"), []
    for folder in ("one", "other"):
        if folder == "other":
            with torch.no_grad():
                model.net.features[0].weight.mul_(-1)
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / f"net{suffix}"
        write_target(model, describe(model, dense=True), target, file)
        assert len([*file.parent.glob("net*.data"), *file.parent.glob("net.bin")]) == 1
        keys.append(model_key(verydeep.load(file)))
    assert keys[0] != keys[1]
    other = {"onnx": "net.bin", "openvino": "net.xml.data"}[target]
    (tmp_path / "other" / other).write_text("of another file")
    assert keys[1] == model_key(verydeep.load(tmp_path / "other" / f"net{suffix}"))
