"""Export of true and predicted boxes in COCO format.

Boxes are (left, top, width, height) in pixels. Images and categories keep the ids of the user's
annotation file, if there is one; otherwise they are numbered from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verydeep.data.geometry import Box
from verydeep.localization.detect import Located
from verydeep.localization.result import LocatedSample


@dataclass(frozen=True)
class Numbers:
    """COCO ids of images and classes.

    Attributes:
        images: ``image_id`` of every image, in order.
        categories: ``category_id`` by class index; classes without one are not exported.
    """

    images: Sequence[int | str]
    categories: Mapping[int, int | str]

    @classmethod
    def from_one(cls, images: int, classes: int) -> Numbers:
        """Number images and classes from 1."""
        categories = {label: label + 1 for label in range(classes)}
        return cls(range(1, images + 1), categories)


def coco_truth(
    answers: Sequence[LocatedSample], classes: Sequence[str], numbers: Numbers | None = None
) -> dict[str, Any]:
    """Return the true boxes of images as a COCO annotation file.

    Args:
        answers: Images with their true boxes.
        classes: Names of the classes.
        numbers: Ids of images and classes (default: numbered from 1).
    """
    numbers = numbers or Numbers.from_one(len(answers), len(classes))
    images = [
        {"id": number, "file_name": answer.name, "height": height, "width": width}
        for number, answer in zip(numbers.images, answers, strict=True)
        for height, width in (answer.located.size,)
    ]
    every = [
        (number, numbers.categories[answer.label], box)
        for number, answer in zip(numbers.images, answers, strict=True)
        for box in answer.boxes
    ]
    annotations = [
        {
            "id": place,
            "image_id": image,
            "category_id": category,
            "bbox": _sides(box),
            "area": (box.x1 - box.x0) * (box.y1 - box.y0),
            "iscrowd": 0,
        }
        for place, (image, category, box) in enumerate(every, start=1)
    ]
    categories = [
        {"id": number, "name": classes[label]} for label, number in numbers.categories.items()
    ]
    return {
        "info": {"description": "true boxes of the images that were tested"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def coco_results(
    found: Sequence[Located], classes: int, numbers: Numbers | None = None
) -> list[dict[str, Any]]:
    """Return predicted boxes as a COCO results file.

    The score is the image's posterior of the class, which is comparable between images of any
    size. Without a classifier, the box of the given class has score 1.

    Args:
        found: Predictions for every image.
        classes: Number of classes K.
        numbers: Ids of images and classes (default: numbered from 1).
    """
    return list(_results(found, numbers or Numbers.from_one(len(found), classes)))


def _results(found: Sequence[Located], numbers: Numbers) -> Iterator[dict[str, Any]]:
    for image, located in zip(numbers.images, found, strict=True):
        asked = (located.given,) if located.given else ()
        for guess in located.guesses or asked:
            if guess.box and guess.label in numbers.categories:
                yield {
                    "image_id": image,
                    "category_id": numbers.categories[guess.label],
                    "bbox": _sides(guess.box),
                    "score": 1.0 if guess.probability is None else guess.probability,
                }


def _sides(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]
