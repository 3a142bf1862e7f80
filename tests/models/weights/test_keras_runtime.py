"""Keras files run by Keras itself, against the nets made of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from narrow_nets import save_image

COMPARE = """
import json, sys
from pathlib import Path
from verydeep.errors import ModelError
from verydeep.run.import_weights import import_weights

found = {}
for path in sys.argv[2:]:
    try:
        result = import_weights(path, verify=[sys.argv[1]], resize=64)
    except ModelError as error:
        found[Path(path).name] = str(error)
        continue
    head = bool(result.imported.match.head)
    found[Path(path).name] = [head, *(one.difference for one in result.compared)]
print(json.dumps(found))
"""


NAMES = (
    *("plain", "softmax", "norm", "rescaling", "own_preprocessing", "given_statistics"),
    *("first", "nested", "sequential"),
)
WHOLE = (
    *(f"{name}.keras" for name in NAMES),
    *(f"{name}.h5" for name in ("plain", "rescaling", "nested")),
    *(f"{name}.weights.h5" for name in ("plain", "sequential")),
)
REFUSED = "no_last_pool.keras"
HEADLESS = ("average.keras", "body.keras", "norm_in_head.keras", "average.h5", "body.weights.h5")


@pytest.fixture(scope="module")
def compared(
    keras_nets: Path, keras_others: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Import files in a process of its own, in which nobody has chosen a backend of Keras."""
    folder = tmp_path_factory.mktemp("compared")
    others = (*HEADLESS, REFUSED)
    files = [*(keras_nets / name for name in WHOLE), *(keras_others / name for name in others)]
    environment = {**os.environ, "KERAS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    environment.pop("KERAS_BACKEND", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, save_image(folder / "a.png"), *files],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {*WHOLE, *others}
    return found


def expect_agreement(found: dict[str, Any], names: Sequence[str], *, head: bool) -> None:
    for name in names:
        has_head, difference = found[name]
        assert has_head is head, name
        assert difference <= 1e-4, name  # pixels of 0 to 255 make scores of hundreds


@pytest.mark.slow
def test_keras(compared: dict[str, Any]) -> None:
    expect_agreement(compared, WHOLE, head=True)


@pytest.mark.slow
def test_keras_without_head(compared: dict[str, Any]) -> None:
    expect_agreement(compared, HEADLESS, head=False)


@pytest.mark.slow
def test_keras_without_the_last_pool(compared: dict[str, Any]) -> None:
    """Its last pooled map is that of the fourth pool, which is not compared with ours."""
    assert "has the sizes (32, 4, 4), that of the net (32, 2, 2)" in compared[REFUSED]
