"""The proof of an export: it measures differences rightly, and catches a spoiled file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from exported_nets import images
from PIL import Image
from random_nets import random_classifier
from telling_nets import odd_images, plain_distances, telling

from verydeep.errors import ModelError, PictureError
from verydeep.models.classifier import Classifier
from verydeep.models.export.describe import describe
from verydeep.models.export.proof import compare, write_report
from verydeep.models.exported.session import Outputs


class Altered:
    """A runtime whose probabilities differ from the model's by known amounts."""

    runtime = "Altered 1"

    def __init__(self, model: Classifier, shifts: list[float]) -> None:
        self.model, self.shifts, self.sizes = model, shifts, []

    def run(self, shown: np.ndarray) -> Outputs:
        self.sizes.append(len(shown))
        scores = self.model.score_map(shown.transpose(0, 3, 1, 2))
        powers = np.exp(scores.mean((2, 3)))
        likely = powers / powers.sum(1, keepdims=True)
        for row in likely:
            row[2] += self.shifts.pop(0)
        return Outputs(likely, scores)


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(images(1, 40, 50, seed)[0]) for seed in range(count)]


@pytest.mark.parametrize("dense", [False, True])
def test_differences_and_changes_are_counted_image_by_image(dense: bool) -> None:
    model = random_classifier(name="A")
    session = Altered(model, [0, 0.01, 0, -0.02, 0, 1.0, 0])
    found = compare(model, describe(model, dense=dense), session, pictures(7), bound=0.5)
    expected = [0, 0.01, 0, 0.02, 0, 1, 0]
    assert [one.difference for one in found.pictures] == pytest.approx(expected, abs=1e-5)
    assert found.pictures[5].by_file == "class 2"
    assert found.largest_difference == pytest.approx(1, abs=1e-5)
    assert not found.holds
    assert found.changed == sum(one.likeliest != one.by_file for one in found.pictures)
    assert session.sizes == [1, 4, 2]  # several sizes of batches


def test_not_a_number_is_a_difference() -> None:
    model = random_classifier(name="A")
    shifts = [0, float("nan"), 0]
    found = compare(model, describe(model, dense=False), Altered(model, shifts), pictures(3))
    assert not found.holds


def test_the_report_is_written_as_json_and_text(tmp_path: Path) -> None:
    model = random_classifier(name="A")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    shown = [*pictures(2), broken]
    found = compare(model, describe(model, dense=False), Altered(model, [0, 0]), shown)
    assert found.holds
    write_report(found, tmp_path, "a.onnx")
    read = json.loads((tmp_path / "a.onnx.parity.json").read_text())
    assert (read["images"], read["likeliest_changed"], read["holds"]) == (2, 0, True)
    assert [one["image"] for one in read["pictures"]] == ["image 1", "image 2"]
    assert len(read["unreadable"]) == 1
    text = (tmp_path / "a.onnx.parity.txt").read_text()
    assert "likeliest class changed: 0 of 2" in text
    assert "unreadable and left out: 1" in text


def test_without_a_readable_image_there_is_no_proof(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    model = random_classifier(name="A")
    with pytest.raises(PictureError, match="none of the images to compare"):
        compare(model, describe(model, dense=False), Altered(model, []), [broken])


class Distant(Altered):
    """A runtime that also gives distances, which differ by known amounts."""

    def __init__(self, model: Classifier, by_view: list[float], by_mean: list[float]) -> None:
        super().__init__(model, [0.0] * len(by_view))
        self.by_view, self.by_mean = by_view, by_mean

    def run(self, shown: np.ndarray) -> Outputs:
        found, count = super().run(shown), len(shown)
        assert self.model.familiarity is not None
        _, maps = self.model.scores_and_features(shown.transpose(0, 3, 1, 2))
        features = maps.mean((2, 3))
        products = features @ self.model.familiarity.means.T
        far = self.model.familiarity.distances(features) + self._next(self.by_view, count)
        products -= (self._next(self.by_mean, count) * np.linalg.norm(features, axis=1))[:, None]
        return found._replace(distance=far, features=features, projections=products)

    @staticmethod
    def _next(shifts: list[float], count: int) -> np.ndarray:
        taken = np.array(shifts[:count])
        del shifts[:count]
        return taken


def test_distances_are_compared_in_both_ways() -> None:
    """As the file gives them for one view, and as they are computed for several."""
    shown = odd_images(6)
    model = telling(random_classifier(name="A", num_classes=3), odd_images(6, 1), shown)
    session = Distant(model, [0, 0, 0.2, 0, -2, 0], [0, -0.1, 0, 0, 0, 0])
    found = compare(model, describe(model, dense=True), session, shown, bound=0.3)
    apart = [one.distance_difference for one in found.pictures]
    assert apart == pytest.approx([0, 0.1, 0.2, 0, 2, 0], abs=1e-5)
    still = dataclasses.replace(model, test_flip=False)
    assert [one.distance for one in found.pictures] == pytest.approx(
        plain_distances(still, shown, "dense"), abs=1e-5
    )
    assert (found.largest_distance_difference, found.holds) == (pytest.approx(2), False)
    assert model.abstention is not None
    assert model.abstention.familiar is not None
    limit, moved = model.abstention.familiar.limit, [0, 0, 0.2, 0, -2, 0]
    crossed = [
        (one.distance <= limit) != (one.distance + shift <= limit)
        for one, shift in zip(found.pictures, moved, strict=True)
        if one.distance is not None
    ]
    assert found.told_otherwise == sum(crossed) > 0
    value = found.to_dict()
    assert (value["told_otherwise"], value["pictures"][4]["told_otherwise"]) == (sum(crossed), True)
    assert "largest difference of a distance: 2 (at most 0.3)" in found.text()
    assert "difference 1.00e-01" in found.text()


def test_a_distance_that_is_missing_or_no_number_is_no_proof() -> None:
    shown = odd_images(3)
    model = telling(random_classifier(name="A", num_classes=3), shown, shown)
    about = describe(model, dense=True)
    with pytest.raises(ModelError, match="gives no distance from the training images"):
        compare(model, about, Altered(model, [0.0] * 3), shown)
    nan = float("nan")
    assert not compare(model, about, Distant(model, [0, nan, 0], [0] * 3), shown).holds
    assert compare(model, about, Distant(model, [0] * 3, [0] * 3), shown).holds


def test_the_report_of_other_models_has_no_distances() -> None:
    model = random_classifier(name="A")
    found = compare(model, describe(model, dense=False), Altered(model, [0, 0]), pictures(2))
    assert found.largest_distance_difference is None
    assert "distance" not in found.text() + json.dumps(found.to_dict())
