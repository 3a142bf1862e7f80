"""Tests that are made together: their models, views and posteriors on the same images.

N images, K classes, M tests; n images of one process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack, cast
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import relative_name
from verydeep.data.geometry import Rounding
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.samples import Samples
from verydeep.errors import DataError, InputError
from verydeep.evaluation.abstention.familiarity import FeatureDistance
from verydeep.evaluation.abstention.measured import learned_for
from verydeep.evaluation.feature_mixing import FeatureScorer, mix_features
from verydeep.evaluation.posteriors import (
    Activation,
    Mixture,
    Scorer,
    ViewGroup,
    mix_posteriors,
    view_groups,
)
from verydeep.evaluation.protocol import OWN_SCALES, Scaled, TestProtocol
from verydeep.evaluation.result import Calibrated
from verydeep.evaluation.volume_views import IMAGES_ONLY
from verydeep.system.group.distributed import Group, joined
from verydeep.system.option_names import option
from verydeep.system.progress import Progress


class Model(Scorer, Calibrated, Scaled, Interface):
    """A net to test: its scores and its properties."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its K classes."""

    @property
    def any_size(self) -> bool:
        """True if it accepts images larger than a crop."""

    @property
    def slides(self) -> bool:
        """True if its dense answer is a map of scores by position, not a single score."""

    @property
    def stride(self) -> int:
        """Image pixels between neighbouring positions of that map."""

    @property
    def familiarity(self) -> FeatureDistance | None:
        """Distance of its features from those of training images; None without."""

    def check_scale(self, scale: int) -> None:
        """Raise an InputError if the net cannot be tested at a scale."""


@dataclass(frozen=True)
class Test:
    """A test of one net, or of several that are fused.

    Attributes:
        members: Index of each net with its protocol. The protocols differ only in scales
            and mirror images.
    """

    __test__ = False  # not a test for pytest to collect

    members: tuple[tuple[int, TestProtocol], ...]

    @property
    def protocols(self) -> tuple[TestProtocol, ...]:
        """Protocols, in the order of the nets."""
        return tuple(protocol for _, protocol in self.members)

    def mixture(self) -> Mixture:
        """Return the weight of each part: equal for all nets, then for their scales and kinds."""
        weights: dict[ViewGroup, float] = {}
        for net, protocol in self.members:
            parts = view_groups(protocol, net)
            weights |= {part: 1 / len(self.members) / len(parts) for part in parts}
        return weights


def one_test(models: Sequence[Scaled], protocol: TestProtocol | Sequence[TestProtocol]) -> Test:
    """Return the test of all models together.

    Args:
        models: The models.
        protocol: One for all models, or one for each.

    Raises:
        InputError: There are more or fewer protocols than models.
    """
    protocols = [protocol] * len(models) if isinstance(protocol, TestProtocol) else protocol
    if len(protocols) != len(models):
        raise InputError(f"{len(models)} models need as many protocols, got {len(protocols)}")
    resolved = (how.for_model(model) for how, model in zip(protocols, models, strict=True))
    return Test(tuple(enumerate(resolved)))


class Circumstances(TypedDict, total=False):
    """Keyword arguments of every test.

    Attributes:
        split: Name of the split, for the result and the progress; empty by default.
        root: Folder that the names of images are relative to; None for whole paths.
        workers: Decoding processes; None chooses them.
        progress: Progress reporting; None is silent.
    """

    split: str
    root: Path | None
    workers: int | None
    progress: Progress | None


class Measured(NamedTuple):
    """What M tests have found on N readable images.

    Attributes:
        good: Indices of the readable images, N.
        names: Their names.
        unreadable: Names of the other images.
        posteriors: float32 (M, N, K).
        seconds: Time of each test, M.
        distances: Distances of the features from those of training images, (N,); None if no model
            asks for them.
    """

    good: list[int]
    names: tuple[str, ...]
    unreadable: tuple[str, ...]
    posteriors: NDArray[np.float32]
    seconds: tuple[float, ...]
    distances: NDArray[np.float32] | None = None


def measure_tests(
    models: Sequence[Model],
    samples: Samples,
    tests: Sequence[Test],
    activation: Activation,
    **how: Unpack[Circumstances],
) -> Measured:
    """Return the posteriors of several tests on the same images, of all processes.

    Under ``torchrun`` every process takes a share of the images and returns the whole result.

    Args:
        models: Models with the same classes; several are fused by averaging their posteriors.
        samples: Test samples; their labels are indices of the models' classes.
        tests: The tests.
        activation: Makes posteriors of scores.
        **how: See :class:`Circumstances`.

    Raises:
        InputError: A scale is too small for a net, the models' classes differ, or no image can
            be read.
    """
    check_tests(models, tests)
    with joined() as group:
        own = share_of_tests(models, samples, tests, activation, group, how)
        total = group.join_rows(own.posteriors, own.images, len(samples), axis=1)
        far = own.distances
        if far is not None:
            far = group.join_rows(far, own.images, len(samples))
        faults = group.join_values(own.faults, own.images)
        times = group.gather(own.seconds)
    good = [index for index in range(len(samples)) if index not in faults]
    if not good:
        raise none_readable(len(samples), faults)
    root = how.get("root") or Path()
    names = [relative_name(sample.path, root) for sample in samples]
    return Measured(
        good,
        tuple(names[index] for index in good),
        tuple(names[index] for index in sorted(faults)),
        total if len(good) == len(samples) else total[:, good],  # which copies all of it
        tuple(sum(_slowest(times, part) for part in test.mixture()) for test in tests),
        None if far is None else far[good],
    )


def none_readable(images: int, faults: Mapping[int, str]) -> DataError:
    """Return the error that no image to test on can be read, with the first ten reasons."""
    reasons = "".join(f"\n  {fault}" for fault in [*faults.values()][:10])
    return DataError(f"none of the {images} images to test on can be read:{reasons}")


def block_size(images: int) -> int:
    """Return the number of neighbouring images in a block, from the total number alone.

    >>> block_size(64), block_size(500), block_size(50_000)
    (8, 32, 256)
    """
    return min(256, max(8, -(-images // 16)))


class Share(NamedTuple):
    """Results of one process, n images.

    Attributes:
        images: Indices of its images, in the order of the other attributes.
        posteriors: float32 (M, n, K); zero for unreadable images.
        faults: Reasons for unreadable images, by place in ``images``.
        seconds: Time of each part of the tests.
        distances: Distances of the features from those of training images, float32 (n,); None if
            no model asks for them.
    """

    images: Sequence[int]
    posteriors: NDArray[np.float32]
    faults: Mapping[int, str]
    seconds: Mapping[ViewGroup, float]
    distances: NDArray[np.float32] | None = None


def share_of_tests(
    models: Sequence[Model],
    samples: Samples,
    tests: Sequence[Test],
    activation: Activation,
    group: Group,
    how: Circumstances,
) -> Share:
    """Return the posteriors of this process's share of the images in M tests.

    Args:
        models: Models to test.
        samples: All images.
        tests: The tests.
        activation: Makes posteriors of scores.
        group: Processes that share the images.
        how: Decoding processes and progress reporting.
    """
    block = block_size(len(samples))
    mine = group.share(len(samples), block)
    mixtures = [test.mixture() for test in tests]
    scales = sorted({part.scale for mixture in mixtures for part in mixture})
    pictures = TestPictures(
        samples.take(mine).paths,
        tuple(scales),
        how.get("workers"),
        *rescaling(models, tests),
        dimensions=models[0].dimensions,
    )
    own: dict[ViewGroup, float] = {}
    average, far = tests[0].protocols[0].average, None
    reference = _reference(models, tests)
    progress, title = how.get("progress") or Progress(), f"testing {how.get('split', '')}".strip()
    with progress.task(title, len(mine)) as task:
        told: dict[str, Any] = {"average": average, "block": block, "task": task, "seconds": own}
        if reference:
            net = cast(FeatureScorer, models[0])
            one, far = mix_features(net, pictures, mixtures[0], reference.distances, **told)
            likely = one[None]
        else:
            likely = mix_posteriors(
                models,
                len(models[0].classes),
                pictures,
                mixtures,
                activation=activation,
                **told,
            )
    return Share(mine, likely, pictures.unreadable, own, far)


def _reference(models: Sequence[Model], tests: Sequence[Test]) -> FeatureDistance | None:
    """Return the training images to compare with, if a single test needs that to abstain."""
    if len(tests) > 1:
        return None
    learned = learned_for(models, tests[0].protocols)
    return models[0].familiarity if learned and learned.familiar else None


def _slowest(times: Sequence[Mapping[ViewGroup, float]], part: ViewGroup) -> float:
    """Return the seconds of a part in the slowest process."""
    return max(one.get(part, 0.0) for one in times)


def preset(tests: Sequence[Test]) -> str:
    """Return the preset that the tests share."""
    return tests[0].protocols[0].preset


def rescaling(models: Sequence[Model], tests: Sequence[Test]) -> tuple[Rounding, str]:
    """Return rounding of the longer side and interpolation for rescaling the tests' images."""
    if preset(tests) == "torchvision":
        return "down", models[0].interpolation
    return "nearest", "bilinear"


def check_tests(models: Sequence[Model], tests: Sequence[Test]) -> None:
    """Reject tests that cannot be run, or not together.

    Raises:
        InputError: A scale is too small for a net, a net takes crops only, a protocol of images
            is to test volumes, the models' classes differ, or the tests differ in average, preset
            or interpolation.
    """
    first = models[0]
    for net, protocol in dict.fromkeys(member for test in tests for member in test.members):
        for scale in protocol.used_scales:
            models[net].check_scale(scale)
        if models[net].dimensions == 3 and protocol.name in OWN_SCALES:
            raise InputError(IMAGES_ONLY)
        if protocol.name in ("dense", "both") and not models[net].any_size:
            raise InputError(
                f"net {models[net].name} takes images of {models[net].input_size} pixels only; "
                f"test it by crops: {option('protocol')} center, crops, ten-crop or googlenet"
            )
    if preset(tests) == "torchvision" and len({model.interpolation for model in models}) > 1:
        raise InputError("torchvision rescales for some of these models in another way than others")
    if len({(p.average, p.preset) for test in tests for p in test.protocols}) > 1:
        raise InputError("tests that are made together must agree in average and preset")
    for model in models:
        if model.dimensions != first.dimensions:
            raise InputError("models of images and models of volumes cannot be fused")
        if model.classes != first.classes:
            raise InputError(
                "models can only be fused if they know the same classes in the same order; "
                f"{first.name} knows {len(first.classes)} ({first.classes[0]}, …), "
                f"{model.name} {len(model.classes)} ({model.classes[0]}, …)"
            )
