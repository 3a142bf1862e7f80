"""Metadata of a model card on the Hugging Face Hub: YAML before the card's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from verydeep.errors import InputError
from verydeep.models.folder import ModelConfig
from verydeep.system.option_names import option
from verydeep.system.yaml import dump_yaml

LIBRARY = "verydeep"

TASKS = {
    "classification": "image-classification",
    "localization": "object-detection",
    "multi-label": "image-classification",
}
"""The Hub's name of a task by ours."""

LICENCES = {
    "apache-2.0": "apache-2.0",
    "bsd-3-clause": "bsd-3-clause",
    "cc by 4.0": "cc-by-4.0",
    "mit": "mit",
}
"""Identifier on the Hub by the beginning of a stated licence, in lower case."""

_FRONT = re.compile(r"\A---\r?\n.*?^---\r?\n\s*", re.DOTALL | re.MULTILINE)
_ERRORS = {"top1_error": "Top-1 error (%)", "top5_error": "Top-5 error (%)"}


def with_metadata(card: str, config: ModelConfig, repository: str, licence: str | None) -> str:
    """Return a model card with metadata in front, in place of any that it had.

    Args:
        card: Markdown.
        config: Configuration of the model.
        repository: ``owner/name``.
        licence: Identifier of the licence on the Hub; None takes that of imported weights.

    Raises:
        InputError: The licence is no identifier.
    """
    text = _FRONT.sub("", card)
    text = text.replace("path/to/this/folder", f"hf:{repository}")
    return f"---\n{dump_yaml(metadata(config, repository, licence))}---\n\n{text}"


def metadata(config: ModelConfig, repository: str, licence: str | None) -> dict[str, Any]:
    """Return the metadata: licence, library, task, tags and measured errors, as plain values."""
    task = TASKS[config.task] if config.classes else "image-feature-extraction"
    licence = _licence(config, licence)
    return {
        **({"license": licence} if licence else {}),
        "library_name": LIBRARY,
        "pipeline_tag": task,
        "tags": [
            *(LIBRARY, "vgg", f"vgg-{config.net.name.lower()}"),
            *(["multi-label-image-classification"] if config.task == "multi-label" else []),
        ],
        **_measured(config, repository, task),
    }


def _licence(config: ModelConfig, given: str | None) -> str | None:
    if given is not None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", given):
            raise InputError(
                f"{option('license')} must be an identifier like mit or cc-by-4.0, got {given!r} "
                "instead"
            )
        return given
    stated = str((config.source or {}).get("licence") or "").lower()
    found = (name for beginning, name in LICENCES.items() if stated.startswith(beginning))
    return next(found, None)


def _measured(config: ModelConfig, repository: str, task: str) -> dict[str, Any]:
    """Return the measured errors in the Hub's form, if there are any."""
    measured: Mapping[str, Any] = config.measured or {}
    errors = {key: float(measured[key]) for key in _ERRORS if measured.get(key) is not None}
    if len(config.classes) <= 5:  # the top-5 error is 0 then
        errors.pop("top5_error", None)
    if config.task != "classification" or not errors:
        return {}
    result = {
        "task": {"type": task},
        "dataset": {
            "type": "images",
            "name": f"{measured.get('images')} images",
            "split": str(measured.get("split") or "test"),
        },
        "metrics": [
            {"type": key, "value": value, "name": _ERRORS[key]} for key, value in errors.items()
        ],
    }
    name = repository.partition("/")[2]
    return {"metrics": [*errors], "model-index": [{"name": name, "results": [result]}]}
