"""What pages take for granted: images, runs, files, under the names that the pages give them."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from tiny import write_boxed

from verydeep.recipe.recipe import load_recipe

# The build's own modules are no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "hooks"))

Put = Callable[[str, Path], None]


@pytest.fixture(scope="session")
def box_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a box regressor beside ``trained_run``, hardly trained; not to be changed."""
    from verydeep import train

    data = write_boxed(tmp_path_factory.mktemp("boxed"), count=12)
    settings = (
        *(f"initialize.source={trained_run}", "training.epochs=1", "training.device=cpu"),
        *("training.precision=fp32", "net.dropout=0", "test.scales=[36]"),
    )
    out = tmp_path_factory.mktemp("runs") / "boxes"
    train(data, load_recipe("localization", settings), out)
    return out


@pytest.fixture
def put(pictures: Path, request: pytest.FixtureRequest) -> Put:
    """A function that puts what a page calls by a name into a folder, under that name."""

    def put(prop: str, folder: Path) -> None:
        target = folder / prop
        target.parent.mkdir(parents=True, exist_ok=True)
        red = pictures / "test" / "red"
        match prop:
            case "pets" | "flowers":
                shutil.copytree(pictures, target)
            case "holiday" | "photos":
                shutil.copytree(red, target)
            case "new.jpg":
                shutil.copy(next(red.iterdir()), target)
            case "runs/a" | "runs/b" | "runs/d":
                shutil.copytree(request.getfixturevalue("trained_run"), target)
            case "runs/boxes":
                shutil.copytree(request.getfixturevalue("box_run"), target)
            case "flowers.parquet" | "flowers.npz":
                write_flowers(request.getfixturevalue("trained_run"), pictures, target)
            case "w.pth":
                torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), target)
            case _:
                pytest.fail(f"the tests know nothing called {prop!r}", pytrace=False)

    return put


def write_flowers(run: Path, pictures: Path, target: Path) -> None:
    from verydeep.run.features import extract_features

    extract_features(run, pictures, target)
