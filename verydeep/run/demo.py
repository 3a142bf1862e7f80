"""Demo: a classifier and a box regressor on the built-in digits, tested separately and together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.data.read import read_dataset
from verydeep.errors import InputError
from verydeep.recipe.recipe import load_recipe
from verydeep.run.explain import explain
from verydeep.run.testing.boxes import evaluate_localization
from verydeep.run.training.train import train
from verydeep.system.files import write_json
from verydeep.system.group.distributed import joined
from verydeep.system.group.watch import GroupWatch
from verydeep.system.progress import Progress
from verydeep.training.run_folder import RunFolder

SOLID = "digits-3d"
"""The built-in volumes."""

INSIDE = "inside"
"""Folder of the page about some volumes, inside the run folder."""

BOXES = "localization"
"""Folder of the box regressor's run, inside the classifier's run folder."""


def run_demo(out: Path, *, resume: bool = False, progress: Progress) -> dict[str, Any]:
    """Train and test a classifier, then a box regressor initialized from it; test both together.

    Args:
        out: Run folder of the classifier; the box regressor's is ``localization`` in it.
        resume: Resume an interrupted demo.
        progress: Progress reporting.

    Returns:
        The classifier's metrics, ``localization_error`` and ``mean_iou`` of the box regressor
        (central crop, true class), and under ``localization`` all box measures: ``center`` and,
        with the classifier, ``dense``.

    Raises:
        InputError: The folder cannot be used.
        Interrupted: A signal stopped the demo; it can be resumed.
    """
    with joined() as group, GroupWatch(group):
        if group.size > 1:
            raise InputError("the demo is for one process: start it without torchrun")
    with RunFolder(out).opened(resume=resume):
        return _run_demo(out, resume=resume, progress=progress)


def _run_demo(out: Path, *, resume: bool, progress: Progress) -> dict[str, Any]:
    metrics = train("digits", "demo", out, resume=resume, progress=progress)
    folder = out / BOXES
    begun = folder.is_dir() and any(folder.iterdir())
    recipe = load_recipe("demo-localization").replace(initialize__source=str(out))
    progress.log("the box regressor, which begins with the classifier:")
    center = train("digits", recipe, folder, resume=resume and begun, progress=progress)
    dense = evaluate_localization(out, folder, progress=progress).to_dict()
    write_json(folder / "dense.json", dense)
    kept = {key: center[key] for key in ("localization_error", "mean_iou")}
    return dict(metrics) | kept | {"localization": {"center": dict(center), "dense": dense}}


def run_demo_of_volumes(out: Path, *, resume: bool = False, progress: Progress) -> dict[str, Any]:
    """Train and test a net for volumes on digits in space, and look into one of each class.

    Args:
        out: Run folder.
        resume: Resume an interrupted demo.
        progress: Progress reporting.

    Returns:
        The classifier's metrics, and under ``page`` the path of the page.

    Raises:
        InputError: The folder cannot be used.
        Interrupted: A signal stopped the demo; it can be resumed.
    """
    metrics = train(SOLID, "demo-volumes", out, resume=resume, progress=progress)
    by_class = {sample.label: sample.path for sample in read_dataset(SOLID).split("test")}
    shown = [str(by_class[label]) for label in sorted(by_class)]
    page = explain(out, shown, out / INSIDE, progress=progress).page
    return dict(metrics) | {"page": str(page)}
