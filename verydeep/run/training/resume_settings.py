"""Settings given with ``--resume``: more epochs are accepted, other changes are reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verydeep.recipe.recipe import Recipe
from verydeep.recipe.rules import WITHOUT_AN_END
from verydeep.system.option_names import option
from verydeep.system.progress import Progress
from verydeep.training.run_folder import RunFolder

EPOCHS, WORKERS = "training.epochs", "data.workers"

Said = Mapping[str, Mapping[str, Any]]
"""Given settings, by section and key."""


def extend(run: RunFolder, said: Said, progress: Progress) -> bool:
    """Extend a run to more epochs if requested; return whether it continues training.

    Write the new number of epochs to the run's recipe. A learning-rate curve runs to its original
    end and then restarts; the plateau schedule and a constant rate continue. Report and ignore any
    other setting in ``said`` that differs from the run's.

    Args:
        run: A started run, possibly finished.
        said: Settings given with ``--resume``.
        progress: Receives the log lines.
    """
    recipe = run.read_recipe()
    for fault in ignored(recipe, said):
        progress.log(fault)
    wanted = said.get("training", {}).get("epochs")
    planned = recipe.training.epochs
    if wanted is None or wanted == planned:
        return False
    if wanted < planned:
        progress.log(
            f"not taken: {option('epochs', wanted)}; {run.path} was begun with {planned}, and a "
            "resumed run can only be given more"
        )
        return False
    if recipe.transfer and recipe.transfer.fine_tune == "never" and not recipe.net.hidden:
        progress.log(
            f"not taken: {option('epochs', wanted)}; {run.path} fits a head alone "
            "(transfer.fine_tune=never), which has one epoch"
        )
        return False
    longer = _longer(recipe, wanted)  # before anything is changed: it may be invalid
    progress.log(f"{run.path} trains on to epoch {wanted}: {_how(recipe, wanted)}")
    # Metrics mark a finished run. If interrupted between these two steps, it is only tested again.
    run.unfinish()
    run.write_recipe(longer)
    return True


def _longer(recipe: Recipe, wanted: int) -> Recipe:
    training = recipe.training
    if training.schedule in WITHOUT_AN_END:
        return recipe.replace(training__epochs=wanted)
    restarts = [*training.restarts, training.epochs]
    return recipe.replace(training__epochs=wanted, training__restarts=restarts)


def _how(recipe: Recipe, wanted: int) -> str:
    planned = recipe.training.epochs
    if recipe.training.schedule in WITHOUT_AN_END:
        return "the learning rate goes on from where it stands"
    cycle = f"epochs {planned + 1} to {wanted} are a new {recipe.training.schedule} cycle"
    return f"{cycle}, from the weights of epoch {planned}"


def ignored(recipe: Recipe, said: Said) -> Iterator[str]:
    """Yield a line for each given setting that differs from the run's own and is not taken."""
    # The order of a stream depends on its workers; elsewhere they affect no result, and are taken.
    taken = (EPOCHS,) if recipe.data.stream else (EPOCHS, WORKERS)
    for section, settings in said.items():
        own = getattr(recipe, section)
        for key, value in settings.items():
            path = f"{section}.{key}"
            # null means automatic; the value is already decided.
            if path in taken or value is None or own is None:
                continue
            if path == "initialize.source" and recipe.initialize.stages:
                continue  # the source of the first net of the chain
            kept = own.model_dump(mode="json")[key]
            if value != kept:
                yield f"not taken: {path}={value}; a resumed run keeps its own ({kept})"
