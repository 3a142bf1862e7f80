"""Descriptors as values: layer, scales, mirror image and aggregation (appendix B).

D numbers of an image, Q scales.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.protocol import Scales, TestProtocol, checked_scales
from verydeep.system.settings import described, help_of

if TYPE_CHECKING:
    from verydeep.models.trained_net import TrainedNet

Aggregate = Literal["mean", "stack"]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How to describe an image by one vector.

    What stays open is taken from a model by :meth:`for_model`.

    Attributes:
        scales: Test scales Q, the smallest sides that images are rescaled to, in pixels;
            ``single`` or ``multi``: the paper's for the model's training scale; None: those that
            the model was tested at.
        flip: Whether to average with the mirror image; None: as when the model was tested.
        layer: ``fc7``, ``fc6`` or ``pool5``; see
            :meth:`verydeep.nets.vgg.VGG.activation_map`. None: the deepest that the net has.
        aggregate: ``mean``: the scales are averaged, D is the layer's; ``stack``: they follow one
            another in the order of ``scales``, D is the layer's times their number. The paper
            found no difference on Pascal VOC, and ``stack`` better on Caltech-101 and -256.

    Raises:
        InputError: There is no such aggregate, no scale, or one scale twice.
    """

    scales: Scales = described(None, help_of(TestProtocol, "scales"))
    flip: bool | None = described(None, help_of(TestProtocol, "flip"))
    layer: str | None = described(
        None, "layer: fc7 (the penultimate), fc6 or pool5; default: the deepest that the net has"
    )
    aggregate: Aggregate = described("mean", "mean (average the scales) or stack (concatenate)")

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", checked_scales(self.scales))
        known = get_args(Aggregate)
        if self.aggregate not in known:
            raise InputError(
                f"aggregate must be {' or '.join(known)}, got {self.aggregate!r} instead"
                f"{did_you_mean(str(self.aggregate), known)}"
            )

    def for_model(self, model: TrainedNet) -> Descriptor:
        """Return the descriptor with its scales in pixels and its mirror image decided.

        Raises:
            InputError: The model has no such layer, or a scale is below its input size.
        """
        model.net.check_dense("a vector of features")
        how = TestProtocol("dense", self.scales, self.flip).for_model(model)
        for scale in how.used_scales:
            model.check_scale(scale)
        layer = self.layer or model.net.feature_layers[0]
        model.net.activations(layer)
        return replace(self, scales=how.used_scales, flip=how.mirrors, layer=layer)

    @property
    def views(self) -> TestProtocol:
        """The dense protocol that shows the net an image, once everything is decided."""
        return TestProtocol("dense", self.scales, self.flip)

    @property
    def used_scales(self) -> tuple[int, ...]:
        """Test scales in pixels, of a descriptor that leaves them open no longer."""
        return self.views.used_scales

    @property
    def used_layer(self) -> str:
        """Layer; the penultimate, if the descriptor was not made for a model yet."""
        return self.layer or "fc7"

    def dimension(self, model: TrainedNet) -> int:
        """Return D."""
        times = len(self.used_scales) if self.aggregate == "stack" else 1
        return times * model.net.activations(self.used_layer)

    def names(self, model: TrainedNet) -> list[str]:
        """Return a name for each of the D features, like ``fc7_0``, or ``fc7_256_0`` if stacked."""
        stems = [f"{self.used_layer}_"]
        if self.aggregate == "stack":
            stems = [f"{self.used_layer}_{scale}_" for scale in self.used_scales]
        units = model.net.activations(self.used_layer)
        return [f"{stem}{unit}" for stem in stems for unit in range(units)]
