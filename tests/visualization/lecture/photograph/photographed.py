"""A narrow net with random weights, and an image in which it sees whole fields."""

from __future__ import annotations

import torch

from verydeep.inspection.subject import Subject, make_subject
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.nets.registry import PAPER_NETS, build
from verydeep.nets.vgg import vgg
from verydeep.system.device import Machine


def narrow_subject(
    name: str = "A", classes: int = 3, size: tuple[int, int] = (160, 176)
) -> Subject:
    """Return a net of any depth with few channels, and a noise image."""
    net: Net
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name in PAPER_NETS:
            net = vgg(name, classes, input_size=32, width=1 / 16, hidden=16)
        else:
            net = build(name, classes, input_size=32, width=1 / 16)
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    names = ("cat", "dog", "eel")[:classes]
    machine = Machine(torch.device("cpu"), "fp32")
    grey = Preprocessing((110.0, 110.0, 110.0), 50.0)
    model = Classifier(net.eval(), names, grey, (32, 32), (32,), machine=machine)
    return make_subject(model, "noise", image)
