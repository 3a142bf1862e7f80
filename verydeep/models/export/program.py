"""A classifier as a program of ``torch.export``.

N images, H height, W width, K classes; h, w: sides of a score map.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as settings
from torch.nn import functional as F

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import to_channels
from verydeep.nets.dense import as_convolution


class WholeClassifier(nn.Module):
    """A classifier from pixels to probabilities, as in the ONNX graph.

    Args:
        model: The classifier.
        dense: Accept images larger than ``input_size``.
    """

    def __init__(self, model: Classifier, *, dense: bool) -> None:
        super().__init__()
        net = copy.deepcopy(model.net).float().cpu().eval().requires_grad_(False)
        self.features, self.classifier = net.features, net.classifier
        self.side, self.dense = net.final_map, dense
        self.divisor = model.preprocessing.divisor
        self.channels = model.preprocessing.channels
        self.multi_label = model.multi_label
        self.temperature = model.calibration.temperature if model.calibration else None
        mean = torch.tensor(model.preprocessing.mean).view(3, 1, 1)
        self.register_buffer("mean", mean)
        self.mean: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (N, K) and scores (N, K, h, w) of images, uint8 (N, H, W, 3)."""
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.divisor
        x = to_channels(x, self.channels)
        # Contiguous, so that no choice of a memory format depends on the size.
        maps = self.features(x.contiguous())
        if self.dense:
            scores = self._slide(maps)
        else:
            scores = self.classifier(maps.flatten(1))[:, :, None, None]
        mean = scores.flatten(2).mean(2)
        if self.temperature is not None:
            mean = mean / self.temperature
        return (mean.sigmoid() if self.multi_label else mean.softmax(1)), scores

    def _slide(self, maps: Tensor) -> Tensor:
        """Apply the fully connected layers as convolutions."""
        for layer in self.classifier:
            if isinstance(layer, nn.Linear):
                maps = F.conv2d(maps, as_convolution(layer, maps.shape[1]), layer.bias)
            else:
                maps = layer(maps)
        return maps


def exported_program(model: Classifier, *, dense: bool) -> torch.export.ExportedProgram:
    """Return a classifier as a program for any number of images.

    Args:
        model: The classifier.
        dense: Accept any H, W ≥ ``input_size``; otherwise H = W = ``input_size``.
    """
    size, dim = model.input_size, torch.export.Dim
    varying = {0: dim("batch", min=1)}
    if dense:
        varying |= {1: dim("height", min=size), 2: dim("width", min=size)}
    height, width = (size + 64, size + 96) if dense else (size, size)
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    whole = WholeClassifier(model, dense=dense)
    # Otherwise torch would treat score maps of one position as a case of their own, and the
    # program would refuse such images.
    with settings.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        return torch.export.export(whole, (example,), dynamic_shapes={"images": varying})
