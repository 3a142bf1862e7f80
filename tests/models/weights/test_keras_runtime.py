"""Keras files run by Keras itself, against the nets made of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from narrow_nets import save_image
from scores import run_keras

COMPARE = """
import json, sys
from pathlib import Path
from verydeep.run.import_weights import import_weights

found = {}
for path in sys.argv[2:]:
    result = import_weights(path, verify=[sys.argv[1]], resize=64)
    head = bool(result.imported.match.head)
    found[Path(path).name] = [head, *(one.difference for one in result.compared)]
print(json.dumps(found))
"""


def compared(image: Path, *files: Path) -> dict[str, Any]:
    """Import files in a process of its own, in which nobody has chosen a backend of Keras."""
    folder = files[0].parent
    environment = {**os.environ, "KERAS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    environment.pop("KERAS_BACKEND", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, image, *files],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def expect_agreement(found: dict[str, Any], files: list[Path], *, head: bool) -> None:
    assert set(found) == {file.name for file in files}
    for name, (has_head, difference) in found.items():
        assert has_head is head, name
        assert difference <= 1e-4, name  # pixels of 0 to 255 make scores of hundreds


@pytest.mark.slow
def test_keras(tmp_path: Path) -> None:
    folder = run_keras("nets", tmp_path / "files")
    names = ["plain", "softmax", "norm", "rescaling", "own_preprocessing", "given_statistics"]
    names += ["first", "nested", "sequential"]
    files = [folder / f"{name}.keras" for name in names]
    files += [folder / f"{name}.h5" for name in ("plain", "rescaling", "nested")]
    files += [folder / f"{name}.weights.h5" for name in ("plain", "sequential")]
    expect_agreement(compared(save_image(tmp_path / "a.png"), *files), files, head=True)


@pytest.mark.slow
def test_keras_without_head(tmp_path: Path) -> None:
    folder = run_keras("others", tmp_path / "files")
    files = [folder / f"{name}.keras" for name in ("average", "body", "norm_in_head")]
    files += [folder / "average.h5", folder / "body.weights.h5"]
    expect_agreement(compared(save_image(tmp_path / "a.png"), *files), files, head=False)
