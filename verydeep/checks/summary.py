"""Statistics of a data set: sizes, shapes, formats, images per class, colours."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.label_statistics import label_statistics
from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.colour_statistics import ColourStatistics

QUANTILES = {
    "min": 0.0,
    "q05": 0.05,
    "q25": 0.25,
    "median": 0.5,
    "q75": 0.75,
    "q95": 0.95,
    "max": 1.0,
}


def summarize(
    dataset: Dataset, pictures: Sequence[ImageFacts], colours: ColourStatistics | None
) -> dict[str, Any]:
    """Return the statistics of a data set as plain values.

    Args:
        dataset: The data set.
        pictures: All of its files.
        colours: Colours of its training images; None if not measured.
    """
    formats, modes = Counter[str](), Counter[str]()
    sizes, length = array("q"), 0
    for picture in pictures:
        facts = picture.facts
        length += facts.length
        if facts.fault is None:
            formats[str(facts.format)] += 1
            modes[facts.mode] += 1
            sizes.extend((facts.width, facts.height))
    counts = {split: dataset.count(split) for split in dataset.splits}
    return {
        "files": len(pictures),
        "usable": formats.total(),
        "bytes": length,
        "classes": [
            {
                "name": name,
                "title": dataset.title(label),
                "counts": {split: numbers[label] for split, numbers in counts.items()},
            }
            for label, name in enumerate(dataset.classes)
        ],
        **({"labels": label_statistics(dataset, pictures)} if dataset.multi_label else {}),
        "formats": dict(formats.most_common()),
        "modes": dict(modes.most_common()),
        "sizes": _sizes(np.array(sizes, dtype=np.float64).reshape(-1, 2)),
        "colours": None if colours is None else _colours(colours),
    }


def _sizes(sizes: NDArray[np.float64]) -> dict[str, dict[str, float]] | None:
    """Return quantiles of the sizes of upright images; aspect ratio is width over height.

    Args:
        sizes: Widths and heights, (N, 2).
    """
    if not len(sizes):
        return None
    width, height = sizes.T
    shares = [*QUANTILES.values()]
    measures = {
        "width": width,
        "height": height,
        "smallest_side": np.minimum(width, height),
        "aspect_ratio": width / height,
    }
    return {
        name: dict(zip(QUANTILES, np.quantile(values, shares).tolist(), strict=True))
        for name, values in measures.items()
    }


def _colours(colours: ColourStatistics) -> dict[str, Any]:
    """Return the mean and the principal axes, RGB 0 to 255, the largest axis first."""
    eigenvalues, axes = np.linalg.eigh(np.array(colours.covariance))
    return {
        "mean": list(colours.mean),
        "covariance": [list(row) for row in colours.covariance],
        "deviations": [float(255 * np.sqrt(max(value, 0.0))) for value in eigenvalues[::-1]],
        "axes": axes[:, ::-1].T.tolist(),
    }
