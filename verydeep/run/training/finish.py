"""End of a run: test the kept model and write its metrics, answers and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from verydeep.data.fold import Fold
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.stored_posteriors import POSTERIORS, stored
from verydeep.models.trained_net import TrainedNet
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.testing.overlap import find_overlap
from verydeep.run.training.tasks.task import TrainingTask
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group
from verydeep.system.progress import Progress
from verydeep.training.checkpoint import Position
from verydeep.training.run_folder import RunFolder
from verydeep.visualization.report.page import write_report


def finish(
    run: RunFolder,
    task: TrainingTask[Any],
    machine: Machine,
    position: Position,
    group: Group,
    progress: Progress,
) -> dict[str, Any]:
    """Test the kept model; write answers, metrics, model card and report.

    All processes test; the first one writes.

    Args:
        run: Run folder.
        task: Task of the run.
        machine: Machine to compute on.
        position: State at the end of training.
        group: Processes that have trained the net.
        progress: Progress reporting.

    Returns:
        The content of ``metrics.json``.
    """
    model = task.load(run.model).on(replace(machine, engine=task.recipe.test.engine))
    model = task.complete(model, progress)
    tested: list[Any] = [*task.tests(model, progress)]
    metrics = _write(run, task, model, tested, position, progress) if group.first else {}
    return group.broadcast(metrics)


def _write(
    run: RunFolder,
    task: TrainingTask[Any],
    model: TrainedNet,
    tested: Sequence[Any],
    position: Position,
    progress: Progress,
) -> dict[str, Any]:
    split, root = task.test_split, task.dataset.root
    seen = asdict(find_overlap([run.path], task.samples(split), root, progress))
    results = [replace(result, **seen, **model.answered_by) for result in tested]
    chosen = task.chosen(results)
    training = task.recipe.training
    best = training.keep != "last"
    kept = position.best_epoch if best else position.epoch
    transfer = task.recipe.transfer
    tuned = transfer is not None and transfer.fine_tune == "auto" and position.epoch > 1
    selected = best or tuned
    metrics = {
        **chosen.to_dict(),
        "epochs": position.epoch,
        "best_epoch": position.best_epoch,
        "kept_epoch": position.kept_epoch or kept,
        "drops": position.history[-1]["drops"],
        "stopped_because": position.stopped_because,
        "training_seconds": sum(row["seconds"] for row in position.history),
        "unreadable_in_training": position.unreadable,
        # The plateau schedule times its drops and its end by val, whichever epoch is kept.
        "selected_on": "val" if selected or training.schedule == "plateau" else None,
        "tests": [result.to_dict() for result in results],
    }
    replace(model, measured=chosen.to_dict()).save(run.model)
    run.write_lines("answers.jsonl", task.answers(chosen))
    fold = task.recipe.data.fold
    if fold is not None and isinstance(chosen, EvaluationResult | MultiLabelResult):
        stored(chosen.answers, Fold.parse(fold).number).write(run.path / POSTERIORS)
    # Metrics mark a finished run, so they are written after all results.
    run.write("metrics.json", metrics)
    write_report(run.path, PictureFinder(task.dataset.root, lambda: task.dataset))
    return metrics
