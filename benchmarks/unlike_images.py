"""Compare distances that are to tell images unlike the training images.

    python benchmarks/unlike_images.py MODEL DATA FOLDER… [--out FILE]

The features are those of the deepest layer that describes images. For every distance, the limit is
taken on the validation split, so that 2 % of its images lie beyond; the result holds the share of
the test split and of each folder beyond it, and the area under the ROC curve between them.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import verydeep
from verydeep.data.images.inputs import list_pictures
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.abstention.conformal import conformal_limit
from verydeep.evaluation.abstention.familiarity import fit_familiarity, unit_length
from verydeep.evaluation.evaluate import relabel
from verydeep.evaluation.feature_mixing import mix_features
from verydeep.evaluation.posteriors import view_groups
from verydeep.models.classifier import Classifier
from verydeep.system.files import write_json
from verydeep.system.progress import choose_progress

REFUSED = 2.0
"""Familiar images beyond the limit, in percent."""

Array = NDArray[np.float64]
Distance = Callable[[Array], Array]


def class_mean_cosine(train: Array, labels: NDArray[np.int64]) -> Distance:
    """The distance of the package: one minus the cosine to the nearest class mean."""
    fitted = fit_familiarity(train, labels)
    return lambda features: fitted.distances(features).astype(np.float64)


def nearest_of_any_length(train: Array, labels: NDArray[np.int64]) -> Distance:
    """Euclidean distance to the tenth nearest neighbour."""

    def distance(features: Array) -> Array:
        squares = (features**2).sum(1)[:, None] + (train**2).sum(1) - 2 * features @ train.T
        return np.asarray(np.sqrt(np.partition(squares, 9, axis=1)[:, 9].clip(min=0)))

    return distance


def nearest_neighbours(train: Array, labels: NDArray[np.int64]) -> Distance:
    """The same with features of length one (Sun et al. 2022)."""
    distance = nearest_of_any_length(unit_length(train), labels)
    return lambda features: distance(unit_length(features))


def mahalanobis(train: Array, labels: NDArray[np.int64]) -> Distance:
    """To the nearest class mean, with one covariance of all classes (Lee et al. 2018)."""
    means = np.stack([train[labels == k].mean(0) for k in np.unique(labels)])
    centred = train - means[np.searchsorted(np.unique(labels), labels)]
    covariance = centred.T @ centred / len(train)
    size = len(covariance)
    covariance = 0.99 * covariance + 0.01 * np.trace(covariance) / size * np.eye(size)
    root = np.linalg.cholesky(np.linalg.inv(covariance))

    def distance(features: Array) -> Array:
        parts = [np.linalg.norm((features - m) @ root, axis=1) for m in means]
        return np.asarray(np.stack(parts).min(0), np.float64)

    return distance


DISTANCES = (class_mean_cosine, nearest_neighbours, nearest_of_any_length, mahalanobis)


def features_of(model: Classifier, paths: Any) -> tuple[Array, Array]:
    """Return the features of images, float64 (N, D), and their largest posteriors, (N,)."""
    how = model.test_protocol()
    groups = view_groups(how)
    pictures = TestPictures(paths, how.used_scales)
    with choose_progress(True).task("features", len(paths)) as task:
        mixture = dict.fromkeys(groups, 1 / len(groups))
        likely, found = mix_features(model, pictures, mixture, np.ascontiguousarray, task=task)
    good = [place for place in range(len(paths)) if place not in pictures.unreadable]
    return found[good].astype(np.float64), likely[good].max(1).astype(np.float64)


def compare(
    familiar: Mapping[str, Array], unlike: Mapping[str, Array], distance: Distance
) -> dict[str, Any]:
    """Return how well a distance tells unlike images, in percent.

    Args:
        familiar: Features of the splits ``val`` and ``test``.
        unlike: Features of other images by name.
        distance: Function from features to distances.
    """
    limit = conformal_limit(distance(familiar["val"]), REFUSED)
    assert limit is not None, "val has too few images"
    usual = distance(familiar["test"])
    found: dict[str, Any] = {"test": {"refused": 100 * float((usual > limit).mean())}}
    for name, features in unlike.items():
        far = distance(features)
        both = np.concatenate([usual, far])
        area = roc_auc_score(np.arange(len(both)) >= len(usual), both)
        found[name] = {"refused": 100 * float((far > limit).mean()), "area": 100 * float(area)}
    return found


def main() -> None:
    """Compare the distances, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("unlike_images.json"))
    asked = parser.parse_args()
    model = verydeep.load(asked.model)
    dataset = verydeep.read_dataset(asked.data, draw=False)
    samples = {name: relabel(dataset, name, model.classes) for name in ("train", "val", "test")}
    splits = {name: features_of(model, one.paths) for name, one in samples.items()}
    labels = np.array(samples["train"].labels, np.int64)[: len(splits["train"][0])]
    others = {one.name: features_of(model, list_pictures(one)) for one in asked.folders}
    features = {name: found for name, (found, _) in splits.items()}
    unlike = {name: found for name, (found, _) in others.items()}
    rows = {
        kind.__name__: compare(features, unlike, kind(features["train"], labels))
        for kind in DISTANCES
    }
    sure = {name: -likely[:, None] for name, (_, likely) in {**splits, **others}.items()}
    rows["smallest_posterior"] = compare(
        {name: sure[name] for name in splits},
        {name: sure[name] for name in others},
        lambda x: x[:, 0],
    )
    write_json(
        asked.out,
        {
            "layer": model.feature_layer,
            "protocol": str(model.test_protocol()),
            "images": {name: len(found) for name, (found, _) in {**splits, **others}.items()},
            "refused_on_val": REFUSED,
            "distances": rows,
            "versions": {"verydeep": verydeep.__version__, "torch": torch.__version__},
            "machine": platform.machine(),
        },
    )


if __name__ == "__main__":
    main()
