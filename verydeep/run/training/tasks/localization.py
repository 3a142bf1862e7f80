"""Localization task: the parts of training that are specific to a box regressor (appendix A)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from verydeep.data.dataset import relative_name
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.pipeline.crop_policy import Drawing
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError, ModelError, RecipeError
from verydeep.localization.evaluate import evaluate_boxes, training_baselines
from verydeep.localization.head import LOSSES, outputs_for
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.object_crop import ObjectCrop
from verydeep.localization.predictions_log import located_rows
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocalizationResult
from verydeep.localization.validation import check_center
from verydeep.models.folder import NAMES
from verydeep.models.weights.named import source_config
from verydeep.recipe.recipe import Recipe
from verydeep.recipe.sections import Localization as Settings
from verydeep.run.training.tasks.task import Figures, Parts, Tested, TrainingTask
from verydeep.system.progress import Progress
from verydeep.training.objective import Localization, Objective

SHARED = ("net.name", "net.input_size", "net.width", "net.hidden", "net.norm", "data.divisor")
"""Settings that a box regressor must share with its source classifier."""

FOLLOWING = ("net.dropout", "data.train_scale")
"""Settings taken from the source classifier unless the recipe sets them."""


@dataclass(frozen=True)
class LocalizationTask(TrainingTask[Localizer]):
    """Training of a box regressor. Images without a box are left out."""

    @property
    def settings(self) -> Settings:
        """The recipe's section ``localization``."""
        assert self.recipe.localization is not None
        return self.recipe.localization

    @property
    def outputs(self) -> int:
        """Number of outputs: 4·K, or 4 if all classes share one box."""
        return outputs_for(len(self.dataset.classes), per_class=self.settings.per_class)

    @property
    def test_split(self) -> str:
        """The split to test on; ``val`` if no image of that has a box."""
        usual = self.dataset.test_split
        return usual if self.dataset.split(usual).has_boxes else "val"

    def samples(self, split: str) -> Samples:
        """Return the images of a split that have a box."""
        with_box = self.dataset.split(split).with_box()
        if not with_box:
            raise DataError(
                f"{self.dataset.place}: no image of split {split!r} has a box, and a box regressor "
                "learns from boxes and is tested by them; docs/data.md says where they are read "
                "from"
            )
        return with_box

    def colours(self, measured: ColourStatistics) -> ColourStatistics:
        """Return the statistics with the mean of the source classifier, if there is one."""
        source = self.recipe.initialize.source
        if source is None:
            return measured
        return replace(measured, mean=source_config(source).preprocessing.mean)

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the loss on the box of the true class."""
        return Localization(self.settings.loss)

    def drawing(self, augmentation: Augmentation) -> Drawing:
        """Return the rule that keeps enough of the object in each crop."""
        return ObjectCrop(augmentation, self.settings.visible)

    def model(self, parts: Parts) -> Localizer:
        """Return a box regressor."""
        kept = {name: tuple(box.tolist()) for name, box in self.baselines.items()}
        return Localizer(**parts, per_class=self.settings.per_class, baselines=kept)

    @cached_property
    def baselines(self) -> Mapping[str, Tensor]:
        """Boxes fitted on the training images; cached, since fitting opens their files."""
        return training_baselines(self.samples("train"), self.recipe.data.workers)

    def load(self, folder: Path) -> Localizer:
        """Load a box regressor."""
        return load_localizer(folder)

    def validate(self, model: Localizer, progress: Progress) -> Figures:
        """Measure loss, localization error and mean IoU for the true class."""
        samples = self.samples("val")
        with progress.task("testing val", len(samples)) as task:
            figures, faults = check_center(
                model,
                samples,
                min(self.recipe.test_scales),
                LOSSES[self.settings.loss],
                workers=self.recipe.data.workers,
                task=task,
            )
        names = (relative_name(samples[index].path, self.dataset.root) for index in faults)
        return asdict(figures), tuple(names)

    def tests(self, model: Localizer, progress: Progress) -> Sequence[Tested]:
        """Test the box of the true class on the central crop (Testing 1)."""
        split, workers = self.test_split, self.recipe.data.workers
        if split != self.dataset.test_split:
            progress.log(f"no image of {self.dataset.test_split} has a box: tested on {split}")
        return [
            evaluate_boxes(
                [],
                [model],
                self.dataset.split(split),
                BoxProtocol("center", self.recipe.test_scales, flip=False),
                fitted=self.baselines,
                split=split,
                root=self.dataset.root,
                workers=workers,
                progress=progress,
            )
        ]

    def answers(self, result: LocalizationResult) -> Iterator[dict[str, Any]]:
        """Yield the true boxes and the predicted box of every image."""
        return located_rows(result.answers, self.dataset.classes)


def inherit(recipe: Recipe) -> Recipe:
    """Return a box regressor's recipe, completed with the settings of its source classifier.

    Raises:
        ModelError: The source is not a classifier.
        RecipeError: The recipe contradicts the classifier in a setting that they must share.
    """
    source = recipe.initialize.source
    if recipe.localization is None:
        return recipe
    # Testing 1 has one view; the protocols of classifiers do not apply to boxes.
    recipe = recipe.replace(test__protocol="center", test__flip=False)
    if source is None:
        return recipe
    config = source_config(source)
    if config.task != "classification":
        raise ModelError(
            f"{source}: a box regressor begins with a classifier of one class per image, and this "
            f"is {NAMES[config.task]}"
        )
    theirs = {f"net.{key}": value for key, value in config.net.model_dump().items()}
    theirs |= {"data.divisor": config.preprocessing.divisor, "data.train_scale": config.train_scale}
    faults = [
        f"\n  {path}: must be {theirs[path]!r}, as in {source}, got {_get(recipe, path)!r} "
        "instead; leave it out to take it from there"
        for path in SHARED
        if _is_said(recipe, path) and _get(recipe, path) != theirs[path]
    ]
    if faults:
        raise RecipeError(
            f"a box regressor must be like the classifier it begins with:{''.join(faults)}"
        )
    open_ = [path for path in (*SHARED, *FOLLOWING) if not _is_said(recipe, path)]
    taken = {path.replace(".", "__"): theirs[path] for path in open_}
    if not _is_said(recipe, "initialize.layers"):
        taken["initialize__layers"] = "all"
    return recipe.replace(**taken)


def _get(recipe: Recipe, path: str) -> object:
    section, key = path.split(".")
    return getattr(getattr(recipe, section), key)


def _is_said(recipe: Recipe, path: str) -> bool:
    section, key = path.split(".")
    return key in getattr(recipe, section).model_fields_set
