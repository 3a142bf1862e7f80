"""What a study trains, and how it tests it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

TrainScales = Literal["fixed", "fixed-large", "jitter"]
Initialisation = Literal["staged", "scaled"]
Head = Literal["classes", "scr-fc", "pcr-fc", "pcr-all"]
StudyProtocol = Literal["center", "dense", "crops", "both", "whole", "svm-mean", "svm-stack"]
TestScales = Literal["single", "multi", "wide"]
Kind = Literal["classes", "boxes", "transfer"]

TRAIN_SCALES: tuple[TrainScales, ...] = get_args(TrainScales)
INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)
HEADS: tuple[Head, ...] = get_args(Head)

FIRST = "A"
"""The net that the deeper ones are initialised from."""

UNSTAGED = (FIRST, "A-LRN", "B-5x5")
"""Nets that no net is trained for first: both initialisations are the same for them."""

TOGETHER = "+"
"""Joins the names of nets whose posteriors are averaged."""


@dataclass(frozen=True, order=True)
class Condition:
    """A trained net, or several whose posteriors are averaged.

    Attributes:
        net: Name of a net, or several joined as ``D+E``.
        train: Training scale S: ``fixed`` (256 at the paper's size), ``fixed-large`` (384) or
            ``jitter`` ([256; 512]).
            The training scales of several nets are joined like their names.
        initialise: ``staged``, as published: from net A, and at the larger scales from the same
            net at the smaller one; or ``scaled``, from random weights by He's scheme.
        head: ``classes``; or boxes (appendix A), trained from the classifier of the same S: one
            for all classes (``scr``) or one for each (``pcr``), where the fully connected layers
            alone are trained (``fc``) or all layers.
    """

    net: str
    train: TrainScales | Literal["fixed+fixed-large"] = "fixed"
    initialise: Initialisation = "staged"
    head: Head = "classes"

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the nets."""
        return tuple(self.net.split(TOGETHER))

    @property
    def members(self) -> tuple[Condition, ...]:
        """The trained nets: the condition itself, or one for each net that is averaged.

        >>> [one.net for one in Condition("D+E", "jitter").members]
        ['D', 'E']
        >>> [one.train for one in Condition("D", "fixed+fixed-large").members]
        ['fixed', 'fixed-large']
        """
        scales = cast(tuple[TrainScales, ...], tuple(self.train.split(TOGETHER)))
        return tuple(
            replace(self, net=net, train=train).canonical for net in self.nets for train in scales
        )

    @property
    def canonical(self) -> Condition:
        """The same condition, with the one initialisation of a net that has no other.

        >>> Condition("A", initialise="staged").canonical.initialise
        'scaled'
        """
        unstaged = self.net in UNSTAGED and self.train == "fixed"
        return replace(self, initialise="scaled") if unstaged else self

    @property
    def source(self) -> Condition | None:
        """The condition whose net this one is initialised from; None if from random weights.

        As published: a deeper net takes layers of A; S = 384 goes on from S = 256 with the same
        net, and the jittered scales from S = 384 (section 3.1); a box regressor begins with the
        classifier of its training scale (appendix A).

        >>> print(Condition("D", "jitter").source)
        D, fixed-large, staged
        """
        if self.head != "classes":
            return replace(self, head="classes").canonical
        if self.canonical.initialise == "scaled":
            return None
        smaller: dict[TrainScales, TrainScales] = {"jitter": "fixed-large", "fixed-large": "fixed"}
        if self.train in smaller:
            return replace(self, train=smaller[self.train]).canonical
        return Condition(FIRST).canonical

    @property
    def slug(self) -> str:
        """Name for files.

        >>> Condition("D+E", "jitter").slug
        'D+E-jitter-staged'
        """
        one = self.canonical
        head = "" if one.head == "classes" else f"-{one.head}"
        return f"{one.net}-{one.train}-{one.initialise}{head}"

    def __str__(self) -> str:
        head = "" if self.head == "classes" else f", {self.head}"
        return f"{self.net}, {self.train}, {self.canonical.initialise}{head}"


@dataclass(frozen=True, order=True)
class Measure:
    """A test.

    Attributes:
        protocol: Of a classifier: ``center``, ``dense``, ``crops`` (5×5 grid) or ``both``. Of box
            regressors: ``center``, with the true class, or ``whole``: merged boxes of the five most
            likely classes, from the whole image. Of features of another data set, with a linear
            SVM: ``svm-mean`` averages the scales, ``svm-stack`` stacks them.
        scales: Test scales Q, as published: ``single`` or ``multi`` for the training scale;
            ``wide``: five scales of features.
    """

    protocol: StudyProtocol = "dense"
    scales: TestScales = "single"

    @property
    def slug(self) -> str:
        """Name for files."""
        return f"{self.protocol}-{self.scales}"

    def __str__(self) -> str:
        return f"{self.protocol}, {self.scales} scale" + ("s" if self.scales != "single" else "")


Need = tuple[Condition, Measure]
"""A result that a claim compares."""


def kind_of(need: Need) -> Kind:
    """Return what is tested: classes, boxes, or features of another data set.

    >>> kind_of((Condition("D", head="pcr-all"), Measure("center")))
    'boxes'
    """
    condition, measure = need
    if measure.protocol.startswith("svm"):
        return "transfer"
    return "classes" if condition.head == "classes" else "boxes"
