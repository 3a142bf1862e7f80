"""Locate the images of a test by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.images.member import ImageSource
from verydeep.errors import DataError


class PictureFinder:
    """Finds images of a data set by their names in test results.

    A file at the path given by its name is found without reading the data set, which may be large.

    Args:
        root: Folder of the data set, if known.
        read: Function that reads the data set.
    """

    def __init__(self, root: Path | None, read: Callable[[], Dataset]) -> None:
        self.root = root
        self.read = read

    def __call__(self, name: str) -> ImageSource:
        """Return the location of an image.

        Raises:
            DataError: The image no longer exists.
        """
        if self.root is not None and (self.root / name).is_file():
            return self.root / name
        if name not in self._places:
            raise DataError(f"{name} is no longer there")
        return self._places[name]

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read on first use."""
        return self.read()

    @cached_property
    def _places(self) -> dict[str, ImageSource]:
        try:
            dataset = self.dataset
        except (DataError, OSError):
            return {}
        return {
            relative_name(path, dataset.root): path
            for samples in dataset.splits.values()
            for path in samples.paths
        }
