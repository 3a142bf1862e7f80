"""Signs of a mistake in the import of weights, looked for when a test's error is high.

N images, K classes, M variants of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.images.decode import upright_size
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.samples import Samples
from verydeep.errors import PictureError, plural
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.significance import mcnemar
from verydeep.evaluation.views import Center
from verydeep.models.classifier import Classifier
from verydeep.run.testing.class_order import reordered_wrong
from verydeep.run.testing.preparations import (
    Preparation,
    Reprepared,
    other_preparations,
    taken_for_granted,
)
from verydeep.system.option_names import in_program, option, placeholder
from verydeep.system.progress import Progress

MOST_IMAGES = 200
FIRST_IMAGES = 40
"""Images to try all variants on, and those to choose the promising ones by."""

TOLERANCE = 2.0
"""Points by which an error may exceed the published one: protocols differ by that much."""

HIGH = 20.0
"""Error in percent that is looked into where none is published."""

LEAST_GAIN = 5.0
"""Points by which a variant must err less."""

MOST_P = 0.01
"""Probability of seeing such a difference by chance, shared among all variants tried."""

PER_CHANGE = 0.02
"""Share of the images that a further change must correct to be preferred."""


@dataclass(frozen=True)
class Symptom:
    """A sign of a mistake in an import.

    Attributes:
        mistake: The likely mistake.
        error: Top-1 error in percent on the images looked at; None if nothing was tried.
        error_without: Error with the mistake undone; None if nothing was tried.
        images: Number of images looked at.
        remedy: What to do.
    """

    mistake: str
    error: float | None
    error_without: float | None
    images: int
    remedy: str

    def __str__(self) -> str:
        tried = ""
        if self.error is not None and self.error_without is not None:
            tried = (
                f" (on {plural(self.images, 'image')} the error falls from {self.error:.1f} to "
                f"{self.error_without:.1f} % without this mistake)"
            )
        return f"the error is high, perhaps by a mistake of the import: {self.mistake}{tried}; " + (
            self.remedy
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def find_symptoms(
    model: object, samples: Samples, result: EvaluationResult, progress: Progress
) -> tuple[Symptom, ...]:
    """Look for a mistake in the import of a model that errs more than expected, and log it.

    An error is expected if it is at most two points above the published one or, where none is
    published, at most 20 %. At most 200 images are looked at again, by their central crops.

    Args:
        model: The model; those that were not imported are ignored.
        samples: Images of the test; their labels index the model's classes.
        result: Result of the test.
        progress: Receives the warning.
    """
    if not isinstance(model, Classifier) or not _is_high(model, result):
        return ()
    given = taken_for_granted(model.source or {})
    if given is None:
        return ()
    chosen = samples.take(_spread(len(samples), MOST_IMAGES))
    tried = (_wrong_pixels(model, given, chosen, progress), _wrong_order(result))
    explained = [one for one in tried if one]
    found = min(explained, key=_left, default=None) or _squashed(model, chosen)
    if found is None:
        return ()
    progress.log(str(found))
    return (found,)


def _left(symptom: Symptom) -> float:
    return 100.0 if symptom.error_without is None else symptom.error_without


def _is_high(model: Classifier, result: EvaluationResult) -> bool:
    published = _published(model)
    return result.top1_error > (HIGH if published is None else published + TOLERANCE)


def _published(model: Classifier) -> float | None:
    said = (model.source or {}).get("published")
    error = said.get("top1_error") if isinstance(said, Mapping) else None
    return float(error) if isinstance(error, int | float) else None


def _spread(count: int, most: int) -> list[int]:
    """Return numbers of images: one of each of equal parts, in order, the same every time.

    Within a part it is drawn, since equal distances may meet few classes where these alternate.
    """
    taken = min(count, most)
    bounds = [number * count // max(1, taken) for number in range(taken + 1)]
    random = np.random.default_rng(0)
    return [int(random.integers(low, high)) for low, high in pairwise(bounds)]


def _wrong_pixels(
    model: Classifier, given: Preparation, samples: Samples, progress: Progress
) -> Symptom | None:
    """Try other preparations of pixels."""
    others = other_preparations(given)
    first = samples.take(_spread(len(samples), FIRST_IMAGES))
    with progress.task("looking for a mistake of the import", len(first) + len(samples)) as task:
        seen, labels = _posteriors(model, given, others, first)
        if not len(labels):
            return None
        task.update(len(first))
        promising = _promising(others, _quality(seen, labels))
        seen, labels = _posteriors(model, given, [given, *promising], samples)
    wrong = seen.argmax(2) != labels
    better = [
        (one, mask)
        for one, mask in zip(promising, wrong[1:], strict=True)
        if _errs_less(wrong[0], mask, tried=len(others))
    ]
    if not better:
        return None
    cost = PER_CHANGE * len(labels)
    best, mask = min(better, key=lambda pair: int(pair[1].sum()) + cost * pair[0].changes)
    return Symptom(
        mistake=f"these weights seem to read pixels {best.words}",
        error=_percent(wrong[0]),
        error_without=_percent(mask),
        images=len(labels),
        remedy=f"import them again with {_options(given, best)}",
    )


def _posteriors(
    model: Classifier, given: Preparation, others: Sequence[Preparation], samples: Samples
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return posteriors (M, N, K) of central crops, and the labels (N,) of the readable images."""
    nets = [Reprepared(model, given, one) for one in others]
    scale = model.test_scales[0]
    mixtures = [{ViewGroup(net, scale, Center(False)): 1.0} for net in range(len(nets))]
    pictures = TestPictures(samples.paths, (scale,), workers=0, dimensions=model.dimensions)
    seen = mix_posteriors(nets, len(model.classes), pictures, mixtures)
    good = [number for number in range(len(samples)) if number not in pictures.unreadable]
    return seen[:, good], np.array(samples.labels[good], np.int64)


def _quality(seen: NDArray[np.float32], labels: NDArray[np.int64]) -> list[tuple[int, float]]:
    """Return the number of right answers of each variant, and their probability to break ties."""
    right = (seen.argmax(2) == labels).sum(1)
    likely = seen[:, np.arange(len(labels)), labels].sum(1)
    return list(zip(right.tolist(), likely.tolist(), strict=True))


def _promising(
    others: Sequence[Preparation], quality: Sequence[tuple[int, float]]
) -> list[Preparation]:
    """Return the best preparation for each number of changes."""
    places = sorted(range(len(others)), key=lambda place: quality[place], reverse=True)
    ranked = [others[place] for place in places]
    counts = dict.fromkeys(one.changes for one in others)
    return [next(one for one in ranked if one.changes == count) for count in counts]


def _errs_less(before: NDArray[np.bool_], after: NDArray[np.bool_], tried: int) -> bool:
    gain = _percent(before) - _percent(after)
    return gain >= LEAST_GAIN and mcnemar(before, after).p_value < MOST_P / tried


def _percent(wrong: NDArray[np.bool_]) -> float:
    return 100 * float(wrong.mean())


def _options(given: Preparation, best: Preparation) -> str:
    """Return the options of a better import, as the reader can type them."""
    return (" " if in_program() else ", ").join(_listed(given, best))


def _listed(given: Preparation, best: Preparation) -> Iterator[str]:
    """Yield what differs, and what was given and stays."""
    if best.pixels.bgr != given.pixels.bgr or "channels" in given.said:
        yield option("channels", "bgr" if best.pixels.bgr else "rgb")
    for name in ("mean", "std"):
        values = getattr(best.pixels, name)
        if values != getattr(given.pixels, name) or name in given.said:
            text = ",".join(f"{value:.6g}" for value in values)
            yield option(name, text if in_program() else placeholder(f"({text})"))


def _wrong_order(result: EvaluationResult) -> Symptom | None:
    """Try the order of classes that fits the answers of the test best."""
    masks = reordered_wrong(result.answers)
    if masks is None or not _errs_less(*masks, tried=1):
        return None
    return Symptom(
        mistake="the classes lie in another order than that of the outputs",
        error=_percent(masks[0]),
        error_without=_percent(masks[1]),
        images=len(masks[0]),
        remedy="import them again with the names of the classes in the order of the outputs, "
        f"{option('classes', placeholder('NAMES'))}",
    )


def _squashed(model: Classifier, samples: Samples) -> Symptom | None:
    """Tell images that seem to have been squashed from those of the source's own tests."""
    if _published(model) is None or model.test_scales[0] <= model.input_size:
        return None
    sizes = set(_sizes(samples))
    if len(sizes) != 1 or len(set(next(iter(sizes)))) != 1:
        return None
    side = next(iter(sizes))[0]
    return Symptom(
        mistake=f"all images are {side}x{side}; if they were squashed to squares, a net trained on "
        "images of their own proportions errs more",
        error=None,
        error_without=None,
        images=len(samples),
        remedy="the published error is of images with their own sides, cut after scaling",
    )


def _sizes(samples: Samples) -> Iterator[tuple[int, int]]:
    for sample in samples:
        try:
            yield upright_size(sample.path)
        except PictureError:
            continue
