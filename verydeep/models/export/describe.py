"""Description of a classifier for the metadata of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.models.classifier import Classifier
from verydeep.models.exported.metadata import FEATURES, PROJECTIONS, Metadata


def describe(model: Classifier, *, dense: bool, int8: bool = False) -> Metadata:
    """Return the description of a classifier.

    Args:
        model: The classifier.
        dense: The file takes images of any size.
        int8: The file holds the model's int8 variant.
    """
    licence = (model.source or {}).get("licence")
    return Metadata(
        net=model.name,
        classes=model.classes,
        titles=dict(model.titles),
        input_size=model.input_size,
        stride=model.stride,
        dense=dense,
        train_scale=model.train_scale,
        test_scales=model.test_scales,
        test_flip=model.test_flip,
        interpolation=model.interpolation,
        protocol="dense" if dense else "center",
        precision="int8" if int8 else "fp32",
        multi_label=model.multi_label,
        thresholds=model.thresholds.values if model.thresholds else None,
        calibration=asdict(model.calibration) if model.calibration else None,
        abstention=_plain_abstention(model),
        unlike=_sizes(model),
        licence=None if licence is None else str(licence),
        source=_plain(model.source),
        measured=_plain(model.measured),
    )


def exported_abstention(model: Classifier) -> Abstention | None:
    """Return what was learned about abstaining, without a distance that cannot be computed."""
    learned = model.abstention
    if learned and model.reference is None:
        return replace(learned, threshold=learned.threshold_alone, familiar=None)
    return learned


def _plain_abstention(model: Classifier) -> dict[str, Any] | None:
    learned = exported_abstention(model)
    return asdict(learned) if learned else None


def _sizes(model: Classifier) -> dict[str, int] | None:
    """Return the sizes of the outputs that the distance is computed of."""
    if model.reference is None:
        return None
    classes, features = model.reference.means.shape
    return {FEATURES: features, PROJECTIONS: classes}


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what belongs in a file for others: without the names of images and of folders."""
    private = ("unreadable", "path")
    if values is None:
        return None
    return {name: value for name, value in values.items() if name not in private}
