"""Loaded models of the service, and their answers for decoded images."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.pipeline.rescaled import TestPicture, TestPictures
from verydeep.errors import ModelError
from verydeep.evaluation.metrics import likeliest
from verydeep.evaluation.protocol import Scales, TestProtocol
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.identity import model_key
from verydeep.models.loading import load_any_classifier
from verydeep.models.prediction import Prediction
from verydeep.serve.answers import (
    ClassBox,
    ClassName,
    ImageAnswer,
    ModelInfo,
    NamedModel,
    RankedClass,
    ServedModelInfo,
)
from verydeep.serve.decoding import Decoded, DecodePlan, decode_for
from verydeep.system.option_names import option
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.localization.localizer import Localizer
    from verydeep.localization.protocol import BoxProtocol
    from verydeep.models.loading import AnyClassifier

MOST_BOXES = 20
"""Maximum number of classes whose boxes are computed."""


@dataclass(frozen=True, slots=True)
class Views:
    """What a net sees of an image.

    Attributes:
        scales: Test scales Q; None takes those of the model.
        flip: Whether to average with the mirror image; None: as the model was tested.
        center: Whether to take only the central crop instead of the whole image.
    """

    scales: Scales = None
    flip: bool | None = None
    center: bool = False


@dataclass
class DecodedPictures(TestPictures):
    """Images that are decoded and rescaled already, at the same scales.

    Attributes:
        pictures: The images.
        scales: Their scales, in pixels.
    """

    pictures: Sequence[Decoded]  # type: ignore[assignment]

    def __iter__(self) -> Generator[TestPicture, None, None]:
        """Yield every image, in order."""
        for index, one in enumerate(self.pictures):
            yield TestPicture(index, self.scales, one.pixels, one.size)


class Boxes(NamedTuple):
    """Box regressors of a model, and how they are applied."""

    nets: tuple[Localizer, ...]
    how: BoxProtocol


@dataclass
class ServedModel:
    """A classifier, with box regressors if there are some.

    Attributes:
        name: Name for clients.
        model: The classifier.
        how: Test protocol of its answers.
        boxes: Box regressors; None without.
        version: Hash of the classifier.
    """

    name: str
    model: AnyClassifier
    how: TestProtocol
    boxes: Boxes | None = None
    version: str = field(init=False)

    def __post_init__(self) -> None:
        self.version = model_key(self.model)

    @property
    def scales(self) -> tuple[int, ...]:
        """Smallest sides that images are rescaled to, in pixels."""
        return self.boxes.how.used_scales if self.boxes else self.how.used_scales

    @property
    def explains(self) -> bool:
        """Whether the model can be explained."""
        # Importing it would bring PyTorch, which an exported file does not need.
        module = sys.modules.get("verydeep.models.classifier")
        return module is not None and isinstance(self.model, module.Classifier)

    @property
    def plan(self) -> DecodePlan:
        """What the model needs of an image."""
        return DecodePlan(self.scales, self.model.interpolation)

    def answer(self, images: Sequence[Decoded], top: int) -> list[ImageAnswer]:
        """Return the answers for images that were decoded by :attr:`plan`.

        Args:
            images: The images.
            top: Maximum number of classes in each ranking.
        """
        tested = DecodedPictures(images, self.scales)
        if self.boxes:
            return self._located(tested, self.boxes, min(top, MOST_BOXES))
        found = self.model.predict_tested(tested, self.how, top=top)
        return [
            ImageAnswer(
                width=one.size[1],
                height=one.size[0],
                ranking=self._ranking(prediction.probabilities, top),
                labels=_listed(prediction.label_names),
                abstained=prediction.abstained,
                reason=prediction.reason,
                class_set=_listed(prediction.class_set_names),
                coverage=self._coverage(prediction),
            )
            for one, prediction in zip(images, found, strict=True)
        ]

    def _ranking(self, likely: NDArray[np.float32] | None, top: int) -> list[RankedClass]:
        assert likely is not None, "decoded images have probabilities"
        labels = likeliest(likely[None], top)[0].tolist()
        return [self._ranked(label, float(likely[label])) for label in labels]

    def _ranked(self, label: int, probability: float) -> RankedClass:
        limits = self.model.label_thresholds
        return RankedClass(
            class_name=self.model.classes[label],
            title=self.model.title(label),
            probability=min(max(probability, 0), 1),
            threshold=None if limits is None else limits[label],
        )

    def answer_about(self, image: Decoded, label: int) -> ImageAnswer:
        """Return the answer of a model with boxes about one class alone, likely or not."""
        assert self.boxes is not None
        (answer,) = self._located(DecodedPictures([image], self.scales), self.boxes, 1, label)
        return answer

    def _located(
        self, tested: DecodedPictures, boxes: Boxes, top: int, label: int | None = None
    ) -> list[ImageAnswer]:
        """Return answers with boxes, as ``verydeep predict --boxes`` gives them."""
        from verydeep.localization.detect import locate

        how = replace(boxes.how, top=min(top, len(self.model.classes)))
        labels = None if label is None else dict.fromkeys(range(len(tested.pictures)), label)
        found = locate([self.model], boxes.nets, tested, how, labels=labels, calibrated=True)
        answers = []
        for index, one in enumerate(tested.pictures):
            given = found[index].given
            guesses = [given] if given else found[index].guesses
            names = self.model.classes
            answers.append(
                ImageAnswer(
                    width=one.size[1],
                    height=one.size[0],
                    ranking=[self._ranked(g.label, float(g.probability or 0)) for g in guesses],
                    boxes=[
                        ClassBox(class_name=names[g.label], box=tuple(g.box))
                        for g in guesses
                        if g.box
                    ],
                )
            )
        return answers

    def titles_of(self, names: Sequence[str]) -> list[str]:
        """Return the display names of classes."""
        return [self.model.title(self.model.classes.index(name)) for name in names]

    def _coverage(self, prediction: Prediction) -> float | None:
        """Return the promised coverage of the set of classes; None without one."""
        sets = self.model.abstention and self.model.abstention.sets
        return sets.coverage if sets and prediction.class_set is not None else None

    def info(self) -> ModelInfo:
        """Return how answers name the model."""
        return ModelInfo(**self._facts())

    def full_info(self) -> ServedModelInfo:
        """Return the model with what may be asked of it."""
        return ServedModelInfo(**self._facts(), **self._abilities())

    def with_classes(self) -> NamedModel:
        """Return the model with all its classes."""
        names = [
            ClassName(class_name=name, title=self.model.title(label))
            for label, name in enumerate(self.model.classes)
        ]
        return NamedModel(**self._facts(), **self._abilities(), class_names=names)

    def _facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "net": self.model.name,
            "version": self.version,
            "classes": len(self.model.classes),
            "calibrated": self.model.calibration is not None,
            **self.model.answered_by,
        }

    def _abilities(self) -> dict[str, Any]:
        return {
            "input_size": self.model.input_size,
            "scales": list(self.scales),
            "boxes": self.boxes is not None,
            "explains": self.explains,
            "multi_label": self.model.multi_label,
        }

    def warm(self) -> None:
        """Answer for an image of the usual shape, so that the first client does not wait."""
        side = max(self.scales)
        picture = Image.new("RGB", (round(side * 4 / 3), side), "grey")
        data = _png(picture)
        decoded = decode_for(data, self.plan)
        assert isinstance(decoded, Decoded)
        self.answer([decoded], 1)
        if self.explains:
            for library in ("matplotlib", "captum.attr"):  # take seconds
                with contextlib.suppress(ImportError):
                    importlib.import_module(library)


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def load_models(
    models: Mapping[str, str],
    *,
    boxes: Sequence[str] = (),
    views: Views | None = None,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> list[ServedModel]:
    """Load models, choose their engines and warm them.

    Args:
        models: Models by the names that clients use.
        boxes: Box regressors; they belong to all models, which must know their classes.
        views: What the nets see of an image.
        compute: Device, precision and engine.
        progress: Told of trials of engines.

    Raises:
        InputError: A model cannot be used.
    """
    views, compute, progress = views or Views(), compute or Compute(), progress or Progress()
    loaded = [_load(*one, boxes, views, compute, progress) for one in models.items()]
    for one in loaded:
        _hold(one)
        _prepare(one, progress)
        one.warm()
    return loaded


def _load(
    name: str,
    place: str,
    boxes: Sequence[str],
    views: Views,
    compute: Compute,
    progress: Progress,
) -> ServedModel:
    model = load_any_classifier(place, compute, multi_label=None)
    model.check_images("the service")
    if not model.classes:
        raise ModelError(f"{place}: convolutions without classes; the service names images")
    if views.center and not boxes:
        how = TestProtocol("center", views.scales, views.flip).for_model(model)
        for scale in how.used_scales:
            model.check_scale(scale)
    else:
        how = model.test_protocol(views.scales, views.flip)
    if not boxes:
        model.check_abstention(how, None, progress)
    return ServedModel(name, model, how, _boxes(model, boxes, views, compute))


def _boxes(
    model: AnyClassifier, places: Sequence[str], views: Views, compute: Compute
) -> Boxes | None:
    if not places:
        return None
    from verydeep.localization.detect import check_nets
    from verydeep.localization.localizer import load_localizer
    from verydeep.localization.protocol import BoxProtocol
    from verydeep.models.classifier import Classifier

    if not isinstance(model, Classifier):
        raise ModelError(f"{option('boxes')} needs model or run folders, not other files")
    if model.multi_label:
        raise ModelError(
            f"{option('boxes')}: the boxes are of the one class of an image, and {model.name} is a "
            "multi-label classifier; serve it without"
        )
    if views.center:
        raise ModelError(f"{option('boxes')} looks at whole images: leave out {option('center')}")
    nets = tuple(load_localizer(place, compute) for place in places)
    how = BoxProtocol("dense", views.scales, views.flip).for_nets([model], nets, len(model.classes))
    check_nets([model], nets, how)
    return Boxes(nets, how)


def _hold(served: ServedModel) -> None:
    """Keep the weights in memory, whatever happens to the files while the server runs."""
    if not served.explains:
        return  # an exported file, which is read whole
    from verydeep.models.folder import hold_weights

    for net in (served.model, *(served.boxes.nets if served.boxes else ())):
        hold_weights(net.net)  # type: ignore[arg-type, union-attr]


def _prepare(served: ServedModel, progress: Progress) -> None:
    """Choose the engines, as for a long job; small nets stay with the one that is there.

    A compiled net is left out, unless it is named: it would be compiled again for images of other
    shapes while clients wait.
    """
    if not served.explains:
        return  # an exported file or another net, which have one engine
    from verydeep.models.engines.choice import WORTH_COMPILING, eager_seconds

    how = served.boxes.how.as_test if served.boxes else served.how
    for net in (served.model, *(served.boxes.nets if served.boxes else ())):
        pixels: float = pixels_to_see([how], IMAGES_TO_COME, net.input_size)
        seconds = eager_seconds(net, pixels)  # type: ignore[arg-type]
        net.prepare(
            pixels * min(1.0, 0.9 * WORTH_COMPILING / max(seconds, 1e-9)),
            progress,
            shapes_vary=shapes_vary([how]),
        )


IMAGES_TO_COME = 1000
"""Assumed number of images, for the choice of the engine."""


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
