"""A type checker sees the package of an editable install, with its types."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

USER = """
import verydeep

run = verydeep.train("pets", epochs=3, progress=False)
reveal_type(verydeep.train)
reveal_type(run.top1_error)
for seen in verydeep.load("runs/a").predict("holiday"):
    reveal_type(seen)
reveal_type(verydeep.vgg("D", num_classes=37))
verydeep.vgg("D", num_clases=37)
result = verydeep.evaluate("runs/a", "pets")
reveal_type(result.images)
if isinstance(result, verydeep.EvaluationResult):
    reveal_type(result.top1_error)
else:
    reveal_type(result.mean_average_precision)
probed = verydeep.probe("pets.npz")
if not isinstance(probed, verydeep.ProbeResult):
    reveal_type(probed.mean_average_precision)
"""

BUILD = "import sys; from setuptools.build_meta import build_editable; build_editable(sys.argv[1])"


@pytest.mark.slow
def test_mypy_sees_an_editable_install(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    project = tmp_path / "project"
    project.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "verydeep"):
        (project / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, "-c", BUILD, tmp_path], cwd=project, check=True)
    venv.create(tmp_path / "env", symlinks=True)
    (site,) = (tmp_path / "env").glob("lib/*/site-packages")
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "script.py").write_text(USER)
    python = tmp_path / "env" / "bin" / "python"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable", python),
            *("--cache-dir", tmp_path / "cache", "script.py"),
        ],
        cwd=tmp_path / "user",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line]
    assert "verydeep.run.training.result.TrainResult" in revealed[0]
    assert "Any" not in revealed[1]
    assert revealed[2:4] == ['"verydeep.models.prediction.Prediction"', '"verydeep.nets.vgg.VGG"']
    assert [type_.strip('"').removeprefix("builtins.") for type_ in revealed[4:]] == [
        *("int", "float", "float", "float")
    ]
    (error,) = [line for line in lines if "error:" in line]
    assert "script.py:10" in error  # the keyword that is misspelt
