"""Sort images into one folder per predicted class."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
from verydeep.system.files import sync
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

UNSURE = "unsure"
"""Folder for images whose top probability is too low, or for which the model abstains."""

LONGEST = 200
"""Bytes of a folder's name; file systems allow 255."""

_PART = ".sorting-"
"""Beginning of the name of a copy that is not whole yet."""


def sort_pictures(
    predictions: Iterable[Prediction],
    folder: Path,
    *,
    least: float = 0.0,
    move: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Copy images into one folder per class, without overwriting files.

    If a name is taken, append a number: ``cat.jpg`` becomes ``cat-2.jpg``. Skip images that are
    already there, byte for byte. Every file has its name only once it is whole, and an image that
    is moved is removed only when its copy is on the disk.

    Args:
        predictions: Predictions for files; unreadable images stay where they are.
        folder: Parent of the class folders.
        least: Minimum probability of the most likely class; images below go to ``unsure/``, like
            those for which the model abstains.
        move: Move the files instead of copying them.
        progress: Progress reporting; None is silent.

    Returns:
        Number of images by folder, in descending order.

    Raises:
        InputError: The folder is not writable, a file cannot be read, or the predictions are
            multi-label.
        FolderInUse: Another process sorts into the folder.
    """
    predictions = [*predictions]
    if any(one.labels is not None for one in predictions):
        raise InputError(
            f"{option('sort')} puts each image into the folder of one class, and a multi-label "
            "model gives it several"
        )
    given = [one for one in predictions if one.source is not None and not one.fault]
    names = folder_names(one.class_name or "" for one in given)
    counts: Counter[str] = Counter()
    with hold(folder), (progress or Progress()).task("sorting images", len(given)) as task:
        _remove_parts(folder)
        for done, one in enumerate(given, 1):
            name = folder_of(one, names, least)
            assert one.source is not None
            try:
                _place(one.source, folder / name, move=move)
            except OSError as error:
                raise InputError(f"{folder / name}: {error.strerror or error}") from error
            counts[name] += 1
            task.update(done)
    return dict(counts.most_common())


def folder_of(prediction: Prediction, names: Mapping[str, str], least: float = 0.0) -> str:
    """Return the name of the folder for an image, one of ``names`` by class or :data:`UNSURE`."""
    unsure = bool(prediction.abstained) or (prediction.probability or 0.0) < least
    return UNSURE if unsure else names[prediction.class_name or ""]


def folder_names(classes: Iterable[str]) -> dict[str, str]:
    """Return a folder name for each class; those that would be the same get a part of a hash.

    Some file systems take ``Cat`` and ``cat`` for the same.

    >>> folder_names(["cat", "a:b", "a_b"])
    {'a_b': 'a_b', 'cat': 'cat', 'a:b': 'a_b-6783a3'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    # Names that stay as they are come first.
    for name in sorted({*classes}, key=lambda name: (safe_name(name) != name, name)):
        plain = safe_name(name)
        if plain.casefold() in taken:
            plain += f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:6]}"
        taken.add(plain.casefold())
        found[name] = plain
    return found


def safe_name(name: str) -> str:
    """Return a class name as a folder name that is valid on every system.

    >>> safe_name("cat"), safe_name("../a/b"), safe_name("unsure"), safe_name("a: b?")
    ('cat', '_a_b', 'unsure_', 'a_ b_')
    """
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ")
    while len(os.fsencode(plain)) > LONGEST:
        plain = plain[:-1].rstrip(". ")
    reserved = plain.casefold() == UNSURE or re.fullmatch(
        r"(?i)(con|prn|aux|nul|com\d|lpt\d)", plain
    )
    return f"{plain}_" if reserved else plain or "_"


def _place(source: Path, folder: Path, *, move: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for target in _targets(source, folder):
        try:
            _put(source, target, move=move)
        except FileExistsError:
            if not _same(source, target):
                continue
            if move and not source.samefile(target):
                source.unlink()
        return


def _targets(source: Path, folder: Path) -> Iterator[Path]:
    yield folder / source.name
    for number in itertools.count(2):
        yield folder / f"{source.stem}-{number}{source.suffix}"


def _put(source: Path, target: Path, *, move: bool) -> None:
    """Copy or move an image to a path, unless there is something.

    Raises:
        FileExistsError: There is something.
        OSError: The image cannot be read, or the path not written.
    """
    if os.path.lexists(target):
        raise FileExistsError(target)
    if move and not source.is_symlink() and _link(source, target):
        source.unlink()
        return
    handle, name = tempfile.mkstemp(prefix=_PART, dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        shutil.copy2(source, part)
        if move:
            sync(part)
        if not _link(part, target):
            part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    if move:
        sync(target.parent)
        source.unlink()


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name, if the file system allows.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without hard links
        return False
    return True


def _remove_parts(folder: Path) -> None:
    """Remove copies that were not whole when their process was killed."""
    for part in folder.glob(f"*/{_PART}*"):
        part.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return one.samefile(other) or one.read_bytes() == other.read_bytes()
