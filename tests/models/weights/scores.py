"""Scores of a source's own net and of the net made from its file, on the same images.

N images, H height, W width, K classes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.models.weights.convert import DIVISOR
from verydeep.models.weights.imported import Imported, import_file

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {"A": (1, 1, 2, 2, 2), "B": (2,) * 5, "D": (2, 2, 3, 3, 3), "E": (2, 2, 4, 4, 4)}
"""Convolutions of 3x3 in each block, written down again, apart from the package."""

WIDTH = 1 / 16


def narrow(name: str, width: float = WIDTH) -> list[int | str]:
    """Return a net as torchvision and timm write it: channels, and M for a pool."""
    blocks = zip(CONVOLUTIONS[name], CHANNELS, strict=True)
    return [x for n, channels in blocks for x in [int(channels * width)] * n + ["M"]]


def images(height: int, width: int, count: int = 2) -> Tensor:
    """Return random RGB images (N, 3, H, W), float64 from 0 to 255, that no mirror maps on another.

    Their channels, their halves and their corners differ in brightness.
    """
    generator = torch.Generator().manual_seed(height * 1000 + width)
    pixels = torch.rand((count, 3, height, width), generator=generator, dtype=torch.float64)
    shade = torch.linspace(0.3, 1, height)[:, None] * torch.linspace(0.5, 1, width)
    return pixels * shade * torch.tensor([255.0, 160.0, 90.0])[:, None, None]


def shake(net: nn.Module) -> nn.Module:
    """Give a net weights that differ everywhere, normalisations too, and scores that are not 0."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for key, value in net.state_dict().items():
        drawn = torch.rand(value.shape, generator=generator)
        if value.dim() > 1:
            state[key] = (drawn - 0.5) * (24 / value[0].numel()) ** 0.5
        elif value.dim() == 0:
            state[key] = torch.tensor(7)
        else:
            state[key] = drawn + 0.5 if "running_var" in key else drawn - 0.3
    net.load_state_dict(state)
    return net.eval()


def imported(path: Path, dtype: torch.dtype = torch.float64, **said: Any) -> Imported:
    """Return the net made from a file."""
    return import_file(path, said or None, dtype=dtype)


@torch.no_grad()
def our_scores(made: Imported, rgb: Tensor) -> Tensor:
    """Return the score maps (N, K, h, w) of the made net on images (N, 3, H, W), 0 to 255."""
    mean = torch.tensor(made.config.preprocessing.mean, dtype=torch.float64)[:, None, None]
    dtype = next(made.net.parameters()).dtype
    x = ((rgb - mean) / DIVISOR).to(dtype)
    return made.net.score_map(x).double()


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Compare scores, relative to the largest."""
    assert ours.shape == theirs.shape
    largest = theirs.abs().max()
    assert largest > 1e-3, "scores of nothing prove nothing"
    assert (ours - theirs).abs().max() <= tolerance * largest


def run_keras(what: str, folder: Path) -> Path:
    """Let Keras write files, in a process of its own: it changes settings of the whole process.

    Args:
        what: A function of ``keras_nets.py``.
        folder: Folder to write to.
    """
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder / "home")}
    script = Path(__file__).parent / "keras_nets.py"
    done = subprocess.run(
        [sys.executable, script, what, folder],
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder
