"""Caffe's GoogLeNet on random weights: its scores by OpenCV, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import Net, field, random
from PIL import Image

from verydeep.errors import ModelError
from verydeep.models.classifier import imported_classifier
from verydeep.models.weights.formats.caffe.reader import read
from verydeep.models.weights.imported import import_file
from verydeep.run.import_weights import import_weights
from verydeep.system.settings import Compute

CLASSES = 12

# Outputs of a module's layers, by Table 1 of Szegedy et al.: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5,
# pool proj.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
MEAN = field(100, b"".join(field(5, value) for value in (104.0, 117.0, 123.0)) + field(3, 224))


class Writer:
    """Writes the net as Caffe saves it: ReLUs in place, splits where a map is read again."""

    def __init__(
        self,
        *,
        alpha: float = 1e-4,
        wired: bool = True,
        order: tuple[str, ...] = ("1x1", "3x3", "5x5", "pool_proj"),
        pad: int = 1,
    ) -> None:
        self.net = Net(wired=wired)
        self.alpha, self.order, self.pad = alpha, order, pad

    def conv(
        self, name: str, inputs: int, outputs: int, side: int, *, stride: int = 1, bottom: str
    ) -> str:
        window = field(1, outputs) + field(3, side // 2) + field(4, side) + field(6, stride)
        weight = random(outputs, inputs, side, side) * np.float32((2 / (inputs * side**2)) ** 0.5)
        blobs = [weight, random(outputs) * np.float32(0.1)]
        self.net.add(name, "Convolution", blobs, field(106, window), bottom=bottom)
        self.net.add(f"relu {name}", "ReLU", bottom=name)
        return name

    def pool(self, name: str, bottom: str, side: int, stride: int, pad: int = 0) -> str:
        average = field(1, 1) if name.startswith("pool5") else b""
        window = average + field(2, side) + field(3, stride) + field(4, pad)
        self.net.add(name, "Pooling", (), field(121, window), bottom=bottom)
        return name

    def lrn(self, name: str, bottom: str) -> str:
        self.net.add(
            name, "LRN", (), field(118, field(1, 5) + field(2, self.alpha) + field(3, 0.75)),
            bottom=bottom,
        )  # fmt: skip
        return name

    def module(self, name: str, inputs: int, before: str) -> tuple[str, int]:
        one, reduce3, three, reduce5, five, projected = MODULES[name]
        at = f"inception_{name}/"
        split = f"{before}_split"
        self.net.add(split, "Split", bottom=before)
        self.conv(f"{at}1x1", inputs, one, 1, bottom=split)
        for side, few, many in ((3, reduce3, three), (5, reduce5, five)):
            reduced = self.conv(f"{at}{side}x{side}_reduce", inputs, few, 1, bottom=split)
            self.conv(f"{at}{side}x{side}", few, many, side, bottom=reduced)
        pooled = self.pool(f"{at}pool", split, 3, 1, self.pad)
        self.conv(f"{at}pool_proj", inputs, projected, 1, bottom=pooled)
        self.net.add(f"{at}output", "Concat", bottom=[f"{at}{part}" for part in self.order])
        return f"{at}output", one + three + five + projected

    def head(self, number: int, before: str, inputs: int) -> None:
        """Write an auxiliary head."""
        pooled = self.pool(f"loss{number}/ave_pool", before, 5, 3)
        self.conv(f"loss{number}/conv", inputs, 128, 1, bottom=pooled)
        self.net.dense(f"loss{number}/fc", random(16, 2048), random(16))

    def data(self) -> bytes:
        self.net.add("data", "Data", (), MEAN, bottom=(), top="data")
        at = self.conv("conv1/7x7_s2", 3, 64, 7, stride=2, bottom="data")
        at = self.lrn("pool1/norm1", self.pool("pool1/3x3_s2", at, 3, 2))
        at = self.conv("conv2/3x3_reduce", 64, 64, 1, bottom=at)
        at = self.conv("conv2/3x3", 64, 192, 3, bottom=at)
        at = self.pool("pool2/3x3_s2", self.lrn("conv2/norm2", at), 3, 2)
        inputs = 192
        for name in MODULES:
            at, inputs = self.module(name, inputs, at)
            if name in ("3b", "4e"):
                at = self.pool(f"pool{name[0]}/3x3_s2", at, 3, 2)
            if name == "4a":
                self.head(1, at, inputs)
        at = self.pool("pool5/7x7_s1", at, 7, 1)
        self.net.add("pool5/drop_7x7_s1", "Dropout", bottom=at)
        self.net.at = at
        weight = random(CLASSES, inputs) * np.float32(0.1)
        self.net.dense("loss3/classifier", weight, random(CLASSES))
        return self.net.data("GoogleNet")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("caffe") / "bvlc_googlenet.caffemodel"
    path.write_bytes(Writer().data())
    return path


def test_the_scores_are_those_of_opencv(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (260, 280, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    exact = Compute("cpu", "fp32", engine="torch")
    result = import_weights(file, verify=[tmp_path / "noise.png"], compute=exact)
    assert result.compared[0].same_class
    assert result.compared[0].difference < 1e-4


def test_the_scores_are_those_of_the_published_layers(file: Path) -> None:
    """A second yardstick: the net written out once more with plain functions of PyTorch."""
    model = imported_classifier(import_file(file), Compute("cpu", "fp32"))
    pixels = torch.randint(0, 256, (1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    x = (pixels.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)).float()
    with torch.no_grad():
        wanted = naive(read(file).layers, x)
    found = model.score_map(pixels.to(torch.uint8))[..., 0, 0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def naive(layers: tuple, x: torch.Tensor) -> torch.Tensor:
    """Return the scores of GoogLeNet, written without modules."""
    from torch.nn import functional as f

    values = {layer.name: (layer.weight, layer.bias) for layer in layers}

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight, bias = values[name]
        return f.conv2d(x, weight, bias, stride, weight.shape[-1] // 2).relu()

    def pool(x: torch.Tensor) -> torch.Tensor:
        # Caffe rounds sizes up: 112 pixels become 56, whose last window sees two of them.
        return f.max_pool2d(f.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)

    def norm(x: torch.Tensor) -> torch.Tensor:
        squares = f.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return x / (1 + 1e-4 / 5 * squares) ** 0.75

    x = norm(pool(conv("conv1/7x7_s2", x, 2)))
    x = pool(norm(conv("conv2/3x3", conv("conv2/3x3_reduce", x))))
    for name in MODULES:
        at = f"inception_{name}/"
        branches = [conv(f"{at}1x1", x)]
        branches += [conv(f"{at}{s}x{s}", conv(f"{at}{s}x{s}_reduce", x)) for s in (3, 5)]
        branches += [conv(f"{at}pool_proj", f.max_pool2d(x, 3, 1, 1))]
        x = torch.cat(branches, 1)
        x = pool(x) if name in ("3b", "4e") else x
    return f.linear(x.mean((2, 3)), *values["loss3/classifier"])


def test_the_report_says_what_is_taken_and_how_the_net_differs(file: Path) -> None:
    imported = import_file(file)
    report = "\n".join(imported.lines())
    assert "net googlenet, 12 classes" in report
    assert "the published net: sizes of pooled maps are rounded up" in report
    assert "inception4d.five.main.conv: copied from inception_4d/5x5" in report
    assert "fc: copied from loss3/classifier" in report
    assert "loss1/fc (16x2,048): left out, an auxiliary head, which is for training" in report
    assert "channels: bgr" in report
    assert "mean: 123, 117, 104 (mean_value of data, in Caffe's order of channels)" in report
    assert (imported.config.net.norm, imported.config.net.input_size) == (None, 224)


def test_a_file_of_weights_alone_is_taken_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(Writer(wired=False).data())
    assert import_file(path).match.name == "googlenet"


@pytest.mark.parametrize(
    ("writer", "message"),
    [
        (lambda: Writer(alpha=5e-4), r"pool1/norm1 normalises by .*alpha=0\.0001.*here it is"),
        (
            lambda: Writer(order=("3x3", "1x1", "5x5", "pool_proj")),
            "inception_3a/output reads inception_3a/1x1 after a ReLU, inception_3a/3x3",
        ),
        (lambda: Writer(pad=0), "inception_3a/pool is a max-pool by"),
    ],
)
def test_another_net_of_the_same_names_is_refused(
    writer: Callable[[], Writer], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(writer().data())
    with pytest.raises(ModelError, match=message):
        read(path)


@pytest.mark.parametrize("name", ["inception_3a/output", "pool4/3x3_s2", "conv2/norm2"])
def test_a_layer_of_another_type_is_refused(file: Path, tmp_path: Path, name: str) -> None:
    data = file.read_bytes()
    at = data.index(field(1, name)) + len(field(1, name))
    kind = next(one for one in ("Concat", "Pooling", "LRN") if data[at:].startswith(field(2, one)))
    other = "Sigmoid"[: len(kind)]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data[:at] + field(2, other) + data[at + len(field(2, kind)) :])
    with pytest.raises(ModelError, match=f"{name} is a layer of type {kind}; here it is {other}"):
        read(path)


def test_a_missing_layer_is_named(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(file.read_bytes().replace(b"inception_4c/1x1", b"inception_4c/1xx"))
    with pytest.raises(ModelError, match="has no layer inception_4c/1x1 of GoogLeNet"):
        read(path)
