"""Settings for every test, and the images and runs that several of them share."""

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from chromium import chromium
from hypothesis import settings
from leftovers import adopt_orphans, descendants, left_since
from multi_label import write_stripes
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny import Outcome, recipe, run_program, write_splits

pytest_plugins = ["skips"]

# The tests' tensors are small: handing them around between threads costs more than it saves, and
# several times as much on a busy machine.
torch.set_num_threads(1)

# On a busy machine any example may take long; how long says nothing about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

adopt_orphans()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember which processes there are before the first test; none may be left by any."""
    session.config.stash[BEFORE] = descendants()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that leaves processes behind."""
    result = yield
    left = left_since(item.config.stash[BEFORE])
    assert not left, f"processes are left behind: {left}"
    return result


BEFORE = pytest.StashKey[dict[int, str]]()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets that may stand beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def tiny_10(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of Tiny ImageNet as folders, in a split ``train`` and a split ``val``."""
    script = shared_data / "make-tiny-10"
    if not script.is_file():
        pytest.skip("there is no shared/data/make-tiny-10 beside the checkout")
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder / "tiny-10"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window, for pages that people look at."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty cache of the package, for the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERYDEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    """The two photographs, 640x427, that scikit-learn ships."""
    return [Image.fromarray(image) for image in load_sample_images().images]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with 8 training, 4 validation and 4 test images each; not to be changed."""
    return write_splits(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="session")
def trained_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on ``pictures`` that has learned them; not to be changed."""
    from verydeep import train

    out = tmp_path_factory.mktemp("runs") / "trained"
    learn = recipe(
        "net.norm=batch",
        "net.dropout=0",
        "training.schedule=cosine",
        "training.epochs=20",
        "training.micro_batch=8",
        "training.precision=fp32",
    )
    train(pictures, learn, out)
    return out


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of multi-label images; not to be changed."""
    return write_stripes(tmp_path_factory.mktemp("data") / "stripes")


@pytest.fixture(scope="session")
def multi_label_run(stripes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished multi-label run on ``stripes``; not to be changed."""
    from verydeep import train

    out = tmp_path_factory.mktemp("runs") / "multi-label"
    learn = recipe(
        "net.norm=batch",
        "net.dropout=0",
        "data.train_scale=[36, 40]",
        "training.schedule=cosine",
        "training.epochs=12",
        "training.micro_batch=8",
        "training.precision=fp32",
    )
    train(stripes, learn, out)
    return out


@pytest.fixture
def verydeep(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The program as a function of its arguments, in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_program([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run
