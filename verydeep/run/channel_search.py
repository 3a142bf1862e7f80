"""Search a folder or data set for the images that most activate channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.dataset import relative_name
from verydeep.data.images.image_files import has_pictures
from verydeep.data.images.inputs import list_pictures
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.read import Data, DataSource, read_dataset
from verydeep.errors import DataError, InputError, printable
from verydeep.inspection.top_activations import Channel, Patches, strongest_patches
from verydeep.models.classifier import Classifier
from verydeep.system.files import expanded
from verydeep.system.option_names import in_program, option
from verydeep.system.progress import Progress
from verydeep.visualization.inspection.section import Section
from verydeep.visualization.inspection.top_activations import exciting_section


@dataclass(frozen=True, eq=False)
class ChannelMatches:
    """Result of a channel search.

    Attributes:
        among: Folder or data set that was searched, as given.
        root: Folder that the names of the images are relative to.
        sources: Searched images.
        found: Patches that activate each channel most.
        unreadable: Unreadable images, with reasons.
    """

    among: str
    root: Path
    sources: Sequence[ImageSource]
    found: Patches
    unreadable: tuple[str, ...]

    def section(self, channels: Iterable[Channel]) -> Section:
        """Return a section with the patches of some channels."""
        return exciting_section(
            {channel: self.found[channel] for channel in channels},
            lambda index: printable(relative_name(self.sources[index], self.root)),
            among=self.among,
            count=len(self.sources) - len(self.unreadable),
        )


def search_channels(
    model: Classifier,
    among: Data,
    channels: Iterable[Channel],
    *,
    scale: int,
    top: int = 9,
    seed: int = 0,
    progress: Progress | None = None,
) -> ChannelMatches:
    """Search images for those that activate channels most.

    Args:
        model: Model to inspect.
        among: A folder, searched with its subfolders, or a data set, searched in all splits.
        channels: Channels of any layers.
        scale: Smallest side of the rescaled images, in pixels.
        top: Maximum number of patches per channel.
        seed: Random seed for drawing splits where there are none.
        progress: Progress reporting.

    Raises:
        InputError: There is no such data set or channel.
        DataError: No image can be read.
    """
    root, sources = _sources(among, seed, progress)
    pictures = TestPictures(sources, (scale,), dimensions=model.dimensions)
    found = strongest_patches(model, pictures, [*channels], top=top, progress=progress)
    faults = tuple(pictures.unreadable[index] for index in sorted(pictures.unreadable))
    if len(faults) == len(sources):
        raise DataError(f"{printable(DataSource(among).name)}: none of the images can be read")
    return ChannelMatches(printable(DataSource(among).name), root, sources, found, faults)


def _sources(
    among: Data, seed: int, progress: Progress | None
) -> tuple[Path, Sequence[ImageSource]]:
    folder = expanded(among) if isinstance(among, str | Path) else None
    if folder and folder.is_dir() and has_pictures(folder):
        return folder, [path for path in list_pictures(folder, progress) if isinstance(path, Path)]
    dataset = read_dataset(among, seed=seed, draw=False, stream=False, progress=progress)
    paths = [path for samples in dataset.splits.values() for path in samples.paths]
    return dataset.root, paths


def channel_in(text: str) -> Channel:
    """Parse a channel like ``conv3_3:17``.

    Raises:
        InputError: The text has another form.
    """
    layer, _, number = text.partition(":")
    if not (layer and number.isascii() and number.isdigit()):
        raise InputError(
            f"{option('channel' if in_program() else 'channels')} must be a layer and a number "
            f"from 0 on, like conv3_3:17, got {text!r} instead"
        )
    return Channel(layer, int(number))
