"""Settings that depend on the machine and the processes, fixed when a run begins."""

from __future__ import annotations

from dataclasses import replace

from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.workers import bounded_workers
from verydeep.errors import RecipeError, plural
from verydeep.nets.registry import anatomy_of
from verydeep.recipe.recipe import Recipe
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group
from verydeep.system.option_names import option, setting
from verydeep.system.progress import Progress
from verydeep.training.micro_batch import fitting_micro_batch

SMALL_BATCH = 16
"""Batch size that suits the smallest data sets."""

FEW_UPDATES = 300
"""Below this total number of updates, warn: a randomly initialised net hardly learns."""


def bounded(recipe: Recipe, progress: Progress) -> Recipe:
    """Cap an excessive number of workers and report it."""
    workers, word = bounded_workers(recipe.data.workers, "data.workers")
    if word:
        progress.log(word)
    return recipe.replace(data__workers=workers)


def suit_dimensions(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return a new run's recipe with a net for images or for volumes, as the data are.

    Raises:
        RecipeError: The recipe is for data of the other kind.
    """
    if dataset.dimensions == 2:
        if recipe.net.dimensions == 3:
            raise RecipeError("net.dimensions: must be 2, as the data are images, got 3 instead")
        return recipe
    if "dimensions" not in recipe.net.family.settings:
        raise RecipeError(f"net.name: net {recipe.net.name} is for images, the data are volumes")
    if recipe.localization or recipe.transfer:
        kind = "a box regressor" if recipe.localization else "a transfer"
        raise RecipeError(f"{kind} is for images, and the data are volumes")
    return recipe.replace(net__dimensions=3, data__cache="none", data__decode="cpu")


def suit_machine(machine: Machine, recipe: Recipe, dataset: Dataset) -> Machine:
    """Return the machine with fp32 for volumes on a CPU, unless the recipe sets a precision.

    In PyTorch 2.15 the gradient of a 3-D convolution's weights is wrong in bf16 on CPUs with AMX:
    by 36 orders of magnitude for 32 channels on maps of 2x2x2.
    """
    if dataset.dimensions == 3 and machine.device.type == "cpu" and not recipe.training.precision:
        return replace(machine, precision="fp32")
    return machine


def suit_task(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return a new run's recipe with the task of the data, if it is multi-label.

    Raises:
        RecipeError: The recipe asks for what multi-label data do not allow.
    """
    return recipe.replace(data__task="multi-label") if dataset.multi_label else recipe


WORTH_COMPILING = 1e18
"""Floating-point operations of a training from which compiling for a minute or two pays on a GPU:
about nine epochs of net D on ILSVRC-2012, or an hour of a fast GPU."""


def settle(recipe: Recipe, machine: Machine, group: Group, images: int) -> Recipe:
    """Fix machine-dependent settings in the recipe, so that the run can be repeated and resumed.

    Args:
        recipe: Recipe of the run.
        machine: Device and precision.
        group: Processes that train together.
        images: Number of training images.
    """
    if recipe.training.compile == "auto":
        wish = "always" if _compiling_pays(recipe, machine, group, images) else "never"
        recipe = recipe.replace(training__compile=wish)
    if recipe.training.micro_batch is None:
        recipe = recipe.replace(training__micro_batch=_micro_batch(recipe, machine, group))
    keep = recipe.training.keep
    if keep == "auto":
        # A learning rate that decays to 0 makes the last epoch a good choice and keeps val
        # unbiased; the plateau schedule uses val anyway.
        keep = "best" if recipe.training.schedule == "plateau" else "last"
    return recipe.replace(
        training__device=str(machine.device),
        training__precision=machine.precision,
        training__keep=keep,
    )


def _compiling_pays(recipe: Recipe, machine: Machine, group: Group, images: int) -> bool:
    together = recipe.net.norm == "batch" and group.size > 1  # with sums between its parts
    if machine.device.type != "cuda" or recipe.transfer or together:
        return False
    image = 3 * 2 * anatomy_of(recipe.net.settings).multiply_adds  # forwards and backwards
    return recipe.training.epochs * images * image >= WORTH_COMPILING


def _micro_batch(recipe: Recipe, machine: Machine, group: Group) -> int:
    """Return the largest micro-batch that fits; see :func:`all_at_once`."""
    sizes, batch = anatomy_of(recipe.net.settings), recipe.training.batch
    # Processes on GPUs have one each; on CPUs they may share the memory.
    sharing = group.size if machine.device.type == "cpu" else 1
    together = recipe.net.norm == "batch"  # the result depends on the number
    own = fitting_micro_batch(
        sizes, -(-batch // group.size), machine, sharing=sharing, steady=together
    )
    return min(batch, own * group.size) if together else own


def all_at_once(recipe: Recipe, group: Group) -> int:
    """Return the number of images that pass at once through the net of all processes together.

    ``training.micro_batch`` counts the images of one process. With batch normalisation it counts
    those of all, since the moments depend on it: then they do not depend on the number of
    processes.
    """
    assert recipe.training.micro_batch is not None
    together = recipe.net.norm == "batch"
    return recipe.training.micro_batch * (1 if together else group.size)


def say_small_moments(given: Recipe, settled: Recipe, progress: Progress) -> None:
    """Tell that moments are those of a part of a batch, where this was decided by the memory."""
    together, batch = settled.training.micro_batch, settled.training.batch
    decided = given.training.micro_batch is None and settled.net.norm == "batch"
    if decided and together is not None and together < batch:
        progress.log(
            f"batch normalisation measures {plural(together, 'image')} at a time, not the {batch} "
            "of an update, which may not fit in the memory; "
            f"{setting('training.micro_batch', batch)} tries it"
        )


def describe_updates(recipe: Recipe, machine: Machine, group: Group) -> str:
    """Return net, machine and sizes of updates in one line."""
    own = min(-(-all_at_once(recipe, group) // group.size), recipe.training.batch)
    where = f" in each of {group.size} processes" if group.size > 1 else ""
    return (
        f"net {recipe.net.name} on {machine}, updates of {recipe.training.batch} images, "
        f"{own} at a time{where}"
    )


def say_few_updates(dataset: Dataset, recipe: Recipe, progress: Progress) -> None:
    """Warn if a randomly initialised net gets too few updates to learn."""
    training = recipe.training
    updates = training.epochs * -(-dataset.sizes["train"] // training.batch)
    smaller = training.batch > SMALL_BATCH
    if smaller and updates < FEW_UPDATES and recipe.initialize.source is None:
        progress.log(
            f"only {plural(updates, 'update')} in {plural(training.epochs, 'epoch')}: a smaller "
            f"batch ({setting('training.batch', SMALL_BATCH)}, with a rate to match) or more "
            f"epochs fit a set this small; {option('recipe', 'auto')} chooses both"
        )
