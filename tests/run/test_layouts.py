"""Runs on a table: trained, recorded, resumed and tested as on folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import COLOURS, Outcome, flags, plant, recipe, strict_json, write_class_folders

import verydeep
from verydeep import train
from verydeep.errors import DataError, InputError
from verydeep.run.data_record import recorded_dataset
from verydeep.system.progress import Progress
from verydeep.training.run_folder import RunFolder

Program = Callable[..., Outcome]
QUICK = ("training.epochs=1",)


def write_table(root: Path, *, divided: bool) -> Path:
    """Write images whose folders say nothing, and a table that tells classes and boxes."""
    write_class_folders(root / "pictures", 8)
    path = root / "colours.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "box", *(["split"] if divided else [])])
        for name in COLOURS:
            for number in range(8):
                split = [] if not divided else ["train" if number < 5 else "val"]
                box = f"0 0 {number + 1} 2"
                rows.writerow([f"pictures/{name}/{number:02}.png", f"{name}ish", box, *split])
    return path


@pytest.mark.parametrize("divided", [True, False])
def test_a_run_on_a_table_reads_its_data_the_same_way_again(tmp_path: Path, divided: bool) -> None:
    table, run = write_table(tmp_path, divided=divided), tmp_path / "run"
    before = verydeep.read_dataset(table)
    metrics = train(table, recipe(*QUICK), run, layout="table")
    record = strict_json((run / "data.json").read_text("utf-8"))
    assert (record["data"], record["root"]) == (str(table), str(tmp_path))
    assert (record["layout"], record["layout_name"]) == ("a table", "table")
    again = recorded_dataset(RunFolder(run))
    assert again == before
    assert again.classes == ("blueish", "greenish", "redish")
    tested = verydeep.evaluate(run)
    assert (tested.images, tested.top1_error) == (metrics["images"], metrics["top1_error"])
    assert len(verydeep.evaluate_all(run).to_dict())


def test_a_run_goes_on_with_its_table_alone(tmp_path: Path) -> None:
    table, run = write_table(tmp_path, divided=True), tmp_path / "run"
    train(table, recipe(*QUICK), run)
    (run / "metrics.json").unlink()
    train(table, recipe(*QUICK), run, resume=True)
    (run / "metrics.json").unlink()
    with pytest.raises(DataError, match="in the layout table, not coco"):
        train(table, recipe(*QUICK), run, resume=True, layout="coco")
    with pytest.raises(DataError, match=f"was trained on {table}, not on"):
        train(tmp_path / "pictures", recipe(*QUICK), run, resume=True)
    table.write_text(table.read_text().replace("00.png,blueish", "00.png,redish"))
    with pytest.raises(DataError, match="the training images are not those"):
        train(table, recipe(*QUICK), run, resume=True)


def test_records_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    data, run = write_class_folders(tmp_path / "data", 5), tmp_path / "run"
    train(data, recipe(*QUICK), run)
    record = RunFolder(run).read("data.json")
    now = recorded_dataset(RunFolder(run))
    for key in ("root", "layout_name", "fingerprints"):
        del record[key]
    (run / "data.json").write_text(json.dumps(record))
    (run / "pictures.npz").unlink()
    assert recorded_dataset(RunFolder(run), Progress()).splits == now.splits
    assert verydeep.evaluate(run).trained_on is None
    (run / "metrics.json").unlink()
    assert train(data, recipe(*QUICK), run, resume=True)["epochs"] == 1


def test_a_run_remembers_every_box_of_a_picture_of_a_drawn_split(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pictures", 5)
    files = sorted((tmp_path / "pictures").rglob("*.png"))
    names = [path.relative_to(tmp_path).as_posix() for path in files]
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(sorted(COLOURS))],
        "annotations": [
            {"image_id": n, "category_id": n // 5, "bbox": [0, 0, side, n + 1]}
            for n in range(len(names))
            for side in range(1, 2 + n % 3)
        ],
    }
    (tmp_path / "set.json").write_text(json.dumps(content))
    before = verydeep.read_dataset(tmp_path / "set.json")
    assert {len(s.boxes) for split in before.splits for s in before.split(split)} == {1, 2, 3}
    train(tmp_path / "set.json", recipe(*QUICK), tmp_path / "run")
    assert recorded_dataset(RunFolder(tmp_path / "run")) == before


def test_a_set_by_name_is_found_where_the_cache_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "before"))
    write_table(tmp_path / "before" / "mnist-v1", divided=False).rename(
        tmp_path / "before" / "mnist-v1" / "pictures.csv"
    )
    run = tmp_path / "run"
    train("mnist", recipe(*QUICK), run)
    record = RunFolder(run).read("data.json")
    assert (record["data"], record["layout_name"]) == ("mnist", "built-in")
    assert record["layout"] == "torchvision's MNIST"
    (tmp_path / "before").rename(tmp_path / "now")
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "now"))
    for split, samples in recorded_dataset(RunFolder(run)).splits.items():
        assert len(samples) == record["counts"][split]
        assert all(sample.path.is_file() and sample.box for sample in samples)
    train("mnist", recipe(*QUICK), run, resume=True)


def test_the_program_takes_a_layout(tmp_path: Path, verydeep: Program) -> None:
    # Recognised as splits; as classes it is another data set.
    write_class_folders(tmp_path / "data" / "train", 6, names=["red"])
    write_class_folders(tmp_path / "data" / "val", 6, names=["blue"])
    run, data = tmp_path / "run", tmp_path / "data"
    assert "at least two folders" in verydeep("train", data, "--out", run, *flags(*QUICK)).err
    outcome = verydeep(
        *("train", data, "--out", run, "--layout", "class-folders", *flags(*QUICK), "--json")
    )
    assert outcome.code == 0
    assert json.loads(outcome.out)["images"] == 2
    assert verydeep("evaluate", run, "--json").code == 0
    as_classes = ("--data", data, "--layout", "class-folders", "--json")
    own = json.loads(verydeep("evaluate", run, *as_classes).out)
    assert (own["images"], own["split"], own["trained_on"]) == (2, "test", 0)
    assert (
        json.loads(verydeep("evaluate", run, "--data", data, "--json").out)
        | {"seconds": own["seconds"]}
        == own
    )
    whole = json.loads(verydeep("evaluate", run, *as_classes, "--split", "all").out)
    assert (whole["images"], whole["trained_on"], whole["validated_on"]) == (12, 8, 2)
    assert "give both, or none" in verydeep("evaluate", run, "--layout", "voc").err
    explained = verydeep("evaluate", run, "--explain", *as_classes)
    assert explained.code == 0


def test_a_layout_without_data_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "model/")
    with pytest.raises(InputError, match="give both, or none"):
        verydeep.calibrate(tmp_path / "model", "val", layout="voc")
