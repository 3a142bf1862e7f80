"""Images sorted into a folder for each class, by what a model sees on them."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
from verydeep.system.progress import Progress

UNSURE = "unsure"
"""Folder of images whose likeliest class is less likely than asked for."""


def sort_pictures(
    predictions: Iterable[Prediction],
    folder: Path,
    *,
    least: float = 0.0,
    move: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Copy images into a folder for each class; nothing is written over.

    A name that is taken gets a number: ``cat.jpg`` becomes ``cat-2.jpg``; an image that lies
    there already, byte for byte, is left as it is.

    Args:
        predictions: Of files; images that cannot be read stay where they are.
        folder: Holds the folders of the classes.
        least: Least probability of the likeliest class; others go to ``unsure/``.
        move: Move the files instead of copying them.
        progress: Where to report to; None is silent.

    Returns:
        Images by folder, the fullest first.

    Raises:
        InputError: The folder cannot be written, or a file cannot be read.
    """
    given = [one for one in predictions if one.source is not None and not one.fault]
    counts: Counter[str] = Counter()
    with (progress or Progress()).task("sorting images", len(given)) as task:
        for done, one in enumerate(given, 1):
            name = folder_of(one, least)
            assert one.source is not None
            try:
                _place(one.source, folder / name, move=move)
            except OSError as error:
                raise InputError(f"{folder / name}: {error.strerror or error}") from error
            counts[name] += 1
            task.update(done)
    return dict(counts.most_common())


def folder_of(prediction: Prediction, least: float = 0.0) -> str:
    """Return the name of the folder that an image belongs into."""
    probability = prediction.probability or 0.0
    return UNSURE if probability < least else safe_name(prediction.class_name or "")


def safe_name(name: str) -> str:
    """Return the name of a class as that of one folder, on every system.

    >>> safe_name("cat"), safe_name("../a/b"), safe_name("unsure"), safe_name("a: b?")
    ('cat', '_a_b', 'unsure_', 'a_ b_')
    """
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ")[:120] or "_"
    reserved = plain == UNSURE or re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)", plain)
    return f"{plain}_" if reserved else plain


def _place(source: Path, folder: Path, *, move: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target, number = folder / source.name, 1
    while not _claim(target):
        if _same(source, target):
            if move and not source.samefile(target):
                source.unlink()
            return
        number += 1
        target = folder / f"{source.stem}-{number}{source.suffix}"
    try:
        shutil.copy2(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    if move:
        source.unlink()


def _claim(target: Path) -> bool:
    """Make an empty file, unless there is anything of that name."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return one.samefile(other) or one.read_bytes() == other.read_bytes()
