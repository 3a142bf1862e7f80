"""What a classifier that may abstain is to promise. It needs no NumPy, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass, fields

from verydeep.errors import InputError
from verydeep.system.option_names import option
from verydeep.system.settings import described


@dataclass(frozen=True, slots=True)
class Promises:
    """What a classifier that may abstain is to promise.

    Attributes:
        promise_error: Largest share of wrong answers among the answered images, in percent.
        confidence: Probability that this holds, over the draw of the calibration images, in
            percent.
        coverage: Probability that the set of classes of an image contains the true one, in percent.
        refuse: Share of familiar images that may be refused as unlike the training images, in
            percent.

    Raises:
        InputError: A value is not between 0 and 100.
    """

    promise_error: float = described(
        5.0, "largest error among the answered images to promise, in percent"
    )
    confidence: float = described(95.0, "confidence of that promise, in percent")
    coverage: float = described(
        90.0, "images whose set of classes is to contain the true one, in percent"
    )
    refuse: float = described(
        2.0, "familiar images that may be refused as unlike the training images, in percent"
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < 100:
                raise InputError(
                    f"{option(one.name)} is in percent, above 0 and below 100; got {value:g} "
                    "instead"
                )
