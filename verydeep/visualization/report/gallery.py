"""Example images of a test: confident errors, uncertain predictions, good and bad boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource
from verydeep.data.images.thumbnails import thumbnail
from verydeep.errors import DataError, PictureError
from verydeep.evaluation.predictions_log import Record

if TYPE_CHECKING:
    from verydeep.localization.result import LocatedSample

SHOWN = 12
"""Images per group."""

SIZE = (200, 160)
"""Maximum width and height of a thumbnail; 36 of them take less than a megabyte."""

Find = Callable[[str], ImageSource]
"""Finds an image by its name; raises a DataError if it is no longer there."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail, or the reason why there is none.

    Attributes:
        url: ``data:`` URL; empty if the image cannot be shown.
        fault: Reason why it cannot be shown; empty if it can.
    """

    url: str = ""
    fault: str = ""


GetThumbnail = Callable[[str], Thumbnail]
"""Returns the thumbnail of an image by its name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An image and its prediction.

    Attributes:
        file: File name.
        true: True class.
        probability: Probability of the true class, in percent.
        guesses: Up to two most likely classes with their probabilities, in percent.
        right: Whether the prediction is right.
        thumbnail: The image.
    """

    file: str
    true: str
    probability: float
    guesses: tuple[tuple[str, float], ...]
    right: bool
    thumbnail: Thumbnail

    @property
    def alt(self) -> str:
        """True class and prediction."""
        if self.right:
            return f"“{self.true}”, classified correctly"
        return f"“{self.true}”, classified as “{self.guesses[0][0]}”"


@dataclass(frozen=True, slots=True)
class Boxed:
    """An image with its true boxes and the predicted one.

    Attributes:
        file: File name.
        title: True class.
        overlap: Overlap of the predicted box with a true one, 0 to 1.
        size: Height and width of the image.
        boxes: True boxes.
        predicted: Predicted box; None if there was none.
        thumbnail: The image.
        guess: Predicted class, in words; empty without a classifier.
    """

    file: str
    title: str
    overlap: float
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    predicted: Box | None
    thumbnail: Thumbnail
    guess: str = ""

    @property
    def alt(self) -> str:
        """True class and overlap."""
        if self.predicted is None:
            return f"“{self.title}”, no box predicted"
        return f"“{self.title}”, predicted box with an overlap of {self.overlap:.2f}"

    @property
    def drawn_boxes(self) -> list[tuple[str, Box]]:
        """Boxes in drawing order, each with its CSS class."""
        true = [("true", box) for box in self.boxes]
        return [*true, ("found", self.predicted)] if self.predicted else true


def answer_groups(
    record: Record, titles: Sequence[str], thumbnail_of: GetThumbnail
) -> dict[str, list[Answer]]:
    """Return the most confident errors and the least certain predictions.

    Args:
        record: Predictions of the test.
        titles: Display names of the classes.
        thumbnail_of: Returns thumbnails.
    """
    groups = {
        "mistakes": record.worst_mistakes(SHOWN),
        "doubtful": record.most_doubtful(SHOWN),
    }
    return {
        name: [_answer(record, number, titles, thumbnail_of) for number in numbers]
        for name, numbers in groups.items()
    }


def _answer(
    record: Record, number: int, titles: Sequence[str], thumbnail_of: GetThumbnail
) -> Answer:
    guesses = zip(
        record.guesses[number, :2].tolist(), record.confidences[number, :2].tolist(), strict=True
    )
    return Answer(
        record.names[number],
        titles[int(record.labels[number])],
        100 * float(record.probabilities[number]),
        tuple((titles[guess], 100 * confidence) for guess, confidence in guesses),
        not bool(record.wrong[number]),
        thumbnail_of(record.names[number]),
    )


def box_groups(
    answers: Sequence[LocatedSample], titles: Sequence[str], thumbnail_of: GetThumbnail
) -> dict[str, list[Boxed]]:
    """Return images with the best, median and worst boxes; the groups do not overlap.

    Args:
        answers: Predictions of the test.
        titles: Display names of the classes.
        thumbnail_of: Returns thumbnails.
    """
    return {
        name: [
            Boxed(
                answer.name,
                titles[answer.label],
                answer.overlap,
                answer.located.size,
                answer.boxes,
                answer.located.given.box if answer.located.given else None,
                thumbnail_of(answer.name),
                _guess(answer, titles),
            )
            for answer in group
        ]
        for name, group in ranked_groups(answers).items()
    }


def _guess(answer: LocatedSample, titles: Sequence[str]) -> str:
    if not answer.located.guesses:
        return ""
    first = answer.located.guesses[0]
    text = "class correct" if first.label == answer.label else f"predicted {titles[first.label]}"
    return text if first.probability is None else f"{text}, {100 * first.probability:.0f} %"


def ranked_groups(answers: Sequence[LocatedSample]) -> dict[str, list[LocatedSample]]:
    """Return the best by overlap, those around the median, and the worst, worst first."""
    ranked = sorted(answers, key=lambda answer: -answer.overlap)
    count = min(SHOWN, max(1, len(ranked) // 3))
    best, worst = ranked[:count], ranked[count:][-count:][::-1]
    rest = ranked[count : len(ranked) - len(worst)]
    start = max(0, (len(rest) - count) // 2)
    return {"best": best, "median": rest[start : start + count], "worst": worst}


def cached_thumbnails(find: Find) -> GetThumbnail:
    """Return a function that decodes each image once."""

    @cache
    def thumbnail_of(name: str) -> Thumbnail:
        try:
            return Thumbnail(url=thumbnail(find(name), SIZE))
        except PictureError:
            return Thumbnail(fault="unreadable")
        except DataError:
            return Thumbnail(fault="file not found")

    return thumbnail_of


def all_gone(groups: Iterable[Sequence[Answer | Boxed]]) -> bool:
    """Return whether none of the images can be shown."""
    return all(item.thumbnail.fault for group in groups for item in group)
