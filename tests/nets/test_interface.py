"""The interface of nets: another net than the paper's can be tested, and nobody knows the six."""

from __future__ import annotations

import ast
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import verydeep
from verydeep.errors import InputError, SizeError
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets import registry
from verydeep.nets.anatomy import Anatomy
from verydeep.nets.dense import classify_densely
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import trace
from verydeep.nets.table import TABLE_1
from verydeep.system.device import choose_machine

SOURCES = Path(verydeep.__file__).parent


class Halving(Net):
    """One convolution, one pool, one linear layer: two pixels a position, 8x8 at the least."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.name, self.num_classes = "halving", num_classes
        self.input_size, self.channels, self.stride = 8, 3, 2
        layers = {"conv": nn.Conv2d(3, 4, 3, padding=1), "relu": nn.ReLU(), "pool": nn.MaxPool2d(2)}
        self.features = nn.Sequential(OrderedDict(layers))
        self.classifier = nn.Sequential(OrderedDict(fc6=nn.Linear(4 * 16, num_classes)))

    def score_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        self.check_pictures(x)
        return classify_densely(self.classifier, self.features(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.score_map(x).mean((2, 3))

    def activation_map(self, x: Tensor, layer: str, *, pixels: int | None = None) -> Tensor:
        return self.features(x)

    def activations(self, layer: str) -> int:
        return 4

    @property
    def feature_layers(self) -> tuple[str, ...]:
        return ("pool",)

    def anatomy(self) -> Anatomy:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        net=Halving(3).eval(),
        classes=("a", "b", "c"),
        preprocessing=Preprocessing((100.0, 100.0, 100.0), 60.0),
        train_scale=(8, 8),
        test_scales=(8, 12),
        machine=choose_machine("cpu", "fp32"),
    )


def test_another_net_predicts_and_is_evaluated(model: Classifier) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (6, 12, 16, 3), np.uint8))
    found = model.predict_proba(images)
    expected = torch.zeros(6, 3, dtype=torch.float64)
    for scale in (8, 12):
        for row, image in enumerate(images):
            x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
            size = (scale, round(16 * scale / 12))
            if scale == 8:
                pil = __import__("PIL.Image").Image.fromarray(image)
                x = torch.from_numpy(np.array(pil.resize(size[::-1], 2))).permute(2, 0, 1)[None]
            x = (x.float() - 100) / 60
            views = [model.net.score_map(turned).mean((2, 3)) for turned in (x, x.flip(3))]
            expected[row] += torch.cat(views).double().softmax(1).mean(0) / 2
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    result = verydeep.evaluate(model, (images, list("abcabc")), compute=verydeep.Compute(workers=0))
    assert result.images == 6
    assert result.top1_error == pytest.approx(100 * np.mean(found.argmax(1) != [0, 1, 2] * 2))


def test_its_map_is_as_large_as_it_says(model: Classifier) -> None:
    net = model.net
    for height, width in ((8, 8), (9, 13), (20, 30)):
        assert net.score_map(torch.zeros(1, 3, height, width)).shape[2:] == net.map_size(
            height, width
        )
    maps = trace(net, torch.zeros(1, 3, 10, 12), ["pool", "fc6"])
    assert maps["fc6"].shape == (1, 3, *net.map_size(10, 12))
    with pytest.raises(SizeError, match="7x8"):
        net.score_map(torch.zeros(1, 3, 7, 8))


@pytest.mark.parametrize("name", registry.NAMES)
def test_a_net_is_built_again_from_its_settings(name: str) -> None:
    family = registry.family_of(name)
    sizes = {
        "input_size": 64,
        "width": 0.125,
        "hidden": 32,
        "batch_norm": name in ("B", "senet154"),
    }
    if not family.any_size:
        sizes["input_size"] = family.smallest_input
    own = {key: value for key, value in sizes.items() if key in family.settings}
    made = registry.build(name, 5, **own)
    again = registry.build(num_classes=5, **made.settings())
    shapes = {key: value.shape for key, value in made.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes
    assert made.settings() == again.settings()


def test_the_registry_knows_table_1() -> None:
    assert set(registry.SIX) == set(TABLE_1)
    assert set(registry.PAPER_NETS) == {*TABLE_1, "B-5x5"}
    assert set(registry.NAMES) == {*TABLE_1, "B-5x5", "lecun1989", "googlenet", "senet154"}
    with pytest.raises(InputError, match="F"):
        registry.build("F", 3)


# The lecture is about the paper's nets, and recipe auto recommends some of them by name.
MAY_NAME_THEM = ("nets/", "visualization/lecture/", "recipe/auto.py")


def names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def test_nobody_outside_knows_the_builder_or_the_stride_of_the_papers_nets() -> None:
    found = [
        (path.relative_to(SOURCES).as_posix(), name)
        for path in SOURCES.rglob("*.py")
        if not path.relative_to(SOURCES).as_posix().startswith((*MAY_NAME_THEM, "__init__.py"))
        for name in names_in(path)
        if name in ("VGG", "STRIDE")
    ]
    assert found == []
