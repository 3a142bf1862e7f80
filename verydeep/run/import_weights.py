"""Make a model folder from weights of another framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from verydeep.errors import InputError, ModelError
from verydeep.models.classifier import Classifier, imported_classifier
from verydeep.models.file_names import CONFIG
from verydeep.models.folder import read_config
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.named import import_source
from verydeep.models.weights.verify import Comparison, compare_with_source
from verydeep.system.files import expanded
from verydeep.system.option_names import option
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.system.summary import Rows, Summary

RGB = tuple[float, float, float]


@dataclass(frozen=True, repr=False)
class ImportResult(Summary):
    """A model made from weights of another framework.

    Attributes:
        model: The model.
        out: Its folder; None if it was not written.
        imported: Layers, and what was taken for granted.
        compared: Comparison with the source's own runtime, image by image; empty if not asked.
    """

    model: Classifier
    out: Path | None
    imported: Imported
    compared: tuple[Comparison, ...] = ()

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        match = self.imported.match
        yield "net", match.name
        yield "classes", match.num_classes or "none: convolutions only"
        yield "layers left out", len(match.left_out)
        yield "out", self.out
        if self.compared:
            yield "largest difference", max(one.difference for one in self.compared)

    def lines(self) -> list[str]:
        """Return the report, line by line."""
        return [*self.imported.lines(), *(str(one) for one in self.compared)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "out": None if self.out is None else str(self.out),
            **self.imported.to_dict(),
            "source": self.imported.config.source,
            "compared": [one.to_dict() for one in self.compared],
        }


def import_weights(
    source: str | Path,
    out: str | Path | None = None,
    *,
    channels: Literal["rgb", "bgr"] | None = None,
    mean: RGB | None = None,
    std: RGB | None = None,
    resize: int | None = None,
    classes: Sequence[str] | None = None,
    verify: Sequence[str | Path] = (),
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> ImportResult:
    """Make a model from weights of torchvision, timm, Keras, Caffe, MatConvNet or ONNX.

    The scores are those of the source: order of channels and deviations become part of the first
    convolution, the mean stays with the model.

    Args:
        source: File of weights, or name of published ones like ``keras/vgg16``, which are
            downloaded once.
        out: Model folder to write; None writes none.
        channels: Order in which the source's net reads colours; None takes what is known.
        mean: Mean red, green, blue that the source subtracts, 0 to 255.
        std: Deviations of red, green, blue that the source divides by, 0 to 255.
        resize: Smallest side of images before the central crop, in pixels.
        classes: Names of the classes in the order of the outputs.
        verify: Images to run through the source's own runtime and to compare.
        compute: Device and precision of the model; a string names the device.
        progress: Progress reporting.

    Raises:
        ModelError: The weights do not exist, are broken, or are no net of the paper.
        MissingExtra: A library to read the file with is not installed.
        InputError: A setting makes no sense, or ``out`` holds something else.
    """
    if out is not None:
        out = _checked_target(expanded(out))
    progress = choose_progress(progress)
    said = {"channels": channels, "mean": mean, "std": std, "resize": resize}
    imported = import_source(source, said, classes=classes, progress=progress)
    model = imported_classifier(imported, compute)
    compared = tuple(compare_with_source(imported, model, verify, progress)) if verify else ()
    if out is not None:
        model.save(out)
    return ImportResult(model, out, imported, compared)


def _checked_target(out: Path) -> Path:
    """Refuse to write over anything but a model of an earlier import."""
    if out.is_file():
        raise InputError(f"{out}: a file; name a folder ({option('out')})")
    if out.is_dir() and any(out.iterdir()):
        if not (out / CONFIG).is_file():
            raise InputError(f"{out}: a folder with other files; name a new one ({option('out')})")
        if read_config(out).source is None:
            raise ModelError(
                f"{out}: a model that was trained; name another folder ({option('out')}), or "
                "remove this one first"
            )
    return out
