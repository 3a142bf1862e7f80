"""Labels that are likely wrong: planted ones are found, by folds, by features and by a run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from progresses import Listening
from sklearn.datasets import load_digits
from tiny import Outcome, recipe, strict_json, write_class_folders

from verydeep import Features, cross_validate, find_label_errors, read_dataset
from verydeep.checks.label_errors import LabelError, LabelErrors
from verydeep.checks.label_page import write_label_page
from verydeep.cli.text.labels import labels_as_text
from verydeep.data.samples import Samples
from verydeep.errors import DataError, InputError
from verydeep.run import label_errors
from verydeep.transfer.features import About
from verydeep.transfer.out_of_fold import out_of_fold_posteriors
from verydeep.transfer.storage import write_features

Program = Callable[..., Outcome]

WRONG = {"red/g3.png", "red/g11.png"}
"""Images of ``colours`` in the wrong folder."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Features, set[str]]:
    """A table of 600 digits with 30 wrong labels, their pixels as features, and the wrong ones."""
    root = tmp_path_factory.mktemp("digits")
    whole = load_digits()
    planted = set(np.random.default_rng(0).choice(600, 30, replace=False).tolist())
    rows, files = ["file,label"], []
    for number in range(600):
        label = int(whole.target[number])
        files.append(f"{number:03}.png")
        Image.fromarray(np.uint8(whole.images[number] * 15.9)).save(root / files[-1])
        rows.append(f"{files[-1]},{(label + 3) % 10 if number in planted else label}")
    (root / "digits.csv").write_text("\n".join(rows) + "\n")
    vectors = whole.data[:600].astype(np.float32)
    about = About(
        *("pixels", "none", "pixels", (8,), False, "mean", 64, "fp32", str(root), (), "0"),
    )
    names = np.array(files)
    features = Features(names, np.full(600, "all"), np.full(600, "?"), vectors, about)
    return root / "digits.csv", features, {files[number] for number in planted}


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that are told by their colour, with two green images among the red ones."""
    root = write_class_folders(tmp_path_factory.mktemp("data") / "colours", 20)
    for number in (3, 11):
        (root / "green" / f"{number:02}.png").rename(root / "red" / f"g{number}.png")
    return root


@pytest.fixture(scope="module")
def folded(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation of these images that has learned them."""
    learn = recipe(
        "net.norm=batch",
        "net.dropout=0",
        "training.schedule=cosine",
        "training.epochs=20",
        "training.micro_batch=8",
        "training.precision=fp32",
    )
    out = tmp_path_factory.mktemp("runs") / "cv"
    cross_validate(colours, 2, learn, out, progress=False)
    return out


def names(found: LabelErrors) -> set[str]:
    return {error.image for error in found.errors}


def test_planted_labels_of_digits_are_found_by_their_features(
    digits: tuple[Path, Features, set[str]],
) -> None:
    table, features, wrong = digits
    found = find_label_errors(table, features=features, progress=False)
    hits = names(found) & wrong
    assert len(hits) / len(wrong) >= 0.8
    assert len(hits) / len(found.errors) >= 0.8
    suggested = {error.image: error.suggested for error in found.errors}
    truth = {f"{number:03}.png": str(label) for number, label in enumerate(load_digits().target)}
    assert np.mean([suggested[one] == truth[one] for one in hits]) >= 0.9
    assert [error.score for error in found.errors] == sorted(e.score for e in found.errors)
    assert found.judged == 600
    assert abs(found.estimated - 30) < 15


def test_what_cannot_be_is_refused_before_a_net_sees_an_image(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_errors, "_features", Mock(side_effect=AssertionError))
    with pytest.raises(InputError, match="method must be one of"):
        find_label_errors(colours, features="runs/a", method="guess")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="folds"):
        find_label_errors(colours, features="runs/a", folds=500, progress=False)


def test_a_file_of_features_says_the_same_and_files_are_written(
    digits: tuple[Path, Features, set[str]], tmp_path: Path
) -> None:
    table, features, _ = digits
    from verydeep.transfer.extract import FeaturePart

    part = FeaturePart("all", tuple(features.files), ("?",) * 600, features.vectors)
    write_features(tmp_path / "digits.npz", iter([part]), features.about)
    out = tmp_path / "out"
    found = find_label_errors(table, features=tmp_path / "digits.npz", out=out, progress=False)
    again = find_label_errors(table, features=features, progress=False)
    assert found.errors == again.errors
    assert json.loads((out / "labels.json").read_text()) == found.to_dict()
    with (out / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [error.image for error in found.errors]
    assert rows[0].keys() == {"image", "split", "given", "suggested", "score", "probability"}
    page = (out / "labels.html").read_text()
    assert page.count("<figure>") == len(found.errors)
    assert page.count('<section class="sheet">') == len(found.pairs)


def test_folds_of_the_regression_hold_out_whole_groups() -> None:
    """Where an image's double has its label, only groups keep it from being repeated."""
    generator = np.random.default_rng(0)
    vectors = np.repeat(generator.normal(size=(40, 80)), 2, axis=0).astype(np.float32)
    labels = np.repeat(generator.integers(0, 2, 40), 2)
    apart = np.arange(80) % 2
    together = np.arange(80) // 2 % 2
    right = {
        name: float(
            (out_of_fold_posteriors(vectors, labels, folds).argmax(axis=1) == labels).mean()
        )
        for name, folds in (("apart", apart), ("together", together))
    }
    assert right["apart"] > 0.95
    assert right["together"] < 0.8


def test_posteriors_are_those_of_a_regression_without_the_fold() -> None:
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 90)
    vectors = (generator.normal(size=(90, 5)) + np.eye(3, 5)[labels] * 2).astype(np.float32)
    folds = np.arange(90) % 3
    found = out_of_fold_posteriors(vectors, labels, folds, costs=(4.0,))
    scaled = (vectors - vectors.mean(0)) / vectors.std() / np.sqrt(5)
    for fold in range(3):
        kept = folds != fold
        fitted = LogisticRegression(C=4.0, max_iter=1000).fit(scaled[kept], labels[kept])
        np.testing.assert_allclose(found[~kept], fitted.predict_proba(scaled[~kept]), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_cross_validation_finds_images_in_the_wrong_folder(colours: Path, folded: Path) -> None:
    found = find_label_errors(colours, model=folded, progress=False)
    assert names(found)
    assert names(found) <= WRONG
    assert found.pairs == [("red", "green", len(names(found)))]
    assert found.judged == 60
    assert not found.left_out


def test_a_corrected_label_is_not_doubted_again(
    colours: Path, folded: Path, tmp_path: Path
) -> None:
    """Images are known by name, so labels may change; moved ones took part under another name."""
    rows = [
        (path.relative_to(colours), "green" if path.stem == "g3" else path.parent.name)
        for path in sorted(colours.glob("*/*.png"))
    ]
    table = colours / "corrected.csv"
    table.write_text("file,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    found = find_label_errors(table, model=folded, progress=False)
    table.unlink()
    assert names(found) <= {"red/g11.png"}
    shutil.copytree(colours, tmp_path / "moved")
    (tmp_path / "moved/red/g3.png").rename(tmp_path / "moved/green/g3.png")
    found = find_label_errors(tmp_path / "moved", model=folded, progress=False)
    assert found.judged == 59
    assert names(found) <= {"red/g11.png"}
    assert found.left_out == {"that took no part in the cross-validation": 1}


def test_a_run_judges_only_what_it_has_not_seen(colours: Path, folded: Path) -> None:
    run = folded / "fold-1"
    drawn = strict_json((run / "data.json").read_text())["drawn"]
    trained = {name for names in drawn["train"].values() for name in names}
    found = find_label_errors(colours, model=run, progress=False)
    assert not names(found) & trained
    assert names(found) <= WRONG - trained
    assert found.judged == 60 - len(trained)
    assert found.left_out == {
        "on which the model was trained, and whose labels it repeats": len(trained)
    }


def test_a_run_that_has_seen_everything_is_refused(colours: Path, folded: Path) -> None:
    run = folded / "fold-1"
    drawn = strict_json((run / "data.json").read_text())["drawn"]
    rows = [f"{name},{label}" for label, names in drawn["train"].items() for name in names]
    table = colours / "seen.csv"
    table.write_text("\n".join(["file,label", *rows]) + "\n")
    with pytest.raises(InputError, match=r"was trained on all .* repeats their labels"):
        find_label_errors(table, model=run, progress=False)
    table.unlink()


def test_a_model_without_a_run_is_taken_to_have_seen_nothing(
    colours: Path, folded: Path, tmp_path: Path
) -> None:
    shutil.copytree(folded / "fold-1" / "model", tmp_path / "model")
    said = Listening()
    found = find_label_errors(colours, model=tmp_path / "model", progress=said)
    assert found.judged == 60
    assert any("it is not known which images it was trained on" in line for line in said.lines)


def test_what_cannot_be_judged_is_refused(
    colours: Path, digits: tuple[Path, Features, set[str]], tmp_path: Path
) -> None:
    table, features, _ = digits
    with pytest.raises(InputError, match="give one of model= and features="):
        find_label_errors(colours, progress=False)
    with pytest.raises(InputError, match="give one of model= and features="):
        find_label_errors(colours, model="a", features="b", progress=False)
    with pytest.raises(DataError, match="none of its images has features"):
        find_label_errors(colours, features=features, progress=False)
    with pytest.raises(DataError, match="too few to make 90 folds"):
        find_label_errors(table, features=features, folds=90, progress=False)
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "folds.json").write_text("{}")
    with pytest.raises(InputError, match="the cross-validation is not finished"):
        find_label_errors(colours, model=tmp_path / "cv", progress=False)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Features, set[tuple[str, str]]]:
    """A table of 400 images of some animals or none, features, and the planted wrong answers."""
    root, generator = tmp_path_factory.mktemp("scenes"), np.random.default_rng(1)
    classes = ("cat", "dog", "elk")
    truth = generator.random((400, 3)) < (0.5, 0.3, 0.2)
    vectors = truth @ np.eye(3, 8) + generator.normal(0, 0.15, (400, 8))
    planted = generator.choice(400, 24, replace=False)
    given, wrong = truth.copy(), set()
    for place, number in enumerate(planted.tolist()):
        label = place % 3
        given[number, label] ^= True
        words = classes[label] if given[number, label] else f"not {classes[label]}"
        wrong.add((f"{number:03}.png", words))
    rows, files = ["file,labels"], [f"{number:03}.png" for number in range(400)]
    for name, own in zip(files, given, strict=True):
        (root / name).touch()
        rows.append(f"{name},{';'.join(np.array(classes)[own])}")
    (root / "scenes.csv").write_text("\n".join(rows) + "\n")
    about = About(
        *("pixels", "none", "pixels", (8,), False, "mean", 8, "fp32", str(root), classes, "0"),
    )
    texts = np.full(400, "?")
    features = Features(
        np.array(files), np.full(400, "all"), texts, vectors.astype(np.float32), about
    )
    return root / "scenes.csv", features, wrong


def test_planted_labels_of_several_are_found_class_by_class(
    scenes: tuple[Path, Features, set[tuple[str, str]]], tmp_path: Path
) -> None:
    table, features, wrong = scenes
    found = find_label_errors(table, features=features, out=tmp_path / "out", progress=False)
    named = {(error.image, error.given) for error in found.errors}
    assert len(named & wrong) >= 22
    assert len(named - wrong) <= 5
    assert 15 <= found.estimated <= 35
    assert (found.top1_error, found.judged) == (None, 400)
    assert found.hamming_loss == pytest.approx(100 * 24 / 1200, abs=0.5)
    for error in found.errors:
        opposite = error.given.removeprefix("not ")
        assert error.suggested == (f"not {opposite}" if opposite == error.given else opposite)
        assert error.score + error.probability == pytest.approx(1)
    scores = [error.score for error in found.errors]
    assert scores == sorted(scores)
    page = (tmp_path / "out" / "labels.html").read_text()
    assert "the less likely answer" in page
    value = strict_json((tmp_path / "out" / "labels.json").read_text())
    assert {(one["image"], one["given"]) for one in value["errors"]} == named


def test_a_run_judges_the_labels_of_images_that_it_has_not_seen(
    multi_label_run: Path, stripes: Path, verydeep: Program, folded: Path
) -> None:
    arguments = ("check", stripes, "--model", multi_label_run, "--no-colours")
    found = strict_json(verydeep(*arguments, "--json").out)["label_errors"]
    assert found["judged"] == 32  # val and test; it was trained on 24
    assert found["top1_error"] is None
    assert "not judged: 24 images" in verydeep(*arguments).out
    with pytest.raises(InputError, match="its nets are for one class per image, and the images"):
        find_label_errors(stripes, model=folded, progress=False)


def test_the_program_lists_them_beside_the_check(
    colours: Path, folded: Path, tmp_path: Path, verydeep: Program
) -> None:
    out = tmp_path / "out"
    outcome = verydeep("check", colours, "--model", folded, "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"likely wrong among 60 images, by the nets of {folded}" in outcome.out.split("\n")[0]
    assert "red    green" in outcome.out
    assert {"check.html", "labels.html", "labels.csv", "labels.json"} <= {
        path.name for path in out.iterdir()
    }
    value = strict_json(verydeep("check", colours, "--model", folded, "--json").out)
    (pair,) = value["label_errors"]["pairs"]
    assert (pair["given"], pair["suggested"]) == ("red", "green")
    assert {one["image"] for one in value["label_errors"]["errors"]} <= WRONG
    both = verydeep("check", colours, "--model", folded, "--features", folded)
    assert (both.code, "give one" in both.err) == (2, True)


@pytest.mark.parametrize(("top1_error", "weak"), [(75.2, True), (30.0, False)])
def test_a_weak_judge_is_called_so(top1_error: float, weak: bool, tmp_path: Path) -> None:
    error = LabelError("a/1.png", "all", "a", "b", 0.1, 0.9)
    place = tmp_path / "1.png"
    Image.new("RGB", (8, 8)).save(place)
    found = LabelErrors("pets", "a net", "both", 40, {}, 2.0, top1_error, (error,), (place,))
    page = write_label_page(found, tmp_path / "out").read_text("utf-8")
    for text in (labels_as_text(found.to_dict()), page):
        assert ("his model prefers another class for 75 % of the images" in text) == weak


def test_the_check_is_printed_before_a_fault_of_the_judge(
    colours: Path, tmp_path: Path, verydeep: Program
) -> None:
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "folds.json").write_text("{}")
    outcome = verydeep("check", colours, "--model", tmp_path / "cv", "--json")
    assert outcome.code == 2
    assert "the cross-validation is not finished" in outcome.err
    assert "label_errors" not in strict_json(outcome.out)


def test_the_program_takes_the_features_of_a_model(
    colours: Path, folded: Path, verydeep: Program
) -> None:
    model = folded / "fold-1"
    outcome = verydeep("check", colours, "--features", model, "--folds", 3, "--json")
    assert outcome.code == 0, outcome.err
    found = strict_json(outcome.out)["label_errors"]
    assert found["judged"] == 60
    assert {one["image"] for one in found["errors"]} >= WRONG
    assert (
        f"a logistic regression on fc7 of {model} (net A), each image in one of 3 folds"
        in (found["source"])
    )


def test_options_belong_to_a_judge(colours: Path, verydeep: Program) -> None:
    for judge in ((), ("--model", "runs/cv")):
        outcome = verydeep("check", colours, *judge, "--folds", 3)
        assert outcome.code == 2
        assert "--folds is for a logistic regression" in outcome.err
    for setting in (("--device", "cpu"), ("--precision", "fp32"), ("--engine", "torch")):
        outcome = verydeep("check", colours, *setting)
        assert outcome.code == 2
        assert f"{setting[0]} is for a net that judges labels" in outcome.err


def test_features_learned_from_the_labels_are_told(pictures: Path, trained_run: Path) -> None:
    progress = Listening()
    find_label_errors(pictures, features=trained_run, folds=2, progress=progress)
    (line,) = [line for line in progress.lines if "trained on" in line]
    assert f"{trained_run} was trained on 24 of these 48 images: its features may repeat" in line
    progress = Listening()
    new = Samples.of(read_dataset(pictures).split("test"))
    unseen = label_errors._Pool.of(replace(read_dataset(pictures), splits={"test": new}))
    label_errors._warn_of_seen(unseen, trained_run, progress)
    assert progress.lines == []
