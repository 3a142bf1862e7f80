"""Description of a job in its output folder, so that it goes on only as it was begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verydeep.errors import InputError, plural
from verydeep.system.files import write_json
from verydeep.system.option_names import command_or_call

NAME = "manifest.json"
FORMAT = "verydeep bulk 1"


@dataclass(frozen=True)
class Job:
    """What a job does. Everything but the names of source and model must be the same to go on.

    Attributes:
        verb: ``predict`` or ``features``.
        source: Source as it was given.
        rows: Number of images.
        rows_hash: Hash of their list.
        part_size: Images per part.
        model: Model as it was given.
        model_hash: Hash of the model.
        settings: Settings that the results depend on, with engine and precision.
    """

    verb: str
    source: str
    rows: int
    rows_hash: str
    part_size: int
    model: str
    model_hash: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT

    def write(self, folder: Path) -> None:
        """Write the manifest."""
        write_json(folder / NAME, asdict(self))

    def refuse_other(self, begun: Job, folder: Path) -> None:
        """Refuse to continue another job than the one that was begun in a folder.

        Raises:
            InputError: The jobs differ.
        """
        differences = [
            f"another {what} ({was}, now {now})"
            for what, was, now in _pairs(begun, self)
            if was != now
        ]
        if differences:
            raise InputError(
                f"{folder}: was begun with {'; '.join(differences)}. Repeat the first "
                f"{command_or_call()} to go on, or choose another folder"
            )


def _pairs(begun: Job, now: Job) -> list[tuple[str, str, str]]:
    """Return what must agree, in words, then as it was and as it is now."""
    lists = [
        f"{plural(job.rows, 'image')} of {job.source}, list {job.rows_hash[:8]}"
        for job in (begun, now)
    ]
    same_rows = (begun.rows, begun.rows_hash) == (now.rows, now.rows_hash)
    pairs = [
        ("verb", begun.verb, now.verb),
        ("source", lists[0], lists[0] if same_rows else lists[1]),
        ("part size", f"{begun.part_size:,}", f"{now.part_size:,}"),
    ]
    if now.model_hash:
        models = [f"{job.model}, weights {job.model_hash[:8]}" for job in (begun, now)]
        same = begun.model_hash == now.model_hash
        pairs.append(("model", models[0], models[0] if same else models[1]))
    settings = {**begun.settings, **now.settings} if now.settings else {}
    pairs += [(key, str(begun.settings.get(key)), str(now.settings.get(key))) for key in settings]
    return pairs


def read_job(folder: Path) -> Job | None:
    """Return the job that was begun in a folder; None if there is none.

    Raises:
        InputError: The manifest is broken, or there are results without one.
    """
    path = folder / NAME
    if not path.exists():
        if (folder / "parts").exists() and any((folder / "parts").glob("*.parquet")):
            raise InputError(
                f"{folder}: has results but no {NAME}, so nothing tells what they are of; choose "
                "another folder"
            )
        return None
    try:
        value: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']!r} instead of {FORMAT!r}")
        return Job(**{**value, "settings": dict(value["settings"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not the manifest of a bulk job ({error})") from error
