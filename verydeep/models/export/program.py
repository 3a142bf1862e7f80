"""A classifier as a program of ``torch.export``.

N images, H height, W width, K classes; h, w: sides of a score map. D features, K' means of classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as settings
from torch.nn import functional as F

from verydeep.evaluation.abstention.familiarity import SHORTEST
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import to_channels
from verydeep.nets.dense import as_convolution
from verydeep.nets.interface import Net


class WholeClassifier(nn.Module):
    """A classifier from pixels to probabilities, and perhaps a distance, as in the ONNX graph.

    Args:
        model: The classifier.
        dense: Accept images larger than ``input_size``.
    """

    def __init__(self, model: Classifier, *, dense: bool) -> None:
        super().__init__()
        net = copy.deepcopy(model.net).float().cpu().eval().requires_grad_(False)
        self.features, self.classifier = net.features, net.classifier
        self.side, self.dense = net.final_map, dense
        self.end = _end_of_features(net)
        self.divisor = model.preprocessing.divisor
        self.channels = model.preprocessing.channels
        self.multi_label = model.multi_label
        self.temperature = model.calibration.temperature if model.calibration else None
        mean = torch.tensor(model.preprocessing.mean).view(3, 1, 1)
        self.register_buffer("mean", mean)
        self.mean: Tensor
        reference = model.reference
        means = torch.from_numpy(reference.means.T.copy()) if reference else None
        self.register_buffer("class_means", means)
        self.class_means: Tensor | None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities (N, K) and scores (N, K, h, w) of images, uint8 (N, H, W, 3).

        A model that tells unlike images also gives distances (N,), features (N, D) and projections
        (N, K'); see :func:`verydeep.models.export.distance.add_distance`.
        """
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.divisor
        x = to_channels(x, self.channels)
        # Contiguous, so that no choice of a memory format depends on the size.
        maps = self.features(x.contiguous())
        layers = [*self.classifier]
        inner = self._classify(layers[: self.end], maps)
        scores = self._classify(layers[self.end :], inner)
        mean = scores.flatten(2).mean(2)
        if self.temperature is not None:
            mean = mean / self.temperature
        likely = mean.sigmoid() if self.multi_label else mean.softmax(1)
        return likely, scores, *self._distance(inner)

    def _classify(self, layers: Sequence[nn.Module], maps: Tensor) -> Tensor:
        """Apply layers of the classifier to a map, dense ones as convolutions."""
        for layer in layers:
            if not isinstance(layer, nn.Linear):
                maps = layer(maps)
            elif self.dense:
                maps = F.conv2d(maps, as_convolution(layer, maps.shape[1]), layer.bias)
            else:
                maps = layer(maps.flatten(1))[:, :, None, None]
        return maps

    def _distance(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return distance, features and projections of maps (N, D, h, w); nothing without means."""
        if self.class_means is None:
            return ()
        features = maps.flatten(2).mean(2)
        projections = features @ self.class_means
        lengths = features.norm(dim=1).clamp(min=SHORTEST)
        return 1 - projections.amax(1) / lengths, features, projections


def _end_of_features(net: Net) -> int:
    """Return the number of layers of the classifier up to the deepest features."""
    names = [name.replace("relu", "fc") for name, _ in net.classifier.named_children()]
    deepest = net.feature_layers[0]
    return max((place + 1 for place, name in enumerate(names) if name == deepest), default=0)


def exported_program(model: Classifier, *, dense: bool) -> torch.export.ExportedProgram:
    """Return a classifier as a program for any number of images.

    Args:
        model: The classifier.
        dense: Accept any H, W ≥ ``input_size``; otherwise H = W = ``input_size``.
    """
    # Without names: PyTorch cannot state every net's conditions on the sides as ranges of names.
    size, side = model.input_size, torch.export.Dim.DYNAMIC
    varying = {0: side(min=1)}
    if dense:
        varying |= {1: side(min=size), 2: side(min=size)}
    height, width = (size + 64, size + 96) if dense else (size, size)
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    whole = WholeClassifier(model, dense=dense)
    # Otherwise torch would treat score maps of one position as a case of their own, and the
    # program would refuse such images.
    with settings.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        program = torch.export.export(whole, (example,), dynamic_shapes={"images": varying})
    for node in program.graph.nodes:  # or files would tell the folders of this machine
        node.meta.pop("stack_trace", None)
    return program
