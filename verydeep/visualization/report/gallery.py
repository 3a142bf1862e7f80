"""Images of a test to be looked at: the worst mistakes, the most doubtful, boxes good and bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource
from verydeep.data.images.thumbnails import thumbnail
from verydeep.errors import DataError, PictureError
from verydeep.evaluation.predictions_log import Record
from verydeep.localization.result import LocatedSample

SHOWN = 12
"""Images of a group."""

SIZE = (200, 160)
"""Width and height that a small image fits into: 36 of them take less than a megabyte."""

Find = Callable[[str], ImageSource]
"""From the name of an image to where it is; raises a DataError if it is no longer there."""


@dataclass(frozen=True, slots=True)
class Small:
    """A small image, or why there is none.

    Attributes:
        address: ``data:`` and so on; empty if it cannot be shown.
        fault: Why it cannot; empty if it can.
    """

    address: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An image and what it was taken for.

    Attributes:
        file: Its name.
        true: Its class.
        probability: Of that, in percent.
        guesses: The likeliest classes and their probabilities in percent, two at most.
        right: Whether the likeliest is the true one.
        small: The image.
    """

    file: str
    true: str
    probability: float
    guesses: tuple[tuple[str, float], ...]
    right: bool
    small: Small

    @property
    def words(self) -> str:
        """What it shows and what it was taken for."""
        if self.right:
            return f"“{self.true}”, recognised"
        return f"“{self.true}”, taken for “{self.guesses[0][0]}”"


@dataclass(frozen=True, slots=True)
class Boxed:
    """An image with its true boxes and the one that was found.

    Attributes:
        file: Its name.
        title: What is on it.
        overlap: Of the box that was found, 0 to 1.
        size: Its height and width.
        boxes: The true ones.
        found: That which was found; None if there was none.
        small: The image.
        guess: What a classifier took it for; empty if none was asked.
    """

    file: str
    title: str
    overlap: float
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    found: Box | None
    small: Small
    guess: str = ""

    @property
    def words(self) -> str:
        """What it shows and how well it was found."""
        if self.found is None:
            return f"“{self.title}”, no box found"
        return f"“{self.title}”, found with an overlap of {self.overlap:.2f}"


def answer_groups(
    record: Record, titles: Sequence[str], small: Callable[[str], Small]
) -> dict[str, list[Answer]]:
    """Return the worst mistakes and the most doubtful images.

    Args:
        record: The answers of the test.
        titles: What people call the classes.
        small: Gives the image of a name.
    """
    groups = {
        "mistakes": record.worst_mistakes(SHOWN),
        "doubtful": record.most_doubtful(SHOWN),
    }
    return {
        name: [_answer(record, number, titles, small) for number in numbers]
        for name, numbers in groups.items()
    }


def _answer(
    record: Record, number: int, titles: Sequence[str], small: Callable[[str], Small]
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
        small(record.names[number]),
    )


def box_groups(
    answers: Sequence[LocatedSample], titles: Sequence[str], small: Callable[[str], Small]
) -> dict[str, list[Boxed]]:
    """Return images with the best, the middling and the worst boxes; none stands there twice.

    Args:
        answers: What was found.
        titles: What people call the classes.
        small: Gives the image of a name.
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
                small(answer.name),
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
    how = "recognised" if first.label == answer.label else f"taken for {titles[first.label]}"
    return how if first.probability is None else f"{how}, {100 * first.probability:.0f} %"


def ranked_groups(answers: Sequence[LocatedSample]) -> dict[str, list[LocatedSample]]:
    """Return the best by overlap, those around the median, and the worst, which come first."""
    ranked = sorted(answers, key=lambda answer: -answer.overlap)
    count = min(SHOWN, max(1, len(ranked) // 3))
    best, worst = ranked[:count], ranked[count:][-count:][::-1]
    rest = ranked[count : len(ranked) - len(worst)]
    start = max(0, (len(rest) - count) // 2)
    return {"best": best, "middling": rest[start : start + count], "worst": worst}


def small_pictures(find: Find) -> Callable[[str], Small]:
    """Return what gives small images; one that is asked for twice is decoded once."""
    known: dict[str, Small] = {}

    def small(name: str) -> Small:
        if name not in known:
            known[name] = _small(name, find)
        return known[name]

    return small


def _small(name: str, find: Find) -> Small:
    try:
        return Small(address=thumbnail(find(name), SIZE))
    except PictureError:
        return Small(fault="it cannot be read")
    except DataError:
        return Small(fault="it is no longer where it was")


def all_gone(groups: Iterable[Sequence[Answer | Boxed]]) -> bool:
    """Return whether none of the images can be shown."""
    return all(item.small.fault for group in groups for item in group)
