"""WebDataset tar shards: a folder of ``.tar`` files, one file, or a pattern.

A ``dataset.json`` from ``verydeep shard`` beside them gives class names and splits. Without it, a
shard's name gives its split (``train-0001.tar``, ``val/0001.tar``), the shards are scanned first,
and classes are the labels in them, numbers in numeric order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from verydeep.data.class_names import check_class_names
from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.images.image_files import folders_in, has_pictures
from verydeep.data.images.regular_file import open_regular
from verydeep.data.layouts.assemble import inside
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Samples
from verydeep.data.shards.index import ShardIndex, index_shards, samples_of
from verydeep.data.shards.manifest import (
    LONGEST,
    NAME,
    UNFINISHED,
    Manifest,
    looks_like_manifest,
    parse_manifest,
)
from verydeep.data.shards.paths import find_shards, is_pattern, open_shard
from verydeep.data.shards.stream import ShardStream
from verydeep.data.split_names import ORDER, last_split, resolve_eval
from verydeep.data.volumes.formats import is_volume_name
from verydeep.errors import DataError
from verydeep.system.object_stores import is_remote
from verydeep.system.progress import Progress

STREAM_FROM = 2_000_000
"""Training images above which they are streamed, unless the recipe says otherwise."""

LAYOUT = "tar shards"


def recognise(path: Path) -> bool:
    """Return whether there are shards or a manifest."""
    if path.is_file():
        return path.suffix == ".tar" or (path.name == NAME and _is_manifest(path))
    if not path.is_dir() or _is_manifest(path / NAME):
        return path.is_dir()
    folders = (path, *(folder for folder in folders_in(path) if last_split(folder.name)))
    # An archive beside images or volumes in folders is what they were unpacked from.
    return any(map(_has_shards, folders)) and not (has_pictures(path) or _has_volumes(path))


def _has_shards(folder: Path) -> bool:
    return any(not is_system_path(path.name) for path in folder.glob("*.tar"))


def _has_volumes(path: Path) -> bool:
    """Return whether several folders hold volumes, as those of classes do."""
    outer = folders_in(path)
    folders = [*outer, *(inner for folder in outer for inner in folders_in(folder))]
    return sum(any(is_volume_name(f.name) for f in folder.iterdir()) for folder in folders) > 1


def _is_manifest(path: Path) -> bool:
    if not path.is_file():
        return False
    with open_regular(path) as stream:
        return looks_like_manifest(stream.read(200))


def _is_of_others(path: Path) -> bool:
    """Return whether a file is another program's: JSON that has nothing of a manifest."""
    if not path.is_file() or _is_manifest(path):
        return False
    with open_regular(path) as stream:
        try:
            content = json.loads(stream.read(LONGEST + 1))
        except (ValueError, RecursionError):  # perhaps a damaged manifest
            return False
    return isinstance(content, dict) and not {"format", "splits"} & content.keys()


def read(path: Path) -> Dataset:
    """Read the data set by index."""
    return read_shards(str(path), stream=False)


def read_shards(
    data: str, *, stream: bool | None = None, progress: Progress | None = None
) -> Dataset:
    """Read a data set in shards.

    Args:
        data: A folder, a shard, a manifest, or a pattern; see :mod:`verydeep.data.shards.paths`.
        stream: Whether to stream the training split; None decides.
        progress: Progress reporting.

    Raises:
        DataError: Shards are missing or broken, or do not form a data set.
        MissingExtra: The shards are remote, and fsspec is not installed.
    """
    described = _manifest_of(data)
    if described is not None:
        return _Described(*described, stream, progress).dataset()
    return _Found(data, stream, progress).dataset()


def _manifest_of(data: str) -> tuple[str, Manifest] | None:
    """Return the manifest, after its folder; None if there is none."""
    if data.endswith(f"/{NAME}") or data == NAME:
        folder = data.removesuffix(NAME).rstrip("/") or "."
    elif is_remote(data) and not data.endswith(".tar"):
        folder = data.rstrip("/")
    elif Path(data, NAME).exists() and not _is_of_others(Path(data, NAME)):
        folder = data.rstrip("/") or "/"
    else:
        return None
    place = f"{folder}/{NAME}"
    with open_shard(place) as file:
        return folder, parse_manifest(file.read(LONGEST + 1), place)


@dataclass
class _Described:
    """Shards with a manifest."""

    folder: str
    manifest: Manifest
    stream: bool | None
    progress: Progress | None

    def dataset(self) -> Dataset:
        manifest = self.manifest
        stream = self._stream() if "train" in manifest.splits and self._streams() else None
        wanted = [n for n in ORDER if n in manifest.splits and (stream is None or n != "train")]
        return Dataset(
            Path(self.folder),
            LAYOUT,
            manifest.classes,
            {name: self._samples(name) for name in wanted},
            manifest.titles,
            stream=stream,
        )

    def _streams(self) -> bool:
        if self.stream is not None:
            return self.stream
        return is_remote(self.folder) or self.manifest.splits["train"].samples > STREAM_FROM

    def _stream(self) -> ShardStream:
        entry = self.manifest.splits["train"]
        names = tuple(shard.file for shard in entry.shards)
        return ShardStream(
            self._places(names),
            names,
            tuple(shard.samples for shard in entry.shards),
            self._labels(),
            entry.counts,
            self.manifest.statistics(),
        )

    def _samples(self, split: str) -> Samples:
        entry = self.manifest.splits[split]
        shards = entry.shards
        names = [shard.file for shard in shards]
        places = self._places(names)
        indexes = index_shards(places, progress=self.progress)
        for shard, place, index in zip(shards, places, indexes, strict=True):
            if len(index) != shard.samples:
                raise DataError(
                    f"{place}: holds {len(index):,} samples, but {NAME} lists {shard.samples:,}; "
                    "write or download it again"
                )
        samples = samples_of(places, names, indexes, self._labels(), by_name=True)
        held = np.bincount(samples.labels, minlength=len(entry.counts)).tolist()
        for name, listed, count in zip(self.manifest.classes, entry.counts, held, strict=True):
            if listed != count:
                raise DataError(
                    f"{self.folder}/{NAME}: lists {listed:,} images of class {name} in {split}, "
                    f"but the shards hold {count:,}; write them again with verydeep shard"
                )
        return samples

    def _labels(self) -> dict[str, int]:
        return {str(number): number for number in range(len(self.manifest.classes))}

    def _places(self, names: Sequence[str]) -> tuple[str, ...]:
        for name in names:
            inside(Path(self.folder), name, NAME)
        return tuple(f"{self.folder}/{name}" for name in names)


@dataclass
class _Found:
    """Shards without a manifest."""

    data: str
    stream: bool | None
    progress: Progress | None

    def dataset(self) -> Dataset:
        places = self._places()
        if not places:
            raise DataError(f"{self.data}: contains no shards (*.tar)")
        _refuse_unfinished(places)
        root = _common_folder(places)
        splits = self._by_split(places, self.data if Path(self.data).is_dir() else root)
        streams = is_remote(self.data) if self.stream is None else self.stream
        indexes = {
            name: index_shards(found, progress=self.progress) for name, found in splits.items()
        }
        whole = indexes.get("train") or indexes.get("all")
        every = [one for found in indexes.values() for one in found]
        classes = _classes(root, whole or every, least=2 if whole else 1)
        labels = {name: number for number, name in enumerate(classes)}
        stream = None
        if streams and "train" in splits:
            stream = _streamed(splits["train"], root, indexes["train"], labels)
        incomplete = sum(one.incomplete for one in every)
        return Dataset(
            Path(root),
            LAYOUT,
            classes,
            {
                name: samples_of(found, _names(found, root), indexes[name], labels, by_name=False)
                for name, found in splits.items()
                if stream is None or name != "train"
            },
            notes=(f"{incomplete:,} without image or class left out",) if incomplete else (),
            stream=stream,
            respelled=_respelled(every),
        )

    def _places(self) -> list[str]:
        path = Path(self.data)
        if is_pattern(self.data) and (is_remote(self.data) or not path.exists()):
            return find_shards(self.data)
        if not path.is_dir():
            return [self.data]
        found = sorted(map(str, path.rglob("*.tar")))
        return [place for place in found if not is_system_path(place.removeprefix(self.data))]

    def _by_split(self, places: Sequence[str], folder: str) -> dict[str, list[str]]:
        """Return the shards by the split in their names, relative to a folder."""
        splits: dict[str, list[str]] = {}
        by_name = {name: last_split(name) or "all" for name in _names(places, folder)}
        for place, split in zip(places, resolve_eval(by_name).values(), strict=True):
            splits.setdefault(split, []).append(place)
        if "all" in splits and len(splits) > 1:
            raise DataError(
                f"{splits['all'][0]}: its name contains no split (train, val, test), unlike those "
                "of other shards; rename it, or give a pattern without it"
            )
        return {name: splits[name] for name in ORDER if name in splits}


def _refuse_unfinished(places: Sequence[str]) -> None:
    """Refuse the part of a data set that an interrupted writing left."""
    for folder in {Path(place).parent for place in places if not is_remote(place)}:
        if (folder / UNFINISHED).exists():
            raise DataError(
                f"{folder}: verydeep shard is still at work on these shards, or was interrupted; "
                "empty the folder and write them again"
            )


def _streamed(
    places: Sequence[str],
    root: str,
    indexes: Sequence[ShardIndex],
    labels: Mapping[str, int],
) -> ShardStream:
    counts: Counter[str] = Counter()
    for one in indexes:
        for name, count in one.counts().items():
            counts[nfc(name)] += count
    return ShardStream(
        tuple(places),
        _names(places, root),
        tuple(map(len, indexes)),
        labels,
        tuple(counts[name] for name in labels),
    )


def _common_folder(places: Sequence[str]) -> str:
    folders = [place.split("/")[:-1] for place in places]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    return "/".join(parts[0] for parts in alike) or "."


def _names(places: Sequence[str], root: str) -> tuple[str, ...]:
    return tuple(place.removeprefix(f"{root}/") for place in places)


def _classes(root: str, indexes: Sequence[ShardIndex], least: int) -> tuple[str, ...]:
    """Return the classes in shards, sorted as numbers if all are, else as text."""
    words = sorted({nfc(name) for one in indexes for name in one.classes})
    found = check_class_names(((word, root) for word in words), root, least=least)
    numbers = all(name.isascii() and name.isdigit() for name in found)
    return tuple(sorted(found, key=int)) if numbers else found


def _respelled(indexes: Sequence[ShardIndex]) -> tuple[str, ...]:
    """Return the classes that occur in several of Unicode's normal forms."""
    spellings = {name for one in indexes for name in one.classes if not name.isascii()}
    forms = Counter(map(nfc, spellings))
    return tuple(sorted(name for name, count in forms.items() if count > 1))
