"""Distance of an image's features from those of the training images, as operators of a graph.

N images, D features, K' means of classes; h, w: sides of a map.
"""

from __future__ import annotations

import numpy as np

from verydeep.evaluation.abstention.familiarity import SHORTEST, Familiarity
from verydeep.models.export.builder import GraphBuilder, Shape
from verydeep.models.exported.metadata import DISTANCE, FEATURES, PROJECTIONS


def add_distance(
    build: GraphBuilder, map_of_features: str, reference: Familiarity
) -> dict[str, str]:
    """Add the distance from the training images, and return values by the names of outputs.

    - ``distance``, (N,): one minus the cosine to the nearest mean.
    - ``features``, (N, D): means over the positions of the map.
    - ``projections``, (N, K'): scalar products of the features with the means.

    Several views of an image have the distance of their mean features. So features and projections
    are averaged over them, and the distance is one minus the largest projection divided by the
    length of the features; see
    :class:`verydeep.evaluation.abstention.familiarity.ProjectedFamiliarity`.

    Args:
        build: The graph; it is continued from elsewhere afterwards.
        map_of_features: Value with the features, (N, D, h, w).
        reference: Means of the training images.
    """
    build.last = map_of_features
    build.then("GlobalAveragePool", "mean_features.map")
    features = build.then("Flatten", "mean_features", axis=1)
    means = build.constant("class_means", reference.means.T)
    products = build.node("MatMul", [features, means], "products")
    length = build.node("ReduceL2", [features], "length", axes=[1], keepdims=1)
    shortest = build.constant("shortest", np.array(SHORTEST, np.float32))
    divisor = build.node("Max", [length, shortest], "positive_length")
    cosines = build.node("Div", [products, divisor], "cosines")
    nearest = build.node("ReduceMax", [cosines], "largest_cosine", axes=[1], keepdims=0)
    one = build.constant("one", np.array(1, np.float32))
    far = build.node("Sub", [one, nearest], "distance_of_view")
    return {DISTANCE: far, FEATURES: features, PROJECTIONS: products}


def shapes_of_distance(reference: Familiarity) -> dict[str, Shape]:
    """Return the shapes of the outputs of :func:`add_distance`, by name and in order."""
    classes, features = reference.means.shape
    return {
        DISTANCE: ("batch",),
        FEATURES: ("batch", features),
        PROJECTIONS: ("batch", classes),
    }
