"""Small models and stand-ins for ONNX Runtime Web."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import torch

from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.conformal import ClassSets
from verydeep.evaluation.abstention.selective import Threshold
from verydeep.evaluation.calibration import Calibration
from verydeep.models.classifier import Classifier
from verydeep.models.export.web.runtime import ABOUT, SCRIPT, WASM
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.initialize import initialize
from verydeep.nets.vgg import vgg
from verydeep.system.settings import Compute

FILES = {
    f"package/dist/{SCRIPT}": b"export const env = {};",
    f"package/dist/{WASM}": b"\0asm" * 100,
    f"package/{ABOUT}": json.dumps({"version": "9.8.7"}).encode(),
}


def narrow(letter: str = "A", classes: int = 4, **more: object) -> Classifier:
    """Return a narrow net whose answers depend on the image."""
    generator = torch.Generator().manual_seed(1)
    net = vgg(letter, num_classes=classes, width=0.1, hidden=64, input_size=32, dropout=0.0)
    initialize(net, generator=generator)
    options = {"train_scale": (32, 40), "test_scales": (36,), **more}
    names = tuple(f"class {label}" for label in range(classes))
    machine = Compute("cpu", "fp32").machine()
    preprocessing = Preprocessing((120.0, 110.0, 100.0), 50.0)
    model = Classifier(net.eval(), names, preprocessing, machine=machine, **options)  # type: ignore[arg-type]
    _spread_scores(model, generator)
    return model


def _spread_scores(model: Classifier, generator: torch.Generator) -> None:
    """Give the scores of random images a mean of zero and a deviation of one for every class."""
    coarse = torch.rand(32, 3, 4, 4, generator=generator) * 255
    images = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")
    with torch.no_grad():
        scores = model.net(model.preprocessing(images.byte()))
        last = model.net.classifier[-1]
        last.weight /= scores.std(0)[:, None]
        last.bias.copy_(-scores.mean(0) / scores.std(0))


def tempered(model: Classifier, temperature: float) -> Classifier:
    model.calibration = Calibration(temperature, "val", "dense", 10, 1.0, 0.9)
    return model


def knowing() -> Classifier:
    """Return a net that has learned to abstain."""
    model, least = narrow(), Threshold(0.45, 5.0, 95.0, 100, 60, 0, 4.9)
    model.abstention = Abstention(
        "val",
        str(model.test_protocol()),
        threshold=least,
        threshold_alone=least,
        sets=ClassSets(0.2, 90.0, 100, 2.0),
    )
    return model


def packed(path: Path, files: dict[str, bytes] = FILES) -> Path:
    """Write a package as npm does."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
