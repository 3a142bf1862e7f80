"""The hunt for images that excite channels, through a folder or a data set."""

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
from verydeep.system.option_names import in_program, option
from verydeep.system.progress import Progress
from verydeep.visualization.inspection.section import Section
from verydeep.visualization.inspection.top_activations import exciting_section


@dataclass(frozen=True, eq=False)
class ChannelMatches:
    """What a hunt found.

    Attributes:
        among: Where, as it was given.
        root: The folder that the images' names begin behind.
        sources: The images.
        found: The patches that excite each channel most.
        unreadable: Reasons why images were left out.
    """

    among: str
    root: Path
    sources: Sequence[ImageSource]
    found: Patches
    unreadable: tuple[str, ...]

    def section(self, channels: Iterable[Channel]) -> Section:
        """Draw what was found for channels."""
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
    """Look through images for those that excite channels most.

    Args:
        model: The net.
        among: A folder, which stands for all images in it and below, or a data set, which
            stands for all its splits.
        channels: Of any layers.
        scale: Smallest side that the images are rescaled to, in pixels.
        top: Patches a channel, at most.
        seed: Of the rule that draws splits where there are none.
        progress: Where to report to.

    Raises:
        InputError: There is no such data set or channel.
        DataError: None of the images can be read.
    """
    root, sources = _sources(among, seed, progress)
    pictures = TestPictures(sources, (scale,))
    found = strongest_patches(model, pictures, [*channels], top=top, progress=progress)
    faults = tuple(pictures.unreadable[index] for index in sorted(pictures.unreadable))
    if len(faults) == len(sources):
        raise DataError(f"{printable(DataSource(among).name)}: none of the images can be read")
    return ChannelMatches(printable(DataSource(among).name), root, sources, found, faults)


def _sources(
    among: Data, seed: int, progress: Progress | None
) -> tuple[Path, Sequence[ImageSource]]:
    folder = Path(among).expanduser() if isinstance(among, str | Path) else None
    if folder and folder.is_dir() and has_pictures(folder):
        return folder, [path for path in list_pictures(folder, progress) if isinstance(path, Path)]
    dataset = read_dataset(among, seed=seed, draw=False, stream=False, progress=progress)
    paths = [path for samples in dataset.splits.values() for path in samples.paths]
    return dataset.root, paths


def channel_in(text: str) -> Channel:
    """Return a channel from ``conv3_3:17``.

    Raises:
        InputError: It is none.
    """
    layer, _, number = text.partition(":")
    if not (layer and number.isascii() and number.isdigit()):
        raise InputError(
            f"{option('channel' if in_program() else 'channels')} must be a layer and a number "
            f"from 0 on, like conv3_3:17, got {text!r} instead"
        )
    return Channel(layer, int(number))
