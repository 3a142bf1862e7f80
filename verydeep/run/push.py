"""Upload a trained model to the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from verydeep.models.hub.push import Pushed, push_folder
from verydeep.models.path import find_model, is_weights
from verydeep.models.trained_net import TrainedNet
from verydeep.system.progress import ProgressWish, choose_progress


def push(
    model: str | Path | TrainedNet,
    repository: str,
    *,
    private: bool = False,
    message: str | None = None,
    license: str | None = None,  # noqa: A002 - the Hub's own word
    progress: ProgressWish = None,
) -> Pushed:
    """Upload a model to the Hugging Face Hub, where ``hf:owner/name`` then stands for it.

    The weights, the configuration and the model card with its metadata become one commit. The
    token is that of ``hf auth login`` or ``HF_TOKEN``.

    Args:
        model: Model or run folder, name or file of weights, or a loaded model.
        repository: ``owner/name``; made if there is none.
        private: Make a new repository private; an existing one stays as it is.
        message: Message of the commit.
        license: Identifier of the model's licence on the Hub, like ``mit`` or ``cc-by-4.0``; None
            takes that of imported weights, if it is known.
        progress: Progress reporting.

    Raises:
        ModelError: There is no such model, the Hub refuses or cannot be reached, or the repository
            holds something else.
        MissingExtra: ``huggingface_hub`` is not installed.
        InputError: The licence is no identifier.
    """
    progress = choose_progress(progress)

    def upload(folder: Path) -> Pushed:
        return push_folder(
            folder,
            repository,
            private=private,
            message=message,
            licence=license,
            progress=progress,
        )

    if not isinstance(model, TrainedNet) and not is_weights(model):
        return upload(find_model(model))
    with tempfile.TemporaryDirectory() as folder:
        _loaded(model).save(folder)
        return upload(Path(folder))


def _loaded(model: str | Path | TrainedNet) -> TrainedNet:
    if isinstance(model, TrainedNet):
        return model
    from verydeep.models.classifier import load_classifier

    return load_classifier(model, "cpu", multi_label=None)
