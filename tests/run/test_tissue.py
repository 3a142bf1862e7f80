"""A real brain through the whole chain of volumes: which tissue is in the middle of a cube?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import verydeep
from verydeep.evaluation.significance import wilson_interval

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tissue_cubes.py"
COUNTS = {"train": 100, "val": 30, "test": 40}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cubes() -> ModuleType:
    pytest.importorskip("nilearn", reason="nilearn is not installed")
    pytest.importorskip("nibabel", reason="nibabel is not installed")
    spec = importlib.util.spec_from_file_location("tissue_cubes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(cubes: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brain") / "cubes"
    cubes.write_cubes(folder, COUNTS)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tissue"
    settings = {
        "net.width": 0.0625,
        "net.hidden": 128,
        "data.train_scale": 32,
        "data.flip": True,
        "training.epochs": 6,
        "training.device": "cpu",
    }
    verydeep.train(data, "demo-volumes", out, settings=settings, progress=False)
    return out


def test_no_voxel_is_in_two_splits(cubes: ModuleType, data: Path) -> None:
    seen: dict[str, set[int]] = {}
    for path in data.rglob("*.nii.gz"):
        _, y, _ = map(int, path.name.split(".")[0].split("-"))
        seen.setdefault(path.parts[-3], set()).update(range(y, y + cubes.SIDE))
    assert set(seen) == {"train", "val", "test"}
    assert not seen["train"] & seen["val"]
    assert not seen["val"] & seen["test"]
    assert not seen["train"] & seen["test"]


def test_tissues_are_cut_out_at_the_shares_of_the_map(cubes: ModuleType) -> None:
    share = np.random.default_rng(0).random((20, 19, 18)).astype(np.float32)
    found = cubes.middle_shares(share)
    before = (cubes.SIDE - cubes.CORE) // 2
    for x, y, z in np.ndindex(found.shape):
        middle = (slice(n + before, n + before + cubes.CORE) for n in (x, y, z))
        assert found[x, y, z] == pytest.approx(share[tuple(middle)].mean(), abs=1e-6)


def test_the_net_tells_tissues_apart(data: Path, run: Path) -> None:
    result = verydeep.evaluate(run, data, "dense", split="test", compute="cpu", progress=False)
    images = 3 * COUNTS["test"]
    assert result.images == images
    _, highest = wilson_interval(round(result.top1_error * images / 100), images)
    assert highest < 100 * 2 / 3  # the error of a guess


def test_predictions_and_an_explanation_of_a_cube(data: Path, run: Path, tmp_path: Path) -> None:
    cube = sorted((data / "test" / "white").glob("*.nii.gz"))[0]
    (found,) = verydeep.load(run, "cpu").predict(cube, progress=False)
    assert {name for name, _ in found.ranking} <= {"fluid", "grey", "white"}
    assert found.probabilities is not None
    assert float(found.probabilities.sum()) == pytest.approx(1, abs=1e-5)
    page = verydeep.explain(run, cube, tmp_path / "inside", progress=False)
    (shown,) = page["pictures"]
    assert [*shown["sections"]] == ["saliency", "grad-cam"]
    for section in shown["sections"].values():
        assert all((tmp_path / "inside" / file).is_file() for file in section["files"])
