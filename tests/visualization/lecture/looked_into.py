"""Untrained stripe nets: fast and identical on every machine."""

import torch

from verydeep.models.classifier import Classifier
from verydeep.nets.vgg import vgg
from verydeep.visualization.lecture.stripe_task import CLASSES, SIDE, as_model


def random_stripe_net(seed: int) -> Classifier:
    """Return a small net A with random weights and the stripe classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = vgg("A", len(CLASSES), input_size=SIDE, width=1 / 8, hidden=64)
    return as_model(net)
