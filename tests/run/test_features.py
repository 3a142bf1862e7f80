"""Features of a data set: every image once, in order, by its name, however it is computed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from random_nets import random_classifier
from tiny import Outcome, strict_json, write_class_folders

import verydeep as package
from verydeep import FeatureExtractor
from verydeep.errors import DataError, InputError
from verydeep.run.features import extract_features
from verydeep.system.settings import Compute
from verydeep.transfer import extract
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.storage import read_features

Program = Callable[..., Outcome]

FP32 = ("--device", "cpu", "--precision", "fp32", "--workers", "0")
CPU = Compute("cpu", "fp32", 0)


@pytest.fixture(scope="module")
def found(trained_run: Path, pictures: Path) -> package.Features:
    return package.features(trained_run, pictures, compute=CPU)


def test_every_picture_once_in_the_order_of_the_splits(
    found: package.Features, pictures: Path
) -> None:
    dataset = package.read_dataset(pictures)
    expected = [
        (split, sample.path.relative_to(pictures).as_posix(), dataset.classes[sample.label])
        for split in ("train", "val", "test")
        for sample in dataset.split(split)
    ]
    rows = zip(found.splits.tolist(), found.files.tolist(), found.labels.tolist(), strict=True)
    assert list(rows) == expected
    assert len(set(found.files)) == len(found) == 48
    assert found.split_names == ("train", "val", "test")


def test_each_row_is_its_pictures(
    found: package.Features, trained_run: Path, pictures: Path
) -> None:
    extractor = FeatureExtractor(trained_run, device="cpu", precision="fp32", workers=0)
    for row in (0, 11, 30, 47):
        alone = extractor.transform(pictures / found.files[row])
        np.testing.assert_allclose(found.vectors[row], alone[0], rtol=1e-4, atol=1e-6)


def test_volumes_have_features_too(tmp_path: Path) -> None:
    model = random_classifier(name="A", width=0.125, hidden=64, dimensions=3)
    generator = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                voxels = generator.integers(0, 256, (32, 32, 32), dtype=np.uint8)
                np.save(folder / f"{number}.npy", voxels)
    how = Descriptor((32,), flip=False, layer="pool5")
    found = package.features(model, tmp_path, how, compute=CPU)
    assert (len(found), found.about.unreadable) == (10, ())
    files = [tmp_path / file for file in found.files]
    extractor = FeatureExtractor(model, scales=(32,), flip=False, layer="pool5", workers=0)
    np.testing.assert_allclose(extractor.transform(files), found.vectors, atol=1e-6)
    x = torch.from_numpy(np.load(files[4])).float().expand(1, 3, -1, -1, -1)
    x = (x - torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1, 1)) / 58
    with torch.no_grad():
        mean = model.net.feature_map(x).mean((2, 3, 4))[0].numpy()
    np.testing.assert_allclose(found.vectors[4], mean / np.linalg.norm(mean), atol=1e-5)


def test_how_they_were_made(found: package.Features, trained_run: Path, pictures: Path) -> None:
    model = package.load(trained_run)
    about = found.about
    assert (about.model, about.data) == (str(trained_run), str(pictures))
    assert (about.net, about.layer, about.aggregate) == ("A", "fc7", "mean")
    assert (about.scales, about.flip) == (model.test_scales, model.test_flip)
    assert (about.dimension, about.precision) == (8, "fp32")
    assert about.classes == ("blue", "green", "red")
    assert about.version == package.__version__


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_a_file_in_small_parts_holds_the_same(
    found: package.Features,
    trained_run: Path,
    pictures: Path,
    tmp_path: Path,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(extract, "PART_BYTES", 1)
    monkeypatch.setattr(extract, "block_size", lambda images: 2)
    parts = []
    original = extract._part
    monkeypatch.setattr(extract, "_part", lambda *a: parts.append(original(*a)) or parts[-1])
    out = tmp_path / f"features{ending}"
    written = extract_features(trained_run, pictures, out, compute=CPU)
    assert [len(part.files) for part in parts] == [8, 8, 8, 8, 4, 8, 4]
    read = read_features(out)
    for name in ("files", "splits", "labels"):
        assert getattr(read, name).tolist() == getattr(found, name).tolist()
    np.testing.assert_allclose(read.vectors, found.vectors, rtol=1e-4, atol=1e-6)
    assert read.about == found.about == written.about
    assert written.splits == {"train": 24, "val": 12, "test": 12}


def test_unreadable_pictures_are_listed_and_have_no_row(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(pictures, tmp_path / "data"))
    broken = ("train/green/03.png", "test/red/00.png")
    for name in broken:
        (data / name).write_bytes(b"no image")
    found = package.features(trained_run, data, compute=CPU)
    assert found.about.unreadable == broken
    assert len(found) == len(set(found.files)) == 46
    assert not set(broken) & set(found.files)
    assert found.vectors.any(axis=1).all()


def test_no_picture_that_can_be_read(trained_run: Path, tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 5)
    for path in data.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the images can be read"):
        package.features(trained_run, data, compute=CPU)
    with pytest.raises(DataError, match="none of the images can be read"):
        extract_features(trained_run, data, tmp_path / "x.npz", compute=CPU)
    assert not (tmp_path / "x.npz").exists()


def test_splits_that_are_missing_are_drawn(trained_run: Path, tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", 10)
    found = [package.features(trained_run, data, seed=seed, compute=CPU) for seed in (0, 0, 1)]
    sizes = [np.unique(each.splits, return_counts=True)[1].tolist() for each in found]
    assert sizes == [[3, 24, 3]] * 3  # test, train, val
    assert found[0].files.tolist() == found[1].files.tolist() != found[2].files.tolist()


@pytest.mark.parametrize(("scales", "expected"), [("single", (36,)), ("multi", (32, 36, 40))])
def test_the_papers_scales(
    trained_run: Path, pictures: Path, scales: str, expected: tuple[int, ...]
) -> None:
    found = package.features(
        trained_run, pictures, Descriptor(scales, aggregate="stack"), compute=CPU
    )
    assert found.about.scales == expected
    assert found.vectors.shape == (48, 8 * len(expected))


# ---- the program ----


def test_two_commands_transfer_a_net(
    verydeep: Program, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "features.npz"
    first = verydeep("features", trained_run, pictures, "--out", out, *FP32, "--json")
    assert first.code == 0, first.err
    value = strict_json(first.out)
    assert (value["images"], value["dimension"], value["unreadable"]) == (48, 8, [])
    assert value["splits"] == {"train": 24, "val": 12, "test": 12}

    second = verydeep("probe", out, "--folds", "4", "--out", tmp_path / "probe", "--json")
    assert second.code == 0, second.err
    result = strict_json(second.out)
    assert (result["images"], result["split"], result["train_images"]) == (12, "test", 24)
    assert result["top1_error"] == 0  # colours, which the net was trained on
    assert result["mean_class_recall"] == 100
    assert [trial["C"] for trial in result["grid"]] == [0.1, 1, 10, 100, 1000]
    assert strict_json((tmp_path / "probe" / "probe.json").read_text("utf-8")) == result
    rows = (tmp_path / "probe" / "answers.csv").read_text("utf-8").splitlines()
    assert rows[0] == "file,class,guess"
    assert rows[1] == "test/blue/00.png,blue,blue"
    assert len(rows) == 13


def test_what_people_read(
    verydeep: Program, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "features.npz"
    first = verydeep("features", trained_run, pictures, "--out", out, *FP32)
    assert "images     48 (24 train, 12 val, 12 test), 0 unreadable" in first.out
    assert f"try them with  verydeep probe {out}" in first.out
    second = verydeep("probe", out, "--C", "1,10", "--folds", "3", "--split", "val")
    assert "error in 3 folds of train" in second.out
    assert "top-1 error        0.00 %  (95 % interval 0.00 to 24.25)" in second.out
    assert "mean class recall  100.00 %" in second.out
    assert "The C taken is the smallest that was tried" in second.out
    given = verydeep("probe", out, "--C", "10")
    assert "C = 10 (given)" in given.out
    assert "folds" not in given.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x.csv"), "x.csv: features are written as .parquet or .npz"),
        (("--out", "x.npz", "--scales", "16"), "test scale must be at least 32"),
        (("--out", "x.npz", "--layer", "fc8"), "layer must be one of fc7, fc6, pool5"),
        (("--out", "x.npz", "--aggregate", "max"), "aggregate must be mean or stack"),
    ],
)
def test_faults_of_the_user(
    verydeep: Program,
    trained_run: Path,
    pictures: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    outcome = verydeep("features", trained_run, pictures, *arguments, *FP32)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"verydeep: {message}" in outcome.err.splitlines()[-1]


def test_costs_that_are_no_numbers(verydeep: Program, tmp_path: Path) -> None:
    (tmp_path / "x.npz").touch()
    outcome = verydeep("probe", tmp_path / "x.npz", "--C", "1;2")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--C must be a number like 10, or several like 0.1,1,10, got '1;2'" in outcome.err


def test_a_folder_that_cannot_be_written(
    verydeep: Program, found: package.Features, trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    from verydeep.run.features import write_probe

    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_probe(package.probe(found, C=1), tmp_path / "file")


@pytest.mark.slow
def test_two_processes_write_the_same_file(
    trained_run: Path, tmp_path: Path, verydeep: Program
) -> None:
    data = write_class_folders(tmp_path / "data", 14)
    broken = ("blue/04.png", "green/02.png")
    for name in broken:
        (data / name).write_bytes(b"no image")
    arguments = ("features", str(trained_run), str(data), *FP32, "--json")
    alone = verydeep(*arguments, "--out", tmp_path / "alone.npz")
    assert alone.code == 0, alone.err
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "verydeep", *arguments, "--out", tmp_path / "both.npz"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    value = strict_json(done.stdout)
    assert (value["images"], sorted(value["unreadable"])) == (40, list(broken))
    both, expected = read_features(tmp_path / "both.npz"), read_features(tmp_path / "alone.npz")
    assert both.files.tolist() == expected.files.tolist()
    np.testing.assert_array_equal(both.vectors, expected.vectors)
    assert both.about == expected.about
