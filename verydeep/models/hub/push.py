"""Upload of models to the Hugging Face Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError
from verydeep.models.file_names import CARD, CONFIG, FAMILIARITY, INT8, INT8_RECORD, WEIGHTS
from verydeep.models.folder import ModelConfig, read_config
from verydeep.models.hub.faults import LOG_IN, explained, hub_package
from verydeep.models.hub.fetch import bars, check_own
from verydeep.models.hub.metadata import with_metadata
from verydeep.models.hub.name import HubName
from verydeep.models.weights.checksum import MEGABYTE
from verydeep.system.progress import Progress
from verydeep.system.summary import Rows, Summary

MESSAGE = "Upload a model of verydeep"


@dataclass(frozen=True, repr=False)
class Pushed(Summary):
    """A model that was uploaded.

    Attributes:
        name: ``hf:owner/name``, which stands for the model from now on.
        url: Page of the model.
        commit: Commit of the upload.
        files: Names of the uploaded files with their sizes in bytes.
    """

    name: str
    url: str
    commit: str
    files: dict[str, int]

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        yield "name", self.name
        yield "url", self.url
        yield "commit", self.commit
        yield "files", ", ".join(self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "url": self.url, "commit": self.commit, "files": self.files}


def push_folder(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    message: str | None = None,
    licence: str | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Upload a model folder as one commit; the repository is made if there is none.

    Args:
        folder: Model folder.
        repository: ``owner/name``.
        private: Make a new repository private; an existing one stays as it is.
        message: Message of the commit.
        licence: Identifier of the licence on the Hub, like ``mit``.
        progress: Progress reporting.

    Raises:
        ModelError: The folder holds no model, the Hub refuses or cannot be reached, or the
            repository holds something else.
        MissingExtra: ``huggingface_hub`` is not installed.
        InputError: The licence is no identifier.
    """
    name, progress = HubName.of(repository), progress or Progress()
    if name.revision:
        raise ModelError(f"{repository}: a model is pushed to the main branch: leave out @")
    contents = _contents(folder, name, licence)
    hub = hub_package(name)
    if hub.get_token() is None:
        raise ModelError(f"{name}: pushing needs a token of the Hub: {LOG_IN}")
    sizes = {file: _size(content) for file, content in contents.items()}
    with _explained(name):
        url = hub.HfApi().create_repo(name.repository, private=private or None, exist_ok=True)
    _check_free(hub, name)
    progress.log(f"{name}: uploading {sum(sizes.values()) / MEGABYTE:,.1f} MB")
    with _explained(name), bars(hub, progress):
        commit = hub.HfApi().create_commit(
            name.repository,
            [hub.CommitOperationAdd(file, content) for file, content in contents.items()],
            commit_message=message or MESSAGE,
        )
    return Pushed(str(name), str(url), str(commit.oid), sizes)


def _contents(folder: Path, name: HubName, licence: str | None) -> dict[str, bytes | str]:
    """Return the uploaded files by name, as bytes or as paths."""
    config = read_config(folder)
    card = folder / CARD
    try:
        text = card.read_text("utf-8") if card.exists() else f"# {name.repository}\n"
        size = (folder / WEIGHTS).stat().st_size
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}: cannot be read ({error})") from error
    if not size:
        raise ModelError(f"{folder / WEIGHTS}: empty")
    readme = with_metadata(text, config, name.repository, licence)
    features = folder / FAMILIARITY
    int8 = {name: str(folder / name) for name in (INT8, INT8_RECORD)}
    return {
        **(int8 if all(Path(path).is_file() for path in int8.values()) else {}),
        **({FAMILIARITY: str(features)} if features.is_file() else {}),
        WEIGHTS: str(folder / WEIGHTS),
        CONFIG: _without_names(config).encode(),
        CARD: readme.encode(),
    }


def _without_names(config: ModelConfig) -> str:
    """Return a configuration as text, without the names of images, which are nobody's business."""
    measured = config.measured and {**config.measured, "unreadable": []}
    return config.model_copy(update={"measured": measured}).model_dump_json(indent=2) + "\n"


def _size(content: bytes | str) -> int:
    return len(content) if isinstance(content, bytes) else Path(content).stat().st_size


def _check_free(hub: Any, name: HubName) -> None:
    """Refuse to write over a repository that holds something else."""
    with _explained(name):
        about = hub.HfApi().model_info(name.repository, files_metadata=True)
    sizes = {one.rfilename: one.size or 0 for one in about.siblings or ()}
    if CONFIG not in sizes:
        return
    with _explained(name):
        config = hub.hf_hub_download(name.repository, CONFIG, revision=about.sha)
    try:
        check_own(name, Path(config).parent, sizes)
    except ModelError as error:
        raise ModelError(f"{error}. Push to a new name") from error


@contextlib.contextmanager
def _explained(name: HubName) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # depends on the version of the package
        raise explained(name, error, "write") from error
