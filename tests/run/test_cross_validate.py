"""Cross-validation: every image held out once, an ordinary run a fold, resumed where it stopped."""

from __future__ import annotations

import csv
import json
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from progresses import Listening
from tiny import Outcome, flags, recipe, strict_json, write_class_folders
from whole_runs import QUICK, weights

import verydeep as package
from verydeep import cross_validate, load, read_dataset
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.metrics import topk_error
from verydeep.evaluation.stored_posteriors import StoredPosteriors
from verydeep.training.run_list import list_runs

Program = Callable[..., Outcome]

FP32 = package.Compute(precision="fp32")
LEARN = ("training.precision=fp32", "training.epochs=4", "net.norm=batch", "net.dropout=0")


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 12 images, of six animals each: 00 and 06 show the same one, and so on."""
    root = write_class_folders(tmp_path_factory.mktemp("data") / "pets", 12)
    for path in sorted(root.glob("*/*.png")):
        path.rename(path.with_name(f"{path.parent.name}{int(path.stem) % 6}_{path.stem}.png"))
    return root


@pytest.fixture(scope="module")
def whole(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished cross-validation in three folds, by animal."""
    out = tmp_path_factory.mktemp("runs") / "cv"
    rule = r"name:(\w+?\d)_"
    return cross_validate(pets, 3, recipe(*LEARN), out, group_by=rule, progress=False)


def test_every_image_is_held_out_once_with_its_group(pets: Path, whole: Any) -> None:
    posteriors = whole.posteriors
    files = {path.relative_to(pets).as_posix() for path in pets.glob("*/*.png")}
    assert set(posteriors.answers.names) == files
    assert len(posteriors.answers.names) == len(files) == whole["images"] == 36
    folds: dict[str, set[int]] = {}
    for name, fold in zip(posteriors.answers.names, posteriors.folds.tolist(), strict=True):
        folds.setdefault(name.partition("_")[0], set()).add(fold)
    assert all(len(own) == 1 for own in folds.values())
    assert set().union(*folds.values()) == {1, 2, 3}
    trained = package.read_dataset(pets, fold="2/3", group_by=r"name:(\w+?\d)_").split("train")
    held = {n for n, f in zip(posteriors.answers.names, posteriors.folds, strict=True) if f == 2}
    assert not held & {path.relative_to(pets).as_posix() for path in trained.paths}


def test_posteriors_are_those_of_the_net_that_did_not_see_the_image(pets: Path, whole: Any) -> None:
    answers, folds = whole.posteriors.answers, whole.posteriors.folds
    for number, run in enumerate(whole.runs, start=1):
        own = np.flatnonzero(folds == number)
        result = package.evaluate(run, compute=FP32, progress=False)
        assert set(result.answers.names) == {answers.names[n] for n in own}
        by_name = dict(zip(result.answers.names, result.answers.posteriors, strict=True))
        likely = np.stack([by_name[answers.names[n]] for n in own])
        np.testing.assert_allclose(answers.posteriors[own], likely, atol=1e-5)
        assert load(run).classes == answers.classes
        another = whole.runs[number % 3]
        other = package.evaluate(another, pets, split="all", compute=FP32, progress=False)
        by_other = dict(zip(other.answers.names, other.answers.posteriors, strict=True))
        seen = np.stack([by_other[answers.names[n]] for n in own])
        assert np.abs(answers.posteriors[own] - seen).max() > 0.02


def test_the_summary_agrees_with_the_folds(whole: Any) -> None:
    answers = whole.posteriors.answers
    assert whole.top1_error == pytest.approx(topk_error(answers.posteriors, answers.labels, 1))
    errors = [json.loads((run / "metrics.json").read_text())["top1_error"] for run in whole.runs]
    assert [fold["top1_error"] for fold in whole["folds"]] == errors
    assert whole["mean"]["top1_error"] == pytest.approx(np.mean(errors))
    assert whole["std"]["top1_error"] == pytest.approx(statistics.stdev(errors))
    written = strict_json((whole.run / "cross_validation.json").read_text())
    assert written == whole.to_dict()
    with (whole.run / "out_of_fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(answers.names)
    assert [answers.classes[guess] for guess in answers.guesses] == [r["likeliest"] for r in rows]
    again = StoredPosteriors.read(whole.run / "posteriors.npz")
    np.testing.assert_array_equal(again.answers.posteriors, answers.posteriors)
    assert [summary.state for summary in list_runs(whole.run)] == ["finished"] * 3


def test_the_page_shows_all_folds(whole: Any) -> None:
    page = whole.report.read_text()
    assert page.count('href="fold-') == 3
    assert f"{whole['mean']['top1_error']:.2f} ± {whole['std']['top1_error']:.2f} %" in page


def test_the_page_can_be_written_again(whole: Any, tmp_path: Path, verydeep: Program) -> None:
    out = tmp_path / "cv"
    shutil.copytree(whole.run, out)
    before = (out / "report.html").read_text()
    parts = re.findall(r'<section id="(\w+)">', before)
    assert re.findall(r'<li><a href="#(\w+)">', before) == parts
    environment = json.loads((out / "fold-1" / "environment.json").read_text())
    environment["command"] = ["verydeep", "train", "pets", "--folds", "3"]
    (out / "fold-1" / "environment.json").write_text(json.dumps(environment))
    (out / "report.html").unlink()
    value = strict_json(verydeep("report", out, "--json").out)
    assert value["top1_error"] == whole.top1_error
    again = (out / "report.html").read_text()
    assert again.count("<figure>") == before.count("<figure>")
    assert '<pre class="wrap">verydeep train pets --folds 3</pre>' in again
    (out / "cross_validation.json").unlink()
    outcome = verydeep("report", out)
    assert outcome.code == 2
    assert "the cross-validation is not finished; go on with --resume" in outcome.err


def test_finished_folds_are_not_trained_again(
    pets: Path, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cv"
    shutil.copytree(whole.run, out)
    for name in ("cross_validation.json", "posteriors.npz", "fold-2/metrics.json"):
        (out / name).unlink()
    shutil.rmtree(out / "fold-3")
    said = Listening()
    result = cross_validate(pets, None, recipe(*QUICK), out, resume=True, progress=said)
    assert "fold 1/3: finished already" in said.lines
    assert "fold 2/3:" in said.lines
    assert weights(out / "fold-3") == weights(whole.run / "fold-3")
    np.testing.assert_array_equal(
        result.posteriors.answers.posteriors, whole.posteriors.answers.posteriors
    )
    monkeypatch.setattr(
        "verydeep.run.training.cross_validate.train", lambda *_: pytest.fail("trained again")
    )
    assert cross_validate(pets, 3, out=out, resume=True, progress=False).top1_error == (
        whole.top1_error
    )


def test_what_cannot_be_cross_validated_is_refused(pets: Path, whole: Any, tmp_path: Path) -> None:
    quick = recipe(*QUICK)
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"folds": 1, "out": tmp_path / "a"}, InputError, "must be 2 to 100, got 1"),
        ({"folds": 3, "out": whole.run}, ModelError, "already contains a cross-validation"),
        ({"folds": 4, "out": whole.run, "resume": True}, InputError, "begun with 3 folds, got 4"),
        ({"out": tmp_path / "b", "resume": True}, ModelError, "no cross-validation to resume"),
        ({"out": tmp_path / "c", "fold": "1/3"}, InputError, "data.fold"),
        ({"folds": 13, "out": tmp_path / "d"}, DataError, "too few to make 13 folds"),
        ({"out": tmp_path / "e", "recipe": "localization"}, InputError, "is for classifiers"),
    ]
    for given, error, words in cases:
        with pytest.raises(error, match=words):
            cross_validate(pets, **{"recipe": quick, "progress": False, **given})
    with pytest.raises(DataError, match="was trained on"):
        cross_validate(tmp_path, 3, quick, whole.run, resume=True, progress=False)
    assert not list((tmp_path / "d").iterdir())  # another number of folds may be tried there
    with pytest.raises(ModelError, match=r"several models; name one, like .*fold-1"):
        package.load(whole.run)


def test_the_program_says_what_the_folds_say(pets: Path, tmp_path: Path, verydeep: Program) -> None:
    out = tmp_path / "cv"
    command = ("train", pets, "--out", out, "--folds", 2, "--group-by", r"name:(\w+?\d)_")
    outcome = verydeep(*command, *flags(*QUICK), "--json")
    assert outcome.code == 0, outcome.err
    value = strict_json(outcome.out)
    assert (len(value["folds"]), value["images"], value["split"]) == (2, 36, "held out")
    text = verydeep(*command[:4], *flags(*QUICK), "--resume").out
    assert "36 images, each by the net that did not see it: top-1 error" in text
    assert str(out / "out_of_fold.csv") in text
    first = read_dataset(pets, fold="1/2", group_by=r"name:(\w+?\d)_")
    recorded = strict_json((out / "fold-1" / "data.json").read_text())["drawn"]["test"]
    assert sum(map(len, recorded.values())) == len(first.split("test"))
    assert "group_by: name:" in (out / "fold-1" / "recipe.yaml").read_text()


@pytest.mark.slow
def test_the_recipe_auto_is_the_same_for_all_folds(pets: Path, tmp_path: Path) -> None:
    result = cross_validate(
        pets, 2, out=tmp_path / "cv", epochs=1, net="A", precision="fp32", progress=False
    )
    recipes = [(run / "recipe.yaml").read_text() for run in result.runs]
    assert recipes[0].replace("fold: 1/2", "fold: 2/2") == recipes[1]
    assert "epochs: 1" in recipes[0]
    assert result["images"] == 36
