"""Explain the test of one image step by step, with a plot of its views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.data.images.member import ImageSource
from verydeep.data.read import Data
from verydeep.errors import InputError, PictureError
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.walkthrough import Explanation, explain
from verydeep.models.path import is_torchvision
from verydeep.run.testing.bench import check_alike, load_model, output_folder, set_up
from verydeep.system.one_or_many import one_or_many
from verydeep.system.settings import Compute
from verydeep.visualization.plots.style import save_figure
from verydeep.visualization.plots.views import draw_views

if TYPE_CHECKING:
    from verydeep.models.loading import AnyClassifier
    from verydeep.run.testing.bench import ModelSource, check_alike


def explain_test(
    models: ModelSource | Sequence[ModelSource],
    data: Data | None = None,
    protocol: str | TestProtocol = "dense",
    *,
    picture: str | Path | None = None,
    split: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    out: str | Path | None = None,
) -> Explanation:
    """Test one image and record every step; arguments are as for :func:`verydeep.evaluate`.

    Args:
        models: Models to test.
        data: Data to take the image from; not needed with ``picture``, unless a net is
            torchvision's.
        protocol: Test protocol.
        picture: Image to test; None takes the first of the split.
        split: Split to take the image from.
        layout: Folder layout of ``data``; None detects it.
        compute: Device and precision; a string names the device.
        out: Folder for ``views.png``, the views drawn on the image; None writes nothing.

    Raises:
        InputError: A model, the image or the protocol cannot be used.
        ModelError: A net is for volumes.
    """
    with output_folder(out) as folder:
        loaded, source = _given(models, data, picture, split, layout, compute)
        how = TestProtocol.of(protocol)
        for model in loaded:
            model.check_images("a test step by step")
        explanation = explain(loaded, [how.for_model(model) for model in loaded], source)
        if folder:
            save_figure(draw_views(explanation), folder / "views.png")
    return explanation


def _given(
    models: ModelSource | Sequence[ModelSource],
    data: Data | None,
    picture: str | Path | None,
    split: str | None,
    layout: str | None,
    compute: Compute | str | None,
) -> tuple[Sequence[AnyClassifier], ImageSource]:
    """Load the nets and find the image; only torchvision's nets need data besides an image."""
    given = one_or_many(models)
    if picture is None or any(is_torchvision(model) for model in given):
        bench = set_up(given, data, split=split, layout=layout, compute=compute)
        return bench.classifiers, Path(picture) if picture else bench.samples[0].path
    if not given:
        raise InputError("give at least one model to explain a test of")
    if not Path(picture).is_file():
        raise PictureError(f"{picture}: no such file")
    loaded = [load_model(model, compute, multi_label=None) for model in given]
    check_alike(loaded)
    return loaded, Path(picture)
