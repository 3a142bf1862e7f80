"""The transformer follows scikit-learn's conventions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import verydeep
from transfer.made import classifier, noise
from verydeep import FeatureExtractor
from verydeep.errors import InputError, PictureError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a model folder."""
    classifier().save(tmp_path / "model")
    return tmp_path / "model"


def of_folder(folder: Path, **settings: Any) -> FeatureExtractor:
    return FeatureExtractor(folder, device="cpu", precision="fp32", **settings)


def test_pictures_paths_arrays_and_folders_are_the_same_to_it(saved: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for path, picture in zip(paths, noise(), strict=True):
        picture.save(path)
    extractor = of_folder(saved)
    expected = extractor.transform(noise())
    assert expected.shape == (7, 32)
    assert expected.dtype == np.float32
    for given in (paths, [str(path) for path in paths], np.array([str(p) for p in paths])):
        np.testing.assert_array_equal(extractor.transform(given), expected)
    np.testing.assert_array_equal(extractor.transform([np.asarray(p) for p in noise()]), expected)
    column = np.array(paths, dtype=object)[:, None]
    np.testing.assert_array_equal(extractor.transform(column), expected)


def test_many_arrays_of_one_size(saved: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 70, 3), dtype=np.uint8)
    found = of_folder(saved).transform(pixels)
    np.testing.assert_array_equal(found, of_folder(saved).transform(list(pixels)))
    assert len(found) == 3


def test_no_picture_gives_no_row(saved: Path) -> None:
    assert of_folder(saved).transform([]).shape == (0, 32)


def test_its_vectors_are_those_of_features(trained_run: Path, pictures: Path) -> None:
    settings = {"scales": (40, 50), "layer": "fc6", "aggregate": "stack", "flip": True}
    how = verydeep.Descriptor(**settings)
    compute = verydeep.Compute("cpu", "fp32")
    found = verydeep.features(trained_run, pictures, how, compute=compute).split("train")
    extractor = FeatureExtractor(trained_run, **settings, device="cpu", precision="fp32")
    paths = [pictures / name for name in found.files]
    np.testing.assert_allclose(extractor.transform(paths), found.vectors, rtol=1e-4, atol=1e-6)


# ---- scikit-learn's manners ----


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
    ],
)
def test_scikit_learns_checks_that_take_any_kind_of_data(check: Any) -> None:
    check("FeatureExtractor", FeatureExtractor("runs/a"))


def test_it_is_fitted_from_the_start(saved: Path) -> None:
    extractor = of_folder(saved)
    check_is_fitted(extractor)
    assert extractor.fit(noise(), [0] * 7) is extractor
    assert vars(extractor) == vars(clone(extractor))


def test_copies_hold_settings_and_not_the_net(saved: Path) -> None:
    extractor = of_folder(saved, layer="fc6", scales=(70,))
    expected = extractor.transform(noise())
    assert len(pickle.dumps(extractor)) < 2000
    for copied in (clone(extractor), pickle.loads(pickle.dumps(extractor))):
        assert copied.get_params() == extractor.get_params()
        np.testing.assert_array_equal(copied.transform(noise()), expected)


def test_a_setting_that_changes_is_heeded(saved: Path, tmp_path: Path) -> None:
    extractor = of_folder(saved)
    before = extractor.transform(noise())
    assert extractor.set_params(layer="pool5").transform(noise()).shape == (7, 64)
    other = classifier().on(classifier().machine)
    other.preprocessing = verydeep.load(saved).preprocessing.__class__((0.0, 0.0, 0.0), 255.0)
    other.save(tmp_path / "other")
    after = extractor.set_params(layer="fc7", model=tmp_path / "other").transform(noise())
    assert np.abs(after - before).max() > 1e-3


def test_a_loaded_model_does_as_well(saved: Path) -> None:
    extractor = FeatureExtractor(classifier())
    np.testing.assert_array_equal(extractor.transform(noise()), of_folder(saved).transform(noise()))
    copied = pickle.loads(pickle.dumps(clone(extractor)))
    np.testing.assert_array_equal(copied.transform(noise()), extractor.transform(noise()))


def test_it_is_a_step_of_a_pipeline(trained_run: Path, pictures: Path) -> None:
    paths = np.array(sorted(str(p) for p in (pictures / "train").rglob("*.png")))
    labels = [Path(path).parent.name for path in paths]
    extractor = FeatureExtractor(trained_run, device="cpu", precision="fp32")
    pipeline = make_pipeline(extractor, LinearSVC(C=10))
    assert cross_val_score(pipeline, paths, labels, cv=2).mean() > 0.9
    tested = sorted((pictures / "test").rglob("*.png"))
    guesses = pipeline.fit(paths, labels).predict(tested)
    assert np.mean([guess == p.parent.name for guess, p in zip(guesses, tested, strict=True)]) > 0.9
    assert pipeline[:-1].get_feature_names_out().tolist() == [f"fc7_{n}" for n in range(8)]


def test_names_of_the_numbers(saved: Path) -> None:
    names = of_folder(saved, aggregate="stack").get_feature_names_out()
    assert names.dtype == object
    assert (names[0], names[-1], len(names)) == ("fc7_64_0", "fc7_96_31", 64)


# ---- errors ----


def test_a_picture_that_cannot_be_read_is_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (80, 80)).save(tmp_path / "good.png")
    with pytest.raises(PictureError, match=r"1 of 2 images are unreadable:\n  .*broken\.png"):
        of_folder(saved).transform([tmp_path / "good.png", tmp_path / "broken.png"])


def test_settings_are_checked_when_pictures_come(saved: Path) -> None:
    with pytest.raises(InputError, match="layer must be one of"):
        of_folder(saved, layer="fc9").transform(noise())
    with pytest.raises(InputError, match="FeatureExtractor needs a model"):
        FeatureExtractor().transform(noise())
