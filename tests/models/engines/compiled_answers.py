"""Program: compiled convolutions answer like eager ones.

In a process of its own, since compiling leaves workers and caches behind.
"""

from __future__ import annotations

import torch
from engine_models import SIZES, close, noise, tiny_model

from verydeep.models.engines.compiled import Compiled


def main() -> None:
    """Compare both for several sizes."""
    model = tiny_model(name="A", batch_norm=True)
    engine = Compiled(model.net, model.preprocessing, model.machine, exact_answers=False)
    for count, height, width in SIZES:
        shown = noise(count, height, width)
        close(engine.answers(shown), model.eager.answers(shown))
        close(engine.activation_map(shown, "fc7"), model.eager.activation_map(shown, "fc7"))
    shown = noise(1, 40, 40)
    assert torch.equal(
        engine.maps(shown, ["pool1"])["pool1"], model.eager.maps(shown, ["pool1"])["pool1"]
    )


if __name__ == "__main__":
    main()
