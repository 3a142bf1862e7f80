"""Nets that tell images unlike their training images, and their distance worked out plainly."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from sklearn.metrics.pairwise import cosine_distances
from sklearn.preprocessing import normalize

from verydeep.data.geometry import rescaled_size
from verydeep.evaluation.abstention.abstention import Abstention, Familiar
from verydeep.evaluation.abstention.conformal import ClassSets
from verydeep.evaluation.abstention.familiarity import Familiarity
from verydeep.evaluation.abstention.selective import Threshold
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier


def plain_features(model: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Return the features (N, D) of images, uint8 (N, H, W, 3), in float64.

    The fully connected layers up to the last are applied at one position after the other.
    """
    before, net = model.preprocessing, model.net.double()
    x = torch.from_numpy(pixels).double().permute(0, 3, 1, 2)
    x = (x - torch.tensor(before.mean).double().view(3, 1, 1)) / before.divisor
    with torch.no_grad():
        maps = net.features(x)
        layers, side = [*net.classifier][:-1], net.final_map
        if any(isinstance(layer, torch.nn.Linear) for layer in layers):
            rows, columns = (length - side + 1 for length in maps.shape[2:])
            places = [(top, left) for top in range(rows) for left in range(columns)]
            windows = [maps[:, :, t : t + side, u : u + side].flatten(1) for t, u in places]
            for layer in layers:
                windows = [layer(window) for window in windows]
            found = torch.stack(windows).mean(0)
        else:
            found = maps.mean((2, 3))
    model.net.float()
    return np.asarray(found.numpy())


def plain_distances(model: Classifier, images: Sequence[Image.Image], test: str) -> np.ndarray:
    """Return the distances (N,) of images in a test at the model's scales and mirror images."""
    assert model.familiarity is not None
    return np.asarray(
        cosine_distances(_features_in(model, images, test), model.familiarity.means).min(1)
    )


def _features_in(model: Classifier, images: Sequence[Image.Image], test: str) -> np.ndarray:
    rows = []
    for image in images:
        views = []
        for scale in model.test_scales:
            height, width = rescaled_size(image.height, image.width, scale)
            shown = np.array(image.resize((width, height), Image.Resampling.BILINEAR))
            if test == "center":
                size = model.input_size
                top, left = (height - size) // 2, (width - size) // 2
                shown = shown[top : top + size, left : left + size]
            turned = [shown[:, ::-1].copy()] if model.test_flip else []
            views += [plain_features(model, one[None])[0] for one in (shown, *turned)]
        rows.append(np.mean(views, 0))
    return np.stack(rows)


def telling(
    model: Classifier,
    train: Sequence[Image.Image],
    new: Sequence[Image.Image],
    test: str = "dense",
    least: float = 0.0,
) -> Classifier:
    """Return a model that was trained on some images and refuses half of the new ones as unlike.

    Args:
        model: The model.
        train: Images of its classes, one after the other; those of the last class are missing.
        new: The median of their distances is the limit, with a bit of room.
        test: Test protocol.
        least: Threshold; without distances, it would be 1.
    """
    features = normalize(_features_in(model, train, test))
    labels = np.arange(len(train)) % (len(model.classes) - 1)
    means = [features[labels == label].mean(0) for label in range(len(model.classes) - 1)]
    reference = Familiarity(normalize(np.stack(means)).astype(np.float32), len(train))
    known = dataclasses.replace(model, familiarity=reference)
    far = np.sort(plain_distances(known, new, test))
    threshold = Threshold(least, 5.0, 95.0, 100, 60, 0, 4.9)
    learned = Abstention(
        "val",
        str(TestProtocol(test).for_model(model)),
        threshold=threshold,
        threshold_alone=dataclasses.replace(threshold, least=1.0),
        sets=ClassSets(0.2, 90.0, 100, 2.0),
        familiar=Familiar(
            float(far[len(far) // 2 - 1 : len(far) // 2 + 1].mean()),
            2.0,
            100,
            model.feature_layer,
            len(train),
        ),
    )
    return dataclasses.replace(known, abstention=learned)


def odd_images(count: int, seed: int = 0) -> list[Image.Image]:
    """Return images from smooth to noisy, of a few sizes."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        width, height = 40 + 7 * (number % 3), 40 + 5 * (number % 2)
        share = number / max(1, count - 1)
        colour = generator.integers(0, 256, 3)
        noise = generator.integers(0, 256, (height, width, 3))
        pixels = (1 - share) * colour + share * noise
        found.append(Image.fromarray(pixels.astype(np.uint8)))
    return found
