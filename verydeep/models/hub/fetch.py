"""Download of models from the Hugging Face Hub into its own cache.

Only ``config.json``, ``model.safetensors``, ``README.md``, features of training images and the
files of an int8 variant are read: no code, and no pickle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from verydeep.errors import ModelError, plural, printable
from verydeep.models.file_names import CARD, CONFIG, FAMILIARITY, INT8, INT8_RECORD, WEIGHTS
from verydeep.models.hub.faults import explained, hub_package, is_unreachable
from verydeep.models.hub.name import HubName
from verydeep.models.weights.checksum import MEGABYTE
from verydeep.models.weights.published import published
from verydeep.system.files import is_disk_full, write_error
from verydeep.system.progress import PlainProgress, Progress

PATIENCE = 10.0
"""Seconds to wait for an answer from the Hub."""

LARGEST_CONFIG = 64 * MEGABYTE

_KNOWN = frozenset({".pth", ".pt", ".bin", ".safetensors", ".h5", ".keras", ".mat", ".onnx"})
"""Suffixes of files that ``verydeep import`` may read."""

_SHOWN = 8
"""Most files to list in a message."""


def fetch_model(model: str | Path, progress: Progress | None = None) -> Path:
    """Return the folder of a model on the Hub, which is downloaded on first use.

    The main branch is looked up at every call. Without a network, the copy in the cache is used.

    Args:
        model: ``hf:owner/name`` or ``hf:owner/name@revision``.
        progress: Progress reporting.

    Raises:
        ModelError: There is no such model, it may not be read, or it is not one of this package.
        MissingExtra: ``huggingface_hub`` is not installed.
        DiskError: The disk is full or failing.
        InputError: The cache is not writable.
    """
    name, progress = HubName.of(model), progress or Progress()
    hub = hub_package(name)
    try:
        about = hub.HfApi().model_info(
            name.repository, revision=name.revision, timeout=PATIENCE, files_metadata=True
        )
    except Exception as error:  # depends on the version of the package
        cached = _cached(hub, name) if is_unreachable(error) else None
        if cached is None:
            raise explained(name, error, "read") from error
        progress.log(f"{name}: the Hub cannot be reached; its cache on this machine is used")
        return cached
    sizes = {one.rfilename: one.size or 0 for one in about.siblings or ()}
    cached = _cached(hub, name)
    wanted = _wanted(sizes)
    if cached and cached.name == about.sha and all((cached / file).exists() for file in wanted):
        return cached
    return _download(hub, name, sizes, progress)


def _download(hub: Any, name: HubName, sizes: Mapping[str, int], progress: Progress) -> Path:
    """Download the configuration, check it, then the rest of the same commit."""
    if CONFIG not in sizes or sizes[CONFIG] > LARGEST_CONFIG:
        raise _no_model(name, sizes)
    folder = _file(hub, name, name.revision, CONFIG).parent  # the cache notes the revision
    check_own(name, folder, sizes)
    files = _wanted(sizes)
    megabytes = sum(sizes[file] for file in files) / MEGABYTE
    progress.log(f"{name}: downloading {megabytes:,.1f} MB")
    with bars(hub, progress):
        for file in files:
            _file(hub, name, folder.name, file)
    return folder


def _wanted(sizes: Mapping[str, int]) -> list[str]:
    """Return the files to download after the configuration.

    The weights are last: with them in the cache, the model is complete.
    """
    return [file for file in (CARD, FAMILIARITY, INT8_RECORD, INT8, WEIGHTS) if file in sizes]


def check_own(name: HubName, folder: Path, sizes: Mapping[str, int]) -> None:
    """Refuse a repository whose ``config.json`` is not that of a model of this package.

    Raises:
        ModelError: It is another library's, or the weights are missing.
    """
    from verydeep.models.folder import read_config  # imports torch

    try:
        read_config(folder)
    except ModelError as error:
        raise _no_model(name, sizes) from error
    if WEIGHTS not in sizes:
        raise _no_model(name, sizes)


def _file(hub: Any, name: HubName, revision: str | None, file: str) -> Path:
    try:
        return Path(hub.hf_hub_download(name.repository, file, revision=revision))
    except Exception as error:  # depends on the version of the package
        if isinstance(error, OSError) and (is_disk_full(error) or error.filename):
            cache = Path(error.filename or hub.constants.HF_HUB_CACHE)
            raise write_error(cache, error.errno or 0) from error
        raise explained(name, error, "read") from error


def _cached(hub: Any, name: HubName) -> Path | None:
    """Return the folder of the last download of a revision; None if there is none."""
    try:
        paths = [
            Path(
                hub.hf_hub_download(
                    name.repository, file, revision=name.revision, local_files_only=True
                )
            )
            for file in (CONFIG, WEIGHTS)
        ]
    except Exception:  # not in the cache
        return None
    return paths[0].parent


def _no_model(name: HubName, sizes: Mapping[str, int]) -> ModelError:
    """Return the error for a repository of something else, with what it has and what to do."""
    files = [printable(file) for file in sizes if not file.startswith(".")]
    shown = ", ".join(files[:_SHOWN]) + f" and {len(files) - _SHOWN} more" * (len(files) > _SHOWN)
    has = f"it has {plural(len(files), 'file')}: {shown}" if files else "it is empty"
    return ModelError(f"{name}: not a model of verydeep; {has}{_import_instead(name, sizes)}")


def _import_instead(name: HubName, sizes: Mapping[str, int]) -> str:
    for known in published().values():
        paths = (urlsplit(address).path for address in known.addresses)
        if any(path.startswith(f"/{name.repository}/") for path in paths):
            return f". Its weights are known by name: {known.name}"
    weights = [file for file in sizes if PurePosixPath(file).suffix in _KNOWN]
    if weights:
        return (
            f". If {printable(weights[0])} holds a VGG net, download it and import it (verydeep "
            "import, verydeep.import_weights)"
        )
    return ""


@contextmanager
def bars(hub: Any, progress: Progress) -> Iterator[None]:
    """Show the package's own bars only where progress shows bars."""
    silent = type(progress) in (Progress, PlainProgress)
    were_off = hub.utils.are_progress_bars_disabled()
    if silent and not were_off:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if silent and not were_off:
            hub.utils.enable_progress_bars()
