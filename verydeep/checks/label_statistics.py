"""Statistics of multi-label data: labels per image, and classes that occur together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from verydeep.checks.facts_table import ImageFacts
from verydeep.data.dataset import Dataset

PAIRS = 20
"""Maximum number of listed pairs of classes."""


def label_statistics(dataset: Dataset, pictures: Sequence[ImageFacts]) -> dict[str, Any]:
    """Return the statistics of a multi-label data set as plain values.

    Returns:
        ``per_image``, the number of images by number of labels; ``unlabelled``, those without any
        by split; ``mean``, the mean number of labels; and ``together``, the most frequent pairs of
        classes in an image, each with its number of images and the ratio of that number to the one
        expected if the two were independent.
    """
    sizes, pairs, singles = Counter[int](), Counter[tuple[int, int]](), Counter[int]()
    unlabelled = dict.fromkeys(dataset.splits, 0)
    for picture in pictures:
        own = dataset.classes_of(picture.label)
        sizes[len(own)] += 1
        singles.update(own)
        pairs.update(combinations(own, 2))
        unlabelled[picture.split] += not own
    images = max(1, len(pictures))
    return {
        "per_image": {str(size): sizes[size] for size in sorted(sizes)},
        "mean": sum(size * count for size, count in sizes.items()) / images,
        "unlabelled": unlabelled,
        "together": [
            {
                "classes": [dataset.classes[one], dataset.classes[other]],
                "images": count,
                "ratio": count * images / (singles[one] * singles[other]),
            }
            for (one, other), count in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[
                :PAIRS
            ]
        ],
    }
