"""Scikit-learn transformer from images to feature vectors.

N images, D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from verydeep.data.images.inputs import Picture
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, PictureError
from verydeep.evaluation.joint_tests import block_size
from verydeep.evaluation.protocol import Scales
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute
from verydeep.transfer.describe import describe_pictures
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.features import Vectors


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transformer from images to features, for scikit-learn pipelines.

    ``make_pipeline(FeatureExtractor("runs/a"), LinearSVC())`` is the paper's classifier for other
    data sets (appendix B). Fitting learns nothing; settings are checked by the first transform.
    Copies and pickles contain only the settings and load the model again.

    Args:
        model: Model or run folder, a VGG net of torchvision like ``torchvision/vgg16``, or a loaded
            classifier.
        scales: Q, in pixels; None takes those that the model was tested at.
        flip: Whether to average with the mirror image; None does as when the model was tested.
        layer: ``fc7``, ``fc6`` or ``pool5``; None: the deepest that the net has.
        aggregate: ``mean`` or ``stack`` of the scales; see
            :class:`verydeep.transfer.descriptor.Descriptor`.
        device: Device; None chooses one. Ignored for a loaded classifier.
        precision: ``bf16`` or ``fp32``; None chooses one. Ignored for a loaded classifier.
        workers: Number of decoding processes; None chooses it.
    """

    def __init__(
        self,
        model: str | Path | Classifier | None = None,
        *,
        scales: Scales = None,
        flip: bool | None = None,
        layer: str | None = None,
        aggregate: str = "mean",
        device: str | None = None,
        precision: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.model = model
        self.scales = scales
        self.flip = flip
        self.layer = layer
        self.aggregate = aggregate
        self.device = device
        self.precision = precision
        self.workers = workers

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Return the transformer unchanged."""
        return self

    def transform(self, X: Picture | Iterable[Picture]) -> Vectors:
        """Return the features of images.

        Args:
            X: Paths, PIL images, arrays or a folder, as for :meth:`verydeep.Classifier.predict`;
                of a net of volumes, paths.

        Returns:
            Unit vectors, float32 (N, D).

        Raises:
            InputError: The model or a setting is invalid.
            PictureError: An image is unreadable; a pipeline cannot skip rows.
        """
        model, descriptor = self._made()
        if isinstance(X, np.ndarray) and (X.dtype.kind in "OU" or X.ndim == 4):
            X = list(X.ravel() if X.dtype.kind in "OU" else X)  # many, as cross-validation has them
        pictures = TestPictures(
            model.sources(X, Progress()),
            descriptor.used_scales,
            self.workers,
            dimensions=model.dimensions,
        )
        vectors = describe_pictures(model, pictures, descriptor, block=block_size(len(pictures)))
        if pictures.unreadable:
            reasons = [*pictures.unreadable.values()]
            raise PictureError(
                f"{len(reasons)} of {len(pictures)} images are unreadable:\n  "
                + "\n  ".join(reasons[:10])
            )
        return vectors.numpy()

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the D features, like ``fc7_0``, or ``fc7_256_0`` if stacked."""
        model, descriptor = self._made()
        return np.array(descriptor.names(model), dtype=object)

    def _made(self) -> tuple[Classifier, Descriptor]:
        """Return the model and the descriptor."""
        model = self.model if isinstance(self.model, Classifier) else self._load(self.model)
        descriptor = Descriptor(self.scales, self.flip, self.layer, self.aggregate)  # type: ignore[arg-type]
        return model, descriptor.for_model(model)

    def _load(self, folder: str | Path | None) -> Classifier:
        """Return the model in the folder, cached by settings."""
        if folder is None:
            raise InputError("FeatureExtractor needs a model: a folder, or a loaded classifier")
        wanted = (folder, self.device, self.precision)
        known = getattr(self, "_loaded", None)
        if known is None or known[0] != wanted:
            model = load_classifier(folder, Compute(self.device, self.precision))
            known = self._loaded = (wanted, model)
        return cast(Classifier, known[1])

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_loaded"}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags
