"""The measurement of a GPU, tiny and on the CPU: it runs, and judges as it says."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from tiny import strict_json

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_it_runs_on_a_cpu(photographs: list[Image.Image], tmp_path: Path) -> None:
    for number, picture in enumerate(photographs):
        picture.resize((96, 64)).save(tmp_path / f"{number}.jpg")
    out = tmp_path / "gpu.json"
    words = ["--net", "A", "--width", "0.03", "--size", "32", "--scale", "36", "--batch", "4"]
    words += ["--seconds", "0.2", "--matrix", "128", "--workers", "0", "--eager"]
    words += ["--device", "cpu", "--precision", "fp32"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""}
    subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), *words, "--out", str(out)],
        check=True,
        env=environment,
        capture_output=True,
    )
    found = strict_json(out.read_text())
    rates = found["training_images_per_second"]
    assert set(rates) == {"synthetic", "JPEGs, decode: cpu", "JPEGs, decode: device"}
    assert min(rates.values()) > 0
    assert set(found["testing_images_per_second"]) == {"ready", "files"}
    assert found["matrix_tflops"] > 0
    assert [one["met"] for one in found["demands"]] == [
        one["reached"] >= one["at_least"] for one in found["demands"]
    ]


def test_the_shares_are_those_of_the_matrix_rate(script: ModuleType) -> None:
    """Net D at 224 pixels: 15.47 billion multiply-adds, Table 1 of the paper by hand."""
    options = argparse.Namespace(net="D", width=1.0, size=224)
    bench = script.Bench(options, None, None, None, None)
    assert bench.operations == pytest.approx(2 * 15.47e9, rel=1e-3)
    training = {"synthetic": 3000.0, "JPEGs, decode: cpu": 2800.0, "JPEGs, decode: device": 2000.0}
    judged = [*script.judged(bench.operations, 500e12, training, {"ready": 9000.0})]
    assert [one["reached"] for one in judged] == pytest.approx([0.557, 0.933, 0.557], abs=1e-3)
    assert [one["met"] for one in judged] == [True, True, False]
    no_files = [*script.judged(bench.operations, 500e12, {"synthetic": 1.0}, {"ready": 1.0})]
    assert no_files[1]["met"] is None
    assert json.dumps(no_files)


def test_its_tests_exist(script: ModuleType) -> None:
    assert all((ROOT / path).is_file() for path in script.TESTS)


def test_a_folder_without_images_is_told(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no JPEG files"):
        script.jpegs(tmp_path)
