"""Runners with one fault each, for trials. They read no file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np


class Right:
    """Reads the scores that a test has written."""

    outputs = ("scores",)

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        self.file = file

    @staticmethod
    def convert(graph: Path, file: Path) -> None:
        file.write_bytes(b"")

    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        with np.load(self.file.parent / "right.npz") as scores:
            return scores[str(images.shape[1])]


class Crashing(Right):
    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGFPE)
        raise AssertionError


class Hanging(Right):
    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        time.sleep(600)
        raise AssertionError


class Wrong(Right):
    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        return super().run(images, output)[:, ::-1].copy()


class Twisted(Right):
    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        return super().run(images, output).transpose(0, 2, 3, 1)


class Endless(Right):
    def run(self, images: np.ndarray, output: str) -> np.ndarray:
        return np.full_like(super().run(images, output), np.nan)


class Failing(Right):
    def __init__(self, file: Path, precision: str, threads: int) -> None:
        raise RuntimeError(f"it computes in f32 instead of {precision}")
