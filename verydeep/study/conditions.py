"""What a study trains, and how it tests it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

TrainScales = Literal["fixed", "fixed-large", "jitter"]
Initialisation = Literal["staged", "scaled"]
StudyProtocol = Literal["center", "dense", "crops", "both"]
TestScales = Literal["single", "multi"]

TRAIN_SCALES: tuple[TrainScales, ...] = get_args(TrainScales)
INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)

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
        initialise: ``staged``, as published: from net A, and at the larger scales from the same
            net at the smaller one; or ``scaled``, from random weights by He's scheme.
    """

    net: str
    train: TrainScales = "fixed"
    initialise: Initialisation = "staged"

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the nets."""
        return tuple(self.net.split(TOGETHER))

    @property
    def members(self) -> tuple[Condition, ...]:
        """The trained nets: the condition itself, or one for each net that is averaged.

        >>> [one.net for one in Condition("D+E", "jitter").members]
        ['D', 'E']
        """
        return tuple(replace(self, net=net).canonical for net in self.nets)

    @property
    def canonical(self) -> Condition:
        """The same condition, with the one initialisation of a net that has no other.

        >>> Condition("A", initialise="staged").canonical.initialise
        'scaled'
        """
        unstaged = self.net in UNSTAGED and self.train == "fixed"
        return replace(self, initialise="scaled") if unstaged else self

    @property
    def names(self) -> tuple[Condition, ...]:
        """All conditions that mean the same training."""
        ways = (replace(self, initialise=way) for way in INITIALISATIONS)
        return tuple(one for one in ways if one.canonical == self.canonical)

    @property
    def source(self) -> Condition | None:
        """The condition whose net this one is initialised from; None if from random weights.

        As published: a deeper net takes layers of A; S = 384 goes on from S = 256 with the same
        net, and the jittered scales from S = 384 (section 3.1).

        >>> Condition("D", "jitter").source
        Condition(net='D', train='fixed-large', initialise='staged')
        """
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
        return f"{one.net}-{one.train}-{one.initialise}"

    def __str__(self) -> str:
        return f"{self.net}, {self.train}, {self.canonical.initialise}"


@dataclass(frozen=True, order=True)
class Measure:
    """A test.

    Attributes:
        protocol: ``center``, ``dense``, ``crops`` (5×5 grid) or ``both``.
        scales: Test scales Q for the training scale, as published: ``single`` or ``multi``.
    """

    protocol: StudyProtocol = "dense"
    scales: TestScales = "single"

    @property
    def slug(self) -> str:
        """Name for files."""
        return f"{self.protocol}-{self.scales}"

    def __str__(self) -> str:
        return f"{self.protocol}, {self.scales} scale" + ("s" if self.scales == "multi" else "")


Need = tuple[Condition, Measure]
"""A result that a claim compares."""
