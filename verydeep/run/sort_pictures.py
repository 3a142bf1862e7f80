"""Sort images into one folder per predicted class."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

UNSURE = "unsure"
"""Folder for images whose top probability is below the threshold."""


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
    already there, byte for byte.

    Args:
        predictions: Predictions for files; unreadable images stay where they are.
        folder: Parent of the class folders.
        least: Minimum probability of the most likely class; images below go to ``unsure/``.
        move: Move the files instead of copying them.
        progress: Progress reporting; None is silent.

    Returns:
        Number of images by folder, in descending order.

    Raises:
        InputError: The folder is not writable, a file cannot be read, or the predictions are
            multi-label.
    """
    predictions = [*predictions]
    if any(one.labels is not None for one in predictions):
        raise InputError(
            f"{option('sort')} puts each image into the folder of one class, and a multi-label "
            "model gives it several"
        )
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
    """Return the name of the folder for an image."""
    probability = prediction.probability or 0.0
    return UNSURE if probability < least else safe_name(prediction.class_name or "")


def safe_name(name: str) -> str:
    """Return a class name as a folder name that is valid on every system.

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
    """Create an empty file unless the path exists; return whether it was created."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return one.samefile(other) or one.read_bytes() == other.read_bytes()
