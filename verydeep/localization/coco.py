"""Boxes as COCO's tools read them: true ones, and those that were found.

Images and categories are numbered from 1, boxes are (left, top, width, height) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verydeep.data.samples import Box
from verydeep.localization.locate import Located
from verydeep.localization.result import LocatedSample


def coco_truth(answers: Sequence[LocatedSample], classes: Sequence[str]) -> dict[str, Any]:
    """Return the true boxes of pictures, as a file of annotations holds them.

    Args:
        answers: Pictures; their number in this order, from 1, is the ``image_id``.
        classes: Names of the classes; ``category_id`` is a class's number, from 1.
    """
    images = [
        {"id": number, "file_name": answer.name, "height": height, "width": width}
        for number, answer in enumerate(answers, start=1)
        for height, width in (answer.located.size,)
    ]
    every = [
        (number, answer.label, box)
        for number, answer in enumerate(answers, start=1)
        for box in answer.boxes
    ]
    annotations = [
        {
            "id": place,
            "image_id": image,
            "category_id": label + 1,
            "bbox": _sides(box),
            "area": (box.x1 - box.x0) * (box.y1 - box.y0),
            "iscrowd": 0,
        }
        for place, (image, label, box) in enumerate(every, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    return {
        "info": {"description": "true boxes of the pictures that were tested"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def coco_results(found: Mapping[int, Located]) -> list[dict[str, Any]]:
    """Return what was found, as a file of results holds it.

    The score is the posterior of the class in the picture, which is comparable between pictures of
    any size; where nothing classifies, the box of the class that was asked for has 1.

    Args:
        found: By ``image_id``.
    """
    return list(_results(found))


def _results(found: Mapping[int, Located]) -> Iterator[dict[str, Any]]:
    for image, located in found.items():
        asked = (located.given,) if located.given else ()
        for guess in located.guesses or asked:
            if guess.box:
                yield {
                    "image_id": image,
                    "category_id": guess.label + 1,
                    "bbox": _sides(guess.box),
                    "score": 1.0 if guess.probability is None else guess.probability,
                }


def _sides(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]
