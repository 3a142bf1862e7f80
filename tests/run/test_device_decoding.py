"""Whole runs whose JPEGs are decoded on the device, here the CPU, against ordinary ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tiny import recipe, write_splits
from whole_runs import log

import verydeep
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import RecipeError

SETTINGS = ("net.dropout=0", "training.precision=fp32", "data.workers=0", "training.epochs=2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of JPEGs, and a PNG among them."""
    root = write_splits(tmp_path_factory.mktemp("photos") / "data", train=6, val=3, test=2)
    for path in sorted(root.rglob("*.png"))[1:]:
        with Image.open(path) as picture:
            picture.convert("RGB").save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    return root


def losses(run: Path) -> list[float]:
    return [row[key] for row in log(run) for key in ("train_loss", "val_loss")]


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_the_run_is_the_same_but_for_a_grey_level(
    stream: bool, photos: Path, tmp_path: Path
) -> None:
    data = photos
    settings: tuple[str, ...] = SETTINGS
    if stream:
        data = tmp_path / "shards"
        write_shards(read_dataset(photos), data, samples=4)
        settings = (*SETTINGS, "data.stream=true", "data.shuffle_buffer=5")
    runs = {decode: tmp_path / decode for decode in ("cpu", "device")}
    for decode, run in runs.items():
        verydeep.train(data, recipe(*settings, f"data.decode={decode}"), run)
    assert losses(runs["device"]) == pytest.approx(losses(runs["cpu"]), rel=0.02)


@pytest.mark.slow
def test_two_processes_decode_what_one_does(photos: Path, tmp_path: Path) -> None:
    chosen = recipe(*SETTINGS, "data.decode=device", "training.batch=7")
    for count in (1, 2):
        verydeep.train(photos, chosen, tmp_path / str(count), processes=count)
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-3)


def test_a_cache_has_nothing_to_decode_on_the_device(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.decode: device .*data\.cache=ram keeps"):
        verydeep.train(photos, recipe("data.decode=device", "data.cache=ram"), tmp_path / "run")
