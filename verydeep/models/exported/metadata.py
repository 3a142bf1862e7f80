"""Everything about an exported net except its layers: the text that travels inside its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.calibration import Calibration
from verydeep.system.version import __version__

DISTANCE, FEATURES, PROJECTIONS = "distance", "features", "projections"
"""Names of the outputs that a file has only if it tells images unlike the training images.

See :class:`verydeep.models.exported.session.Outputs`.
"""

KEY = "verydeep"
"""Name of the text in the metadata of a file."""

FORMAT = 1

RESIZE = (
    "upright RGB image; smallest side to Q pixels, longer side in proportion, rounded to the "
    "nearest pixel"
)


@dataclass(frozen=True)
class Metadata:
    """Description of an exported classifier.

    Attributes:
        net: Name of the net, a column of Table 1.
        classes: Names of the K classes, in the order of the outputs.
        titles: Display names of classes, where they differ from the names.
        input_size: Side of the smallest accepted image, in pixels.
        stride: Image pixels between neighbouring positions of the score map.
        dense: True if the file takes any image with sides of at least ``input_size``.
        train_scale: Training scale S as a range (low, high), in pixels.
        test_scales: Default test scales Q, in pixels.
        test_flip: Average with the mirror image by default.
        resize: Rule for rescaling images, in words.
        interpolation: Interpolation for rescaling, antialiased.
        protocol: Default test protocol: ``dense`` or ``center``.
        precision: Number format of weights and activations.
        calibration: Temperature of the probabilities, and how it was fitted; None without.
        multi_label: True if the probabilities are sigmoids, as an image may have several classes or
            none; otherwise they are a softmax.
        thresholds: Probability from which each class of a multi-label net is predicted; None if
            not fitted.
        abstention: When to abstain and sets of classes; None if the model has not learned that. See
            :class:`verydeep.evaluation.abstention.abstention.Abstention`.
        unlike: Sizes of the outputs that the distance from the training images is computed of,
            ``features`` and ``projections``; None if the file does not give them.
        licence: Licence of the weights, as their publisher states it; None if unknown.
        source: Origin of imported weights; None for a net trained with this package.
        measured: Errors of the net before the export and how they were measured; None if unknown.
        version: Version of this package that wrote the file.
        format: Version of this description.
    """

    net: str
    classes: tuple[str, ...]
    titles: Mapping[str, str]
    input_size: int
    stride: int
    dense: bool
    train_scale: tuple[int, int]
    test_scales: tuple[int, ...]
    test_flip: bool
    resize: str = RESIZE
    interpolation: str = "bilinear"
    protocol: str = "center"
    precision: str = "fp32"
    calibration: Mapping[str, Any] | None = None
    multi_label: bool = False
    thresholds: tuple[float, ...] | None = None
    abstention: Mapping[str, Any] | None = None
    unlike: Mapping[str, int] | None = None
    licence: str | None = None
    source: Mapping[str, Any] | None = None
    measured: Mapping[str, Any] | None = None
    version: str = __version__
    format: int = FORMAT

    @property
    def proof_scale(self) -> int:
        """Scale Q at which an export is compared with its model: the middle one."""
        return sorted(self.test_scales)[len(self.test_scales) // 2]

    def to_json(self) -> str:
        """Return the text that is stored in a file, in ASCII."""
        values = asdict(self)
        if not self.multi_label:  # left out, as by versions that knew no other
            del values["multi_label"], values["thresholds"]
        for name in ("abstention", "unlike"):
            if values[name] is None:  # left out, as by versions that knew none
                del values[name]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Return the description stored in a file.

        Raises:
            ValueError, TypeError: The text is no such description, or one of a later version.
        """
        try:
            values = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        if values.get("format") != FORMAT:
            raise ValueError(f"format {values.get('format')!r}, where {FORMAT} is expected")
        known = {one.name for one in fields(cls)}
        missing = {"net", "classes", "input_size", "stride", "dense"}
        missing = (missing | {"train_scale", "test_scales"}) - set(values)
        if missing or set(values) - known:
            raise ValueError(f"fields {', '.join(sorted(missing or set(values) - known))}")
        for name in ("classes", "train_scale", "test_scales"):
            values[name] = tuple(values[name])
        if values.get("thresholds") is not None:
            values["thresholds"] = tuple(values["thresholds"])
        made = cls(**values)
        made._check()
        return made

    def _check(self) -> None:
        """Refuse values that no export writes.

        Raises:
            ValueError, TypeError: There is one.
        """
        sizes = (self.input_size, self.stride, *self.train_scale, *self.test_scales)
        if not all(type(size) is int and 0 < size <= 2**14 for size in sizes):
            raise ValueError("a size in pixels is not between 1 and 16384")
        if not self.classes or not all(isinstance(name, str) for name in self.classes):
            raise ValueError("classes must be names, at least one")
        if len(self.train_scale) != 2 or not self.test_scales:
            raise ValueError("scales are missing")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation {self.interpolation!r}")
        if not isinstance(self.titles, dict) or not isinstance(self.net, str):
            raise ValueError("titles or net of another type")
        limits = self.thresholds
        if limits is not None and not (
            len(limits) == len(self.classes)
            and all(isinstance(limit, int | float) and 0 <= limit <= 1 for limit in limits)
        ):
            raise ValueError("thresholds must be from 0 to 1, one for each class")
        for about in (self.calibration, self.abstention):
            if not isinstance(about, dict | None):
                raise ValueError("calibration or abstention of another type")
        temperature = (self.calibration or {"temperature": 1.0}).get("temperature")
        if not isinstance(temperature, int | float) or not temperature > 0:
            raise ValueError("temperature must be above 0")
        if self.calibration:
            Calibration(**self.calibration)
        if self.abstention is not None:
            Abstention.from_dict(self.abstention)
        if self.unlike is not None and not _are_sizes(self.unlike):
            raise ValueError("unlike must be the sizes of features and projections")


def _are_sizes(values: Any) -> bool:
    return (
        isinstance(values, dict)
        and set(values) == {FEATURES, PROJECTIONS}
        and all(type(size) is int and 0 < size <= 2**24 for size in values.values())
    )
