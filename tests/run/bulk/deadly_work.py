"""Work of which one image ends the process that reads it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.images.member import ImageSource
from verydeep.run.bulk.predictions import LoadedPredictor, PredictWork


@dataclass(frozen=True)
class DeadlyWork(PredictWork):
    """Naming of images, one of which is deadly.

    Attributes:
        deadly: Name of that image.
    """

    deadly: str = ""

    def load(self, images: int) -> LoadedPredictor:
        loaded = super().load(images)
        return _Deadly(loaded.model, self, loaded.how)


@dataclass
class _Deadly(LoadedPredictor):
    def table(self, first: int, names: Sequence[str], sources: Sequence[ImageSource]) -> Any:
        assert isinstance(self.work, DeadlyWork)
        if any(isinstance(one, Path) and one.name == self.work.deadly for one in sources):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().table(first, names, sources)
