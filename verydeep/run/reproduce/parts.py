"""The parts of a study: a training in its run folder, and the tests of trained nets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verydeep.errors import TrainingStopped
from verydeep.evaluation.evaluate import evaluate_tests, relabel
from verydeep.evaluation.joint_tests import Test
from verydeep.evaluation.metrics import likeliest
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.recipe.auto import AUTO
from verydeep.run.reproduce.box_tests import box_outcomes
from verydeep.run.reproduce.images import check_images
from verydeep.run.reproduce.study import Study, failures, is_done
from verydeep.run.reproduce.transfer_tests import feature_outcomes
from verydeep.run.training.result import TrainResult
from verydeep.run.training.train import train
from verydeep.study.conditions import Condition, Need
from verydeep.study.plan import Part, TestPart, TrainPart
from verydeep.study.results import (
    Outcome,
    TrainingRecord,
    forget_training,
    write_outcome,
    write_training,
)
from verydeep.study.wording import tenths
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute
from verydeep.training.run_folder import RunFolder

Log = Sequence[Mapping[str, Any]]
"""Rows of a run's log, one an epoch."""

AT_CHANCE = 0.98
"""A net counts as trained if its lowest validation loss is below this share of ln K."""

AT_CHANCE_LEVEL = "loss still at chance level"


def do_part(study: Study, part: Part, progress: Progress) -> str:
    """Do a part, or go on with it, and write its results.

    Returns:
        The outcome in a few words.

    Raises:
        Interrupted: A signal stopped it; the same call goes on.
        MachineError: A process was killed, or the disk is full; likewise.
    """
    if isinstance(part, TrainPart):
        return _train(study, part, progress)
    return _test(study, part, progress)


def _train(study: Study, part: TrainPart, progress: Progress) -> str:
    results = study.results()
    if is_done(part, results):  # its net is lost; what was found out about it is not of the next
        forget_training(study.folder, results, part.condition, part.seed)
    missing = failures(part, results)
    if missing:
        source, reason = next(iter(missing.items()))
        return _record_failure(study, part, f"it begins with {source}, which failed: {reason}")
    run = RunFolder(study.run(part.condition, part.seed))
    data = study.source
    try:
        result = train(
            data.data,
            AUTO if run.started else study.recipe(part),  # a resumed run has its own
            run.path,
            resume=run.started,
            layout=data.layout,
            progress=progress,
        )
    except TrainingStopped as error:
        return _record_failure(study, part, str(error))
    log = run.log()
    learned = _learned(study, part, log, result)
    record = TrainingRecord(
        part.condition,
        part.seed,
        str(run.path.relative_to(study.folder)),
        epochs=result.epochs,
        seconds=float(result["training_seconds"]),
        stopped_because=result.stopped_because,
        learned=learned,
        errors=_validation_errors(part, log),
    )
    write_training(study.folder, record)
    last = tenths(record.errors[-1])
    if part.condition.head != "classes":
        level = "" if learned else ", no better than a box that ignores the image"
        return f"{last} % localization error on val{level}"
    return f"{last} % error on val" if learned else AT_CHANCE_LEVEL


def _validation_errors(part: TrainPart, log: Log) -> tuple[float, ...]:
    key = "val_top1_error" if part.condition.head == "classes" else "val_localization_error"
    return tuple(row[key] for row in log)


def _learned(study: Study, part: TrainPart, log: Log, result: TrainResult) -> bool:
    if part.condition.head != "classes":
        return bool(result["comparison"]["learned"])
    losses = [row["val_loss"] for row in log]
    return bool(min(losses) < AT_CHANCE * math.log(len(study.dataset.classes)))


def _record_failure(study: Study, part: TrainPart, why: str) -> str:
    run = study.run(part.condition, part.seed).relative_to(study.folder)
    record = TrainingRecord(part.condition, part.seed, str(run), learned=False, failed=why)
    write_training(study.folder, record)
    return f"failed: {why}"


def _test(study: Study, part: TestPart, progress: Progress) -> str:
    """Test the nets that there are, and write an outcome for each test."""
    results = study.results()
    failed = failures(part, results)
    tests = [
        test
        for test in part.tests
        if part.seed not in results.of(*test) and not failed.keys() & {*test[0].members}
    ]
    if not tests:
        return "nothing to test: the training failed"
    left = TestPart(tuple(tests), part.seed)
    do = {"classes": _test_classes, "boxes": box_outcomes, "transfer": feature_outcomes}[part.kind]
    found = []
    for outcome, names in do(study, left, progress):
        check_images(study, outcome.kind, names)
        write_outcome(study.folder, outcome)
        found.append(outcome)
    return ", ".join(f"{tenths(100 * outcome.compared.mean())} %" for outcome in found)


def _test_classes(
    study: Study, part: TestPart, progress: Progress
) -> Iterator[tuple[Outcome, Sequence[str]]]:
    """Test classifiers in one pass; yield outcomes with the names of the images."""
    compute = Compute(study.compute.device, study.compute.precision, engine="torch")
    models = {net: load_classifier(study.run(net, part.seed), compute) for net in part.needs}
    samples = relabel(study.dataset, "val", next(iter(models.values())).classes)
    measured = evaluate_tests(
        list(models.values()),
        samples,
        [_as_test(study, test, models) for test in part.tests],
        split="val",
        root=study.dataset.root,
        progress=progress,
    )
    for test, result in zip(part.tests, measured, strict=True):
        yield _outcome(test, part.seed, result), result.answers.names


def _as_test(study: Study, test: Need, models: Mapping[Condition, Classifier]) -> Test:
    condition, measure = test
    places, flip = list(models), bool(study.settings.get("test.flip", True))
    return Test(
        tuple(
            (places.index(net), study.budget.protocol(net, measure, flip=flip))
            for net in condition.members
        )
    )


def _outcome(test: Need, seed: int, result: EvaluationResult) -> Outcome:
    answers = result.answers
    five = likeliest(answers.posteriors, 5)
    return Outcome(
        *test,
        seed,
        result.top1_error,
        result.top5_error,
        result.images,
        result.seconds,
        answers.wrong,
        (five != answers.labels[:, None]).all(axis=1),
    )
