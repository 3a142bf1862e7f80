"""Warning about series and groups that the splits of a training divide."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from verydeep.checks.perceptual_hash import perceptual_hash
from verydeep.checks.series import find_series
from verydeep.data.dataset import Dataset
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import divided_groups
from verydeep.data.images.decode import naming, opened, upright_rgb
from verydeep.data.images.formats import JPEGS
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.workers import in_parallel
from verydeep.errors import PictureError, plural, printable
from verydeep.recipe.recipe import Recipe
from verydeep.system.progress import Progress
from verydeep.system.summary import listed

ENOUGH = 128
"""Minimum side in pixels of a JPEG decoded at a reduced size."""


def warn_of_divided(dataset: Dataset, recipe: Recipe, progress: Progress) -> None:
    """Warn if drawn splits divide series, or if the data's own splits divide groups.

    A few hundred images are read at most.
    """
    if dataset.stream is not None:
        return
    rule = recipe.data.group_by
    if rule is not None:
        divided = divided_groups(dataset, GroupRule.parse(rule))
        if divided:
            names = listed([printable(name) for name in divided])
            progress.log(
                f"{plural(len(divided), 'group')} by {rule} with images in several of the data's "
                f"own splits, so the measured error is too low: {names}"
            )
        return
    places = [path for samples in dataset.splits.values() for path in samples.paths]
    series = find_series(dataset, _Hashes(places))
    if series is not None:
        progress.log(f"{series.title}; {series.advice}")


@dataclass(frozen=True)
class _Hashes:
    """Reads the perceptual hashes of images by index."""

    places: Sequence[ImageSource]

    def __call__(self, indices: Sequence[int]) -> list[int | None]:
        some = [self.places[index] for index in indices]
        with closing(in_parallel(_hash, some, workers=0, chunk=8)) as hashes:
            return list(hashes)


def _hash(place: ImageSource) -> int | None:
    """Return the hash of an image; None if it cannot be read, which is reported later."""
    try:
        with naming(place), opened(place) as picture:
            if picture.format in JPEGS:
                picture.draft(None, (ENOUGH, ENOUGH))
            picture.load()
            return perceptual_hash(upright_rgb(picture))
    except PictureError:
        return None
