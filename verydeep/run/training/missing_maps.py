"""Images of a transfer that have no map, because they could not be read when it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import DataError, printable
from verydeep.training.map_store import MapStore
from verydeep.training.unreadable import UnreadableImages


@dataclass
class MissingMaps:
    """Training images without a map in some view.

    They are read off the stored views, so that a resumed run knows those of views that were stored
    before it was killed.

    Attributes:
        store: The maps.
        images: The training images.
        unreadable: Reports images to the user and to all processes, and refuses too many.
        faults: Names of the images, and reasons.
    """

    store: MapStore
    images: Sequence[ImageSource | Path]
    unreadable: UnreadableImages
    faults: list[str] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)

    def note(self, view: str) -> None:
        """Note the images that a view lacks; every process calls this.

        Raises:
            DataError: Too many images lack a map. The view is removed: a resumed run computes it
                again, when the images may be back.
        """
        first = self.unreadable.group.first
        if first:
            new = [index for index in self.store.missing(view) if index not in self._known]
            self._known.update(new)
            self.unreadable.new += reasons([self.images[index] for index in new])
        try:
            self.unreadable.record(self.faults, self.store.count)
        except DataError:
            if first:
                self.store.remove(view)
            raise


def reasons(images: Sequence[ImageSource | Path]) -> list[str]:
    """Return names of images and reasons why they cannot be read, by reading them again."""
    again = TestPictures(images, (), workers=0)
    for _ in again:
        pass
    gone = "could not be read when its map was computed"
    return [
        again.unreadable.get(index, f"{printable(image)}: {gone}")
        for index, image in enumerate(images)
    ]
