"""Budgets: the sizes of a study, as the paper's times a factor, and the hours that they cost."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.protocol import TestProtocol, multiple_scales, single_scale
from verydeep.evaluation.workload import pixels_to_see
from verydeep.localization.protocol import BoxProtocol
from verydeep.study.conditions import Condition, Measure
from verydeep.study.plan import Part, TestPart, TrainPart
from verydeep.system.option_names import option

CROP = 224
SMALLER, LARGER, WIDEST = 256, 384, 512
"""The paper's crop, its two fixed training scales, and the end of the jittered range, in pixels."""

FEATURE_SCALES = (256, 384, 512, 640, 768)
"""The paper's scales of features (appendix B), in pixels; three unless it says five."""

SPACING = 32
"""Pixels between neighbouring positions of a dense net of any size."""


@dataclass(frozen=True)
class Budget:
    """Sizes of a study.

    Attributes:
        name: ``tiny``, ``small``, ``full``, or ``hours`` if it was fitted to a time.
        scale: Factor on every length in pixels of the paper: crop, S and Q.
        width: Factor on all channels and hidden units.
        epochs: Epochs of a training from random weights or from net A.
        batch: Images an update.
        learning_rate: The highest, of a training from random weights or from net A.
        schedule: ``plateau`` as published, or ``one-cycle``.
        seeds: Number of seeds.
    """

    name: str
    scale: float
    width: float
    epochs: int
    batch: int
    learning_rate: float
    schedule: str
    seeds: int = 3

    @property
    def input_size(self) -> int:
        """Side of a crop, in pixels, rounded down to whole cells of the last map.

        Otherwise a dense net would see parts of an image as no crop shows them: with crops of 56
        pixels, whose last map has one cell for 32 of them, net A erred on 57.5 % of images densely,
        and on 51.1 % by the central crop.

        >>> BUDGETS["small"].input_size, BUDGETS["full"].input_size
        (96, 224)
        """
        return round(CROP * self.scale) // SPACING * SPACING

    def train_scale(self, condition: Condition) -> tuple[int, int]:
        """Return the lowest and highest training scale S, in pixels.

        >>> BUDGETS["small"].train_scale(Condition("D", "jitter"))
        (128, 256)
        """
        smaller, larger, widest = (round(s * self.scale) for s in (SMALLER, LARGER, WIDEST))
        ranges = {"fixed": (smaller, smaller), "jitter": (smaller, widest)}
        return ranges.get(condition.train, (larger, larger))

    def rate(self, condition: Condition) -> float:
        """Return the highest learning rate: a tenth where the same net is trained further.

        As published for S = 384 (section 3.1) and for boxes (appendix A); for jittered scales the
        paper gives none. In the few epochs of the smaller budgets boxes learn nothing at a tenth,
        so they take the whole rate there.
        """
        if condition.head != "classes" and self.schedule != "plateau":
            return self.learning_rate
        return self.learning_rate / (10 if goes_on(condition) else 1)

    def epochs_of(self, condition: Condition) -> int:
        """Return the number of epochs: half, rounded up, where the same net is trained further.

        With the published schedule it is a ceiling, and the same for all.
        """
        if self.schedule == "plateau" or not goes_on(condition):
            return self.epochs
        return math.ceil(self.epochs / 2)

    def protocol(
        self, condition: Condition, measure: Measure, *, flip: bool = True
    ) -> TestProtocol:
        """Return a test of a classifier with its scales in pixels."""
        return TestProtocol(measure.protocol, self._test_scales(condition, measure), flip)  # type: ignore[arg-type]

    def _test_scales(self, condition: Condition, measure: Measure) -> tuple[int, ...]:
        """Return S, or several scales: a position of the net less and more than S, as published.

        >>> BUDGETS["small"]._test_scales(Condition("D"), Measure("dense", "multi"))
        (96, 128, 160)
        """
        low, high = trained = self.train_scale(condition)
        if measure.scales == "single":
            return single_scale(trained)
        if low == high and low > self.input_size and not (low - self.input_size) % SPACING:
            return low - SPACING, low, low + SPACING
        return multiple_scales(trained, self.input_size)

    def box_protocol(
        self, condition: Condition, measure: Measure, *, flip: bool = True
    ) -> BoxProtocol:
        """Return a test of box regressors with its scales in pixels.

        As published, at S, or at S − 32 and S; of regressors of two scales, at those of the larger.
        The whole image is answered densely where the positions cover it. They are 32 pixels apart
        whatever the size of a crop, so budget ``tiny`` takes a grid of 5×5 crops instead.

        >>> print(BUDGETS["full"].box_protocol(Condition("D"), Measure("whole", "single")))
        dense at Q = 256, with mirror images, top 5 classes
        >>> print(BUDGETS["tiny"].box_protocol(Condition("D"), Measure("whole", "single")))
        crops 5x5 at Q = 37, with mirror images, top 5 classes
        """
        scales = self._test_scales(condition, measure)[:2]
        if measure.protocol == "center":
            return BoxProtocol("center", scales, flip=False)
        dense = BoxProtocol("dense", scales, flip)
        return replace(dense, name="crops") if dense.unseen(self.input_size, SPACING) else dense

    def feature_scales(self, measure: Measure) -> tuple[int, ...]:
        """Return the scales of features, in pixels.

        >>> BUDGETS["full"].feature_scales(Measure("svm-mean", "multi"))
        (256, 384, 512)
        """
        count = len(FEATURE_SCALES) if measure.scales == "wide" else 3
        return tuple(round(one * self.scale) for one in FEATURE_SCALES[:count])


def goes_on(condition: Condition) -> bool:
    """Return whether a training goes on from the same net: at a smaller scale, or of classes."""
    source = condition.source
    return source is not None and source.net == condition.net


BUDGETS = {
    one.name: one
    for one in (
        Budget("tiny", 1 / 7, 1 / 16, 4, 32, 0.01, "one-cycle", seeds=2),
        Budget("small", 1 / 2, 1 / 8, 30, 32, 0.01, "one-cycle"),
        Budget("full", 1, 1, 74, 256, 0.01, "plateau"),
    )
}
"""Budgets by name; ``full`` is the paper's."""

FEWEST_EPOCHS = 30
"""Epochs below which a budget of hours takes smaller nets rather than fewer epochs."""

RUNGS = (
    replace(BUDGETS["tiny"], name="hours", seeds=3),
    *(
        replace(BUDGETS["small"], name="hours", width=width)
        for width in (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8)
    ),
    *(replace(BUDGETS["small"], name="hours", width=width, batch=64) for width in (1 / 2, 1)),
    replace(BUDGETS["full"], name="hours"),
)
"""Sizes that a budget of hours chooses from, cheapest first."""


def budget_of(name: str) -> Budget:
    """Return a budget by name.

    Raises:
        InputError: There is none.
    """
    if name not in BUDGETS:
        raise InputError(
            f"{option('budget')} must be one of {', '.join(BUDGETS)}, got {name!r} instead"
            f"{did_you_mean(name, BUDGETS)}"
        )
    return BUDGETS[name]


class Speed(NamedTuple):
    """Seconds per image of a net: a step of training, and a crop in a test."""

    training: float
    testing: float


class Images(NamedTuple):
    """Number of images to train on and to test on.

    Attributes:
        train: Images to train on.
        test: Images to test on.
        boxed_train: Those with a box among them.
        boxed_test: Likewise.
        transfer: Images of the other data set, of all splits.
    """

    train: int
    test: int
    boxed_train: int = 0
    boxed_test: int = 0
    transfer: int = 0


@dataclass(frozen=True)
class Costs:
    """Estimate of the time that parts of a study take.

    Attributes:
        budget: Sizes of the study.
        speeds: Of each net, measured on this machine.
        images: Of the data set.
    """

    budget: Budget
    speeds: Mapping[str, Speed]
    images: Images

    def seconds(self, part: Part) -> float:
        """Return the estimated time of a part, without reading of images and training of SVMs."""
        if isinstance(part, TrainPart):
            return self._training(part)
        return {"classes": self._test, "boxes": self._box_test, "transfer": self._features}[
            part.kind
        ](part)

    def total(self, parts: Iterable[Part]) -> float:
        """Return the estimated time of several parts, one after the other."""
        return sum(map(self.seconds, parts))

    def _training(self, part: TrainPart) -> float:
        speed = self.speeds[part.condition.net]
        if part.condition.head != "classes":
            # A step on the fully connected layers alone is a pass through the convolutions.
            step = speed.testing if part.condition.head.endswith("fc") else speed.training
            epoch = step * self.images.boxed_train + speed.testing * self.images.boxed_test
            return self.budget.epochs_of(part.condition) * epoch
        epoch = speed.training * self.images.train + speed.testing * self.images.test
        # After the last epoch the run itself is tested, by the central crop and densely.
        dense = self.budget.protocol(part.condition, Measure())
        return self.budget.epochs_of(part.condition) * epoch + self._views(part.condition, [dense])

    def _test(self, part: TestPart) -> float:
        return sum(
            self._views(net, [self.budget.protocol(net, measure) for measure in part.measures(net)])
            for net in part.needs
        )

    def _box_test(self, part: TestPart) -> float:
        protocols = [
            self.budget.box_protocol(condition, measure).as_test
            for condition, measure in part.tests
            for _ in condition.members
        ]
        # Classifiers see the same views, in tests that guess the class.
        passes = [one for one in protocols for _ in range(1 if one.name == "center" else 2)]
        net = part.needs[0]
        return sum(self._views(net, [one], self.images.boxed_test) for one in passes)

    def _features(self, part: TestPart) -> float:
        dense = TestProtocol("dense", self.budget.feature_scales(Measure("svm-mean", "wide")), True)
        return sum(self._views(net, [dense], self.images.transfer) for net in part.needs)

    def _views(
        self, net: Condition, protocols: Sequence[TestProtocol], images: int | None = None
    ) -> float:
        size = self.budget.input_size
        pixels = pixels_to_see(protocols, self.images.test if images is None else images, size)
        return pixels / size**2 * self.speeds[net.net].testing


def fit(
    hours: float,
    parts_of: Callable[[Budget], Sequence[Part]],
    costs_of: Callable[[Budget], Costs],
    *,
    resize: Callable[[Budget], Budget] = lambda budget: budget,
    jobs: int = 1,
    seeds: int | None = None,
) -> Budget:
    """Return the largest sizes that a time allows.

    The largest of :data:`RUNGS` whose study takes no longer with :data:`FEWEST_EPOCHS` epochs;
    then as many epochs as fit, at most the paper's 74.

    Args:
        hours: Time for the whole study.
        parts_of: Returns the parts of a study of a budget.
        costs_of: Returns the costs of a budget; measures the speeds of its nets.
        resize: Applies the sizes that the user has set.
        jobs: Parts that are done side by side; they are taken to share the machine without loss.
        seeds: Number of seeds; None leaves it to the budget.

    Raises:
        InputError: Even the smallest study takes longer.
    """

    def needed(budget: Budget) -> float:
        return costs_of(budget).total(parts_of(budget)) / jobs / 3600

    def at(rung: Budget, epochs: int) -> Budget:
        return resize(replace(rung, epochs=epochs, seeds=seeds or rung.seeds))

    fitting: Budget | None = None
    for rung in RUNGS:
        if needed(at(rung, FEWEST_EPOCHS)) > hours:
            break
        fitting = rung
    if fitting is None:
        raise InputError(
            f"{option('hours', hours)} is too little: the smallest study of these claims takes "
            f"about {needed(at(RUNGS[0], FEWEST_EPOCHS)):.1f} hours here; ask for fewer claims "
            f"({option('claims')}), fewer seeds, or {option('budget', 'tiny')}"
        )
    sizes = [at(fitting, n) for n in range(FEWEST_EPOCHS, BUDGETS["full"].epochs + 1)]
    return sizes[bisect.bisect_right(sizes, hours, key=needed) - 1]
