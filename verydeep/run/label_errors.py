"""Labels of a data set that are likely wrong, judged by models that have not seen the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.checks.confident_learning import Method, check_method
from verydeep.checks.label_errors import Judged, LabelErrors, judge_labels
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import groups_of
from verydeep.data.label_sets import DataTask
from verydeep.data.read import Data, DataSource
from verydeep.data.samples import Sample, Samples
from verydeep.data.split import deal_folds
from verydeep.errors import DataError, InputError, plural
from verydeep.evaluation.evaluate import evaluate_labels, evaluate_samples, relabel
from verydeep.evaluation.multi_label import MultiLabelResult, truth_of
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.stored_posteriors import POSTERIORS, StoredLabels, read_stored
from verydeep.models.classifier import Classifier, name_of
from verydeep.run.features import features_of
from verydeep.run.testing.bench import load_model
from verydeep.run.testing.overlap import run_of, seen_by
from verydeep.system.device import without_secret
from verydeep.system.files import encodable, expanded, make_output_folder
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.training.folds_folder import is_cross_validation
from verydeep.transfer.features import Features
from verydeep.transfer.out_of_fold import out_of_fold_label_posteriors, out_of_fold_posteriors
from verydeep.transfer.storage import read_features

STORED = (".npz", ".parquet")
"""Endings of files with features."""


def find_label_errors(
    data: Data,
    *,
    model: str | Path | Classifier | None = None,
    features: str | Path | Classifier | Features | None = None,
    folds: int = 5,
    method: Method = "both",
    group_by: str | None = None,
    seed: int = 0,
    layout: str | None = None,
    task: DataTask | None = None,
    out: str | Path | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> LabelErrors:
    """Find labels that are likely wrong, by confident learning (Northcutt et al. 2021).

    Of multi-label data, each class of each image is judged: whether the image has it. All splits
    are judged together. The posteriors come from ``model`` or ``features``; give one of
    them.

    Args:
        data: As for :func:`verydeep.read_dataset`. No split is drawn.
        model: Folder of a cross-validation (:func:`verydeep.cross_validate`), which has judged
            every image by a net that did not see it; or a run or model, which judges only images
            that it was not trained on.
        features: A model whose features are classified by a logistic regression in several folds;
            or features of these data, or a file of them (:func:`verydeep.features`).
        folds: Number of folds of the logistic regression.
        method: How images are chosen; see
            :func:`verydeep.checks.confident_learning.likely_errors`.
        group_by: Rule for groups that the folds of the regression do not divide.
        seed: Random seed of these folds.
        layout: Folder layout of the data; None detects it.
        task: ``classification`` or ``multi-label``, where the data allow both.
        out: Folder for ``labels.html``, ``labels.csv`` and ``labels.json``; None writes nothing.
        compute: Device, precision and decoding processes; a string names the device.
        progress: Progress reporting.

    Raises:
        InputError: Not one of ``model`` and ``features`` is given, the model cannot be used or has
            seen every image, or ``out`` is inside the data or not writable.
        DataError: The data cannot be read, or a class has fewer images than folds.
    """
    if (model is None) == (features is None):
        raise InputError(f"give one of {option('model')} and {option('features')}")
    check_method(method)
    progress, compute = choose_progress(progress), Compute.of(compute)
    source = DataSource(data, layout, task)
    dataset = source.read(draw=False, stream=False, progress=progress)
    target = None if out is None else make_output_folder(Path(out), dataset.root)
    pool = _Pool.of(dataset)
    if features is not None:
        rule = None if group_by is None else GroupRule.parse(group_by)
        answers = _by_features(pool, features, folds, rule, seed, compute, progress)
    else:
        assert model is not None
        answers = _by_model(pool, model, compute, progress)
    judged = pool.judged(answers)
    result = judge_labels(
        judged,
        data=without_secret(source.name),
        source=answers.source,
        method=method,
        left_out=answers.left_out,
    )
    if target is not None:
        from verydeep.checks.label_page import write_label_page

        with hold(target):
            write_label_page(result, target, workers=compute.workers, progress=progress)
    return result


@dataclass(frozen=True)
class _Answers:
    """Posteriors of some images of a pool.

    Attributes:
        numbers: Indices of the n images.
        posteriors: Class probabilities, float32 (n, K).
        classes: Names of the K classes.
        source: Origin, in words.
        left_out: Images of the pool that are not among them, by reason.
    """

    numbers: Sequence[int]
    posteriors: NDArray[np.float32]
    classes: tuple[str, ...]
    source: str
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pool:
    """The images of all splits together, each once.

    Attributes:
        dataset: Their data set.
        samples: The N images.
        names: Their names within the data set.
        splits: Their splits.
    """

    dataset: Dataset
    samples: Samples
    names: tuple[str, ...]
    splits: tuple[str, ...]

    @staticmethod
    def of(dataset: Dataset) -> _Pool:
        rows: dict[str, tuple[Sample, str]] = {}
        for split, samples in dataset.splits.items():
            for sample in samples:
                name = relative_name(sample.path, dataset.root)
                rows.setdefault(name, (sample, split))
        samples = Samples.of(sample for sample, _ in rows.values())
        if dataset.label_sets is not None:
            samples = samples.with_sets(dataset.label_sets, samples.labels)
        return _Pool(dataset, samples, tuple(rows), tuple(split for _, split in rows.values()))

    def labelled(self, classes: Sequence[str]) -> Samples:
        """Return the images with labels that are indices of a model's classes."""
        whole = replace(self.dataset, splits={"all": self.samples})
        return relabel(whole, "all", classes)

    def judged(self, answers: _Answers) -> Judged:
        """Return the images that have posteriors."""
        numbers = list(answers.numbers)
        return Judged(
            [self.names[number] for number in numbers],
            [self.splits[number] for number in numbers],
            self.labelled(answers.classes).take(numbers),
            answers.posteriors,
            answers.classes,
        )


def _by_model(
    pool: _Pool, model: str | Path | Classifier, compute: Compute, progress: Progress
) -> _Answers:
    if isinstance(model, str | Path) and is_cross_validation(model):
        return _held_out(pool, expanded(model))
    run = run_of(model)
    seen = None if run is None else seen_by(run, pool.samples, pool.dataset.root)
    if seen is None:
        progress.log(
            f"{name_of(model)}: it is not known which images it was trained on; it is taken to "
            "have seen none of these"
        )
        seen = np.zeros(len(pool.samples), np.bool_)
    new = np.flatnonzero(~seen).tolist()
    trained = {"on which the model was trained, and whose labels it repeats": int(seen.sum())}
    if not new:
        raise InputError(
            f"{name_of(model)} was trained on all {plural(len(seen), 'image')} of "
            f"{pool.dataset.place}, and repeats their labels, right or wrong. Judge by nets that "
            f"have not seen them: verydeep train with {option('folds', 5)}, or "
            f"{option('features')} here"
        )
    several = pool.dataset.multi_label
    net = load_model(model, compute, multi_label=several)
    samples = pool.labelled(net.classes).take(new)
    protocol = TestProtocol("dense" if net.any_size else "center")
    test: Callable[..., EvaluationResult | MultiLabelResult]
    test = evaluate_labels if several else evaluate_samples
    result = test(
        [net],
        samples,
        protocol,
        split="labels",
        root=pool.dataset.root,
        workers=compute.workers,
        progress=progress,
    )
    names = {pool.names[number]: number for number in new}
    numbers = [names[name] for name in result.answers.names]
    left = {**trained, "that cannot be read": len(result.unreadable)}
    source = f"{name_of(model)}, on images that it was not trained on"
    return _Answers(numbers, result.answers.posteriors, net.classes, source, left)


def _held_out(pool: _Pool, folder: Path) -> _Answers:
    """Return the posteriors that a cross-validation kept."""
    if not (folder / POSTERIORS).is_file():
        raise InputError(
            f"{folder}: the cross-validation is not finished; go on with {option('resume', True)}"
        )
    stored = read_stored([folder / POSTERIORS])
    if isinstance(stored, StoredLabels) != pool.dataset.multi_label:
        kinds = ("one class per image", "several labels per image")
        raise InputError(
            f"{folder}: its nets are for {kinds[isinstance(stored, StoredLabels)]}, and the images "
            f"of {pool.dataset.place} have {kinds[pool.dataset.multi_label]}"
        )
    rows = {name: row for row, name in enumerate(stored.answers.names)}
    numbers = [number for number, name in enumerate(pool.names) if name in rows]
    if not numbers:
        raise DataError(f"{pool.dataset.place}: none of its images took part in {folder}")
    chosen = [rows[pool.names[number]] for number in numbers]
    left = {"that took no part in the cross-validation": len(pool.names) - len(numbers)}
    folds = int(stored.folds.max())
    source = f"the nets of {folder}, each on the images that it did not see ({folds} folds)"
    posteriors = stored.answers.posteriors[chosen]
    return _Answers(numbers, posteriors, stored.answers.classes, source, left)


def _by_features(
    pool: _Pool,
    given: str | Path | Classifier | Features,
    folds: int,
    rule: GroupRule | None,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> _Answers:
    """Return the posteriors of a logistic regression on features, fold by fold."""
    if folds < 2:
        raise InputError(f"{option('folds')} must be 2 or more, got {folds} instead")
    classes = pool.dataset.classes
    if not isinstance(given, Features):  # before they are computed
        groups = None if rule is None else groups_of(rule, pool.dataset, pool.samples)
        deal_folds(pool.samples, pool.dataset.root, folds, seed, names=classes, groups=groups)
    found = _features(pool, given, compute, progress)
    rows = {name: row for row, name in enumerate(found.files.tolist())}
    keys = [encodable(name) for name in pool.names]
    numbers = [number for number, key in enumerate(keys) if key in rows]
    if not numbers:
        raise DataError(f"{pool.dataset.place}: none of its images has features in these")
    samples = pool.samples.take(numbers)
    groups = None if rule is None else groups_of(rule, pool.dataset, samples)
    dealt = deal_folds(samples, pool.dataset.root, folds, seed, names=classes, groups=groups)
    vectors = found.vectors[[rows[keys[number]] for number in numbers]]
    if pool.dataset.multi_label:
        truth = truth_of(samples, len(classes))
        likely = out_of_fold_label_posteriors(vectors, truth, dealt, progress=progress)
    else:
        labels = samples.labels.astype(np.int64)
        likely = out_of_fold_posteriors(vectors, labels, dealt, progress=progress)
    about = found.about
    source = (
        f"a logistic regression on {about.layer} of {about.model} (net {about.net}), each image in "
        f"one of {folds} folds that it was not fitted to"
    )
    left = {"without features, mostly because they cannot be read": len(keys) - len(numbers)}
    return _Answers(numbers, likely, classes, source, left)


def _features(
    pool: _Pool,
    given: str | Path | Classifier | Features,
    compute: Compute,
    progress: Progress,
) -> Features:
    if isinstance(given, Features):
        return given
    path = None if isinstance(given, Classifier) else expanded(given)
    if path is not None and path.suffix in STORED and path.is_file():
        return read_features(path)
    _warn_of_seen(pool, given, progress)
    whole = replace(pool.dataset, splits={"all": pool.samples})
    progress.log(f"{whole.place}: {whole.describe()}")
    return features_of(given, whole, compute=compute, progress=progress)


def _warn_of_seen(pool: _Pool, model: str | Path | Classifier, progress: Progress) -> None:
    """Warn of features that a net has learned from these images and their labels."""
    run = run_of(model)
    seen = None if run is None else seen_by(run, pool.samples, pool.dataset.root)
    if seen is not None and seen.any():
        progress.log(
            f"{name_of(model)} was trained on {int(seen.sum()):,} of these {len(seen):,} images: "
            "its features may repeat their labels, right or wrong, and hide wrong ones; take those "
            f"of a model that has not seen them, or {option('model')} with a cross-validation"
        )
