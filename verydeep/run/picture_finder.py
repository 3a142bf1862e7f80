"""Where the images of a test are, for those who want to see them again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.images.member import ImageSource
from verydeep.errors import DataError


class PictureFinder:
    """Finds the images of a data set by the names that tests have for them.

    A file that lies where its name says is found without reading the data set, which may be large.

    Args:
        root: Folder of the data set, if it is known.
        read: Reads the data set.
    """

    def __init__(self, root: Path | None, read: Callable[[], Dataset]) -> None:
        self.root = root
        self.read = read

    def __call__(self, name: str) -> ImageSource:
        """Return where an image is.

        Raises:
            DataError: It is no longer there.
        """
        if self.root is not None and (self.root / name).is_file():
            return self.root / name
        if name not in self._places:
            raise DataError(f"{name} is no longer there")
        return self._places[name]

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read when first asked for."""
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
