"""A wrong path is told before torch is imported, and nothing is drawn that is not asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verydeep.errors import ModelError
from verydeep.models.path import check_models, find_model, names_torchvision

PROGRAM = (
    "import sys\n"
    "from verydeep.cli.app import main\n"
    "sys.argv = ['verydeep', *sys.argv[1:]]\n"
    "try: main()\n"
    "except SystemExit as end: print(end.code, *sorted({'torch', 'matplotlib'} & {*sys.modules}))"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "nowhere", "."],
        ["predict", ".", "."],
        ["evaluate", "nowhere"],
        ["explain", "nowhere", ".", "--out", "o"],
        ["features", "nowhere", ".", "--out", "o.npz"],
        ["train", ".", "--init-from", "nowhere"],
        ["report", "nowhere"],
        ["probe", "nowhere.npz"],
        ["runs", "nowhere"],
        ["features", "torchvision/resnet18", ".", "--out", "o.npz"],
        ["explain", "torchvision/resnet18", ".", "--out", "o"],
        ["train", ".", "--init-from", "torchvision/resnet18"],
        ["predict", "torchvision/resnet18", ".", "--boxes", "torchvision/vgg16"],
        ["predict", "torchvision/vgg16", "nowhere.jpg"],
    ],
    ids=" ".join,
)
def test_a_wrong_path_is_told_without_torch(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n"
    assert done.stderr.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


def test_a_picture_that_is_not_there_is_told_without_torch(trained_run: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "predict", str(trained_run), "nowhere.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, "nowhere.jpg" in done.stderr) == ("2\n", True)


def test_a_run_beside_the_wrong_name_is_named(trained_run: Path) -> None:
    with pytest.raises(ModelError, match=repr(trained_run.name)):
        find_model(trained_run.with_name("traind"))


def test_other_values_pass(trained_run: Path) -> None:
    check_models(trained_run, str(trained_run / "model"), None, object())
    check_models("torchvision/resnet18", "torchvision/nonsense", torchvision="any")
    check_models("torchvision/vgg16", "torchvision/vgg11_bn:w.pth", torchvision="vgg")


def test_a_net_of_torchvision_is_refused_where_a_folder_is_needed() -> None:
    with pytest.raises(ModelError, match="folder is needed"):
        check_models("torchvision/vgg16")
    with pytest.raises(ModelError, match=r"vgg16_bn.*did you mean"):
        check_models("torchvision/vgg61", torchvision="vgg")


def test_a_folder_of_the_name_of_a_net_of_torchvision_goes_first(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "vgg16").symlink_to(trained_run)
    monkeypatch.chdir(tmp_path)
    assert find_model("torchvision/vgg16").parent.name == "vgg16"
    check_models("torchvision/vgg16")
    assert not names_torchvision("torchvision/vgg16")


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    """One process imports all, as each takes seconds: a module that draws is told by its name."""
    code = "import sys, importlib\n"
    for module in ("predict", "testing.evaluate", "training.train", "features"):
        code += f"importlib.import_module('verydeep.run.{module}')\n"
        code += f"assert 'matplotlib' not in sys.modules, {module!r}\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("variable", ["HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME"])
def test_a_home_that_cannot_be_written_to_is_no_complaint(variable: str) -> None:
    code = "import os, verydeep.visualization.plots.style as d; print(os.environ['MPLCONFIGDIR'])"
    homes = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**homes, variable: "/proc/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert not Path(done.stdout.strip()).exists()  # gone with the process
