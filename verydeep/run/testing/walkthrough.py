"""A test of one image, explained in words and as an image of its views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verydeep.data.images.member import ImageSource as Place
from verydeep.errors import InputError, PictureError
from verydeep.evaluation.walkthrough import Explanation, explain
from verydeep.models.path import is_torchvision
from verydeep.run.testing.evaluate import (
    AnyClassifier,
    ModelSource,
    Scales,
    load_model,
    protocol_for,
    set_up,
)
from verydeep.visualization.plots.style import save_figure
from verydeep.visualization.plots.views import draw_views


def explain_test(
    models: ModelSource | Sequence[ModelSource],
    data: str | Path | None = None,
    protocol: str = "dense",
    *,
    picture: str | Path | None = None,
    out: str | Path | None = None,
    split: str | None = None,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    preset: str = "paper",
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Explanation:
    """Test one image and keep every step; the arguments are those of :func:`verydeep.evaluate`.

    Args:
        models: The nets.
        data: What would be tested; not needed if an image is given and no net is torchvision's.
        protocol: How.
        picture: The image; None takes the first of the split.
        out: Folder for ``views.png``, the views drawn on the image; None writes nothing.
        split: Which split.
        scales: Test scales.
        flip: Whether mirror images are averaged in.
        grid: Rows and columns of crops.
        average: What is averaged.
        preset: ``paper`` or ``torchvision``.
        layout: How ``data`` lie on disk; None looks.
        device: Where to compute.
        precision: ``bf16`` or ``fp32``.

    Raises:
        InputError: A model, the image or the protocol cannot be used.
    """
    loaded, source = _given(models, data, picture, split, layout, device, precision)
    protocols = [
        protocol_for(
            model, protocol, scales=scales, flip=flip, grid=grid, average=average, preset=preset
        )
        for model in loaded
    ]
    explanation = explain(loaded, protocols, source)
    if out:
        save_figure(draw_views(explanation), Path(out) / "views.png")
    return explanation


def _given(
    models: ModelSource | Sequence[ModelSource],
    data: str | Path | None,
    picture: str | Path | None,
    split: str | None,
    layout: str | None,
    device: str | None,
    precision: str | None,
) -> tuple[Sequence[AnyClassifier], Place]:
    """Load the nets, and find the image: with one at hand, nets of ours need no data."""
    given = [models] if isinstance(models, ModelSource) else list(models)
    if picture is None or any(is_torchvision(model) for model in given):
        bench = set_up(given, data, split, layout=layout, device=device, precision=precision)
        return bench.models, Path(picture) if picture else bench.samples[0].path
    if not given:
        raise InputError("give at least one model to explain a test of")
    if not Path(picture).is_file():
        raise PictureError(f"{picture}: no such file")
    return [load_model(model, device, precision) for model in given], Path(picture)
