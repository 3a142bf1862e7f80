"""Files run by the libraries that they come from, against the nets made of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from narrow_nets import (
    CLASSES,
    SIZE,
    caffe_net,
    onnx_net,
    save_image,
    save_state,
    torchvision_net,
)
from onnx_files import Graph
from safetensors.torch import save_file
from scores import narrow, shake
from torch import nn

from verydeep.errors import MissingExtra, ModelError
from verydeep.models.classifier import imported_classifier
from verydeep.models.weights.named import import_source
from verydeep.models.weights.runtimes import opencv_runtime, torch_state
from verydeep.models.weights.verify import compare_with_source
from verydeep.run.import_weights import ImportResult, import_weights
from verydeep.system.progress import Progress


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [save_image(tmp_path / f"{seed}.png", seed) for seed in (1, 2)]


def compared(path: Path, pair: list[Path], **said: Any) -> ImportResult:
    """Import a file and expect its own library to agree."""
    result = import_weights(path, verify=pair, resize=SIZE, **said)
    assert [one.image for one in result.compared] == list(map(str, pair))
    assert all(one.difference <= 1e-5 for one in result.compared), result.lines()
    if result.imported.match.head:
        assert all(one.same_class for one in result.compared)
    return result


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", ["A", "D"])
def test_torchvision(tmp_path: Path, pair: list[Path], name: str, norm: bool) -> None:
    compared(save_state(torchvision_net(name, norm=norm), tmp_path / "net.pth"), pair)


def test_torchvision_without_head(tmp_path: Path, pair: list[Path]) -> None:
    net = nn.Sequential()
    net.add_module("features", torchvision_net().features)
    assert not compared(save_state(net, tmp_path / "net.pth"), pair).imported.match.head


@pytest.mark.parametrize("kind", ["whole", "last"])
def test_torchvision_with_a_head_of_ones_own(tmp_path: Path, pair: list[Path], kind: str) -> None:
    net: Any = torchvision_net()
    one = nn.Linear(32 * 4, CLASSES)
    net.classifier = one if kind == "whole" else nn.Sequential(nn.Dropout(), one)
    assert len(compared(save_state(net, tmp_path / "net.pth"), pair).imported.match.head) == 1


def test_wrapped_checkpoint(tmp_path: Path, pair: list[Path]) -> None:
    state = {f"module.{key}": value for key, value in torchvision_net().state_dict().items()}
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save({"ema": other, "epoch": 3, "state_dict": state}, tmp_path / "net.pth")
    compared(tmp_path / "net.pth", pair)


def test_names_of_ones_own(tmp_path: Path, pair: list[Path]) -> None:
    state = torchvision_net().state_dict()
    torch.save({key.replace("features", "body"): state[key] for key in state}, tmp_path / "a")
    with pytest.raises(ModelError, match="names its layers otherwise than torchvision and timm"):
        compared(tmp_path / "a", pair)


@pytest.mark.parametrize("norm", [False, True])
def test_timm(tmp_path: Path, pair: list[Path], norm: bool) -> None:
    vgg = pytest.importorskip("timm.models.vgg", reason="timm is not installed")
    with torch.device("meta"):
        net = vgg.VGG(narrow("B"), norm_layer=nn.BatchNorm2d if norm else None)
    net.pre_logits, net.head = vgg.ConvMlp(32, 20, 2), vgg.ClassifierHead(20, CLASSES)
    net = net.to_empty(device="cpu")
    shake(net)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    result = compared(tmp_path / "net.safetensors", pair)
    assert result.imported.family == "timm"


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_onnx(tmp_path: Path, pair: list[Path], last: bool, norm: bool) -> None:
    compared(onnx_net(torchvision_net(norm=norm), last=last).save(tmp_path), pair)


def test_onnx_for_one_image(tmp_path: Path, pair: list[Path]) -> None:
    graph = onnx_net(torchvision_net(), graph=Graph((1, 3, SIZE, SIZE)))
    compared(graph.add("Softmax").save(tmp_path), pair)


@pytest.mark.parametrize("reverse", [False, True])
def test_onnx_with_preprocessing(tmp_path: Path, pair: list[Path], reverse: bool) -> None:
    graph = Graph(("N", 3, SIZE, SIZE))
    if reverse:
        graph.add("Gather", np.array([2, 1, 0]), axis=1)
    for kind, values in (("Sub", [100.0, 110, 120]), ("Div", [50.0, 60, 70])):
        graph.add(kind, np.array(values, np.float32).reshape(3, 1, 1))
    path = onnx_net(torchvision_net(), graph=graph).save(tmp_path)
    found = compared(path, pair).imported.facts
    assert found["mean"].value == pytest.approx((120, 110, 100) if reverse else (100, 110, 120))
    assert found["channels"].value == ("bgr" if reverse else "rgb")


def test_onnx_without_head(tmp_path: Path, pair: list[Path]) -> None:
    """The graph has a head that has no place in the paper's net: the last maps are compared."""
    net = torchvision_net(hidden=20)
    del net.classifier[6]
    result = compared(onnx_net(net, last=True).save(tmp_path), pair)
    assert not result.imported.match.head


@pytest.mark.parametrize("generation", ["new", "2014"])
def test_caffe(tmp_path: Path, pair: list[Path], generation: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(torchvision_net("D"), generation).data())
    compared(path, pair)


def test_oldest_caffe(tmp_path: Path, pair: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV does not find the weights in files from before 2014."""
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(torchvision_net(), "oldest").data())
    with pytest.raises(ModelError, match="OpenCV cannot run this file"):
        compared(path, pair)
    assert not capfd.readouterr().err


def test_caffe_with_norms(tmp_path: Path, pair: list[Path]) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(torchvision_net(norm=True)).data())
    assert compared(path, pair).imported.match.batch_norm


def test_caffe_without_head(tmp_path: Path, pair: list[Path]) -> None:
    net = torchvision_net()
    del net.classifier[6]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(net).data())
    assert not compared(path, pair).imported.match.head


def test_opencv_without_a_reader_of_caffe(
    tmp_path: Path, pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(torchvision_net()).data())
    monkeypatch.delattr("cv2.dnn.readNetFromCaffe")
    with pytest.raises(ModelError, match="pip install 'opencv-python-headless<5'"):
        compared(path, pair)


def test_names_in_a_prototxt() -> None:
    assert opencv_runtime._quoted('a "b\\\n/é') == "a \\042b\\134\\012/\\303\\251"


def test_wrong_weights_are_seen(tmp_path: Path, pair: list[Path]) -> None:
    imported = import_source(save_state(torchvision_net(), tmp_path / "net.pth"), {"resize": SIZE})
    model = imported_classifier(imported)
    with torch.no_grad():
        next(model.net.parameters()).mul_(1.01)
    assert all(
        one.difference > 1e-5 for one in compare_with_source(imported, model, pair, Progress())
    )


def test_wrong_facts_are_not_seen(tmp_path: Path, pair: list[Path]) -> None:
    """Both are given what the facts say: the comparison proves the weights alone."""
    path = save_state(torchvision_net(), tmp_path / "net.pth")
    compared(path, pair, channels="bgr", std=(1.0, 2.0, 3.0))


def test_missing_library(tmp_path: Path, pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = onnx_net(torchvision_net()).save(tmp_path)
    with pytest.raises(MissingExtra, match=r"ONNX Runtime.*pip install 'verydeep\[verify\]'"):
        compared(path, pair)


def test_a_fault_of_the_library_is_one_message(
    tmp_path: Path, pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(torch_state, "answers", fail)
    path = save_state(torchvision_net(), tmp_path / "net.pth")
    with pytest.raises(ModelError) as caught:
        compared(path, pair)
    assert str(caught.value) == (
        f"{path}: torchvision cannot run this file (RuntimeError: first), so nothing was compared"
    )
