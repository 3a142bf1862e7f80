"""Training from shards: by index the same bits as from the folder, as a stream the images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import apart, be_the_program, flags, recipe, run_program, strict_json, write_splits

from verydeep import train
from verydeep.data.layouts import shards as shard_layout
from verydeep.errors import DataError, RecipeError
from verydeep.run.testing.evaluate import evaluate
from verydeep.system.settings import Compute

FAST = (
    "training.epochs=2",
    "training.schedule=cosine",
    "training.precision=fp32",
    "net.norm=batch",
)


ONCE = (*FAST, "training.epochs=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("shards") / "pets", train=10, val=4, test=4)


@pytest.fixture(scope="module")
def shards(folder: Path) -> Path:
    out = folder.parent / "pets-shards"
    assert run_program(["shard", str(folder), str(out), "--samples", "8"]) == 0
    return out


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def streamed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the shards as a stream; not to be changed."""
    out = tmp_path_factory.mktemp("streamed") / "run"
    train(shards, recipe(*ONCE, "data.stream=true"), out)
    return out


@pytest.mark.parametrize(("cache", "balance"), [("none", "none"), ("ram", "sampling")])
def test_by_index_the_run_is_that_from_the_folder(
    folder: Path, shards: Path, tmp_path: Path, cache: str, balance: str
) -> None:
    chosen = recipe(*FAST, f"data.cache={cache}", f"data.balance={balance}")
    one = train(folder, chosen, tmp_path / "folder")
    other = train(shards, chosen, tmp_path / "shards")
    assert weights(tmp_path / "folder") == weights(tmp_path / "shards")
    for key in ("top1_error", "loss", "images", "epochs"):
        assert one[key] == other[key]


@pytest.mark.slow
def test_a_stream_learns_the_same(shards: Path, tmp_path: Path) -> None:
    learn = ("net.norm=batch", "net.dropout=0", "training.schedule=cosine", "training.epochs=20")
    metrics = train(
        shards,
        recipe(*learn, "data.stream=true", "training.precision=fp32", "training.micro_batch=8"),
        tmp_path / "run",
    )
    assert metrics["top1_error"] <= 34  # a guess is wrong in 67 %


def test_a_streamed_run_is_tested_on_every_image(streamed: Path) -> None:
    metrics = json.loads((streamed / "metrics.json").read_text())
    assert metrics["images"] == 12
    record = json.loads((streamed / "data.json").read_text())
    assert record["stream"] is True
    assert record["counts"] == {"train": 30, "val": 12, "test": 12}
    again = evaluate(streamed, compute=Compute(device="cpu", precision="fp32"))
    assert (again.top1_error, again.loss) == (metrics["top1_error"], metrics["loss"])


def test_class_weights_come_from_the_manifest(shards: Path, streamed: Path, tmp_path: Path) -> None:
    train(shards, recipe(*ONCE, "data.stream=true", "data.balance=weights"), tmp_path / "run")
    # The classes are equal, so all weights are 1.
    assert weights(tmp_path / "run") == weights(streamed)


def test_what_a_stream_cannot_give_is_refused(shards: Path, tmp_path: Path) -> None:
    for setting in ("data.cache=ram", "data.balance=sampling"):
        with pytest.raises(RecipeError, match="data__stream=False"):
            train(shards, recipe(*FAST, "data.stream=true", setting), tmp_path / "run")


def test_many_pictures_are_streamed_unless_asked(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_layout, "STREAM_FROM", 20)
    train(shards, recipe(*ONCE), tmp_path / "auto")
    train(shards, recipe(*ONCE, "data.stream=false"), tmp_path / "asked")
    for name, streamed in (("auto", True), ("asked", False)):
        assert json.loads((tmp_path / name / "data.json").read_text())["stream"] is streamed


def test_colours_that_are_not_written_down_are_measured(
    shards: Path, streamed: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in shards.glob("*.tar"):
        (bare / path.name).write_bytes(path.read_bytes())
    train(bare, recipe(*ONCE, "data.stream=true"), tmp_path / "measured")
    records = [
        json.loads((run / "data.json").read_text()) for run in (tmp_path / "measured", streamed)
    ]
    assert records[0]["colours"]["mean"] == pytest.approx(records[1]["colours"]["mean"], rel=1e-9)
    assert records[0]["classes"] == ["0", "1", "2"]


def test_other_shards_are_not_gone_on_with(shards: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for path in shards.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    train(data, recipe(*ONCE, "data.stream=true"), run)
    (run / "metrics.json").unlink()
    manifest = json.loads((data / "dataset.json").read_text())
    entry = manifest["splits"]["train"]
    entry["counts"][0] -= entry["shards"].pop()["samples"]
    (data / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"not those that .* began with"):
        train(data, recipe(*ONCE), run, resume=True)


def test_the_program_says_what_it_wrote(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_program(["shard", str(folder), str(out), "--samples", "8", "--json"]) == 0
    said = strict_json(capsys.readouterr().out)
    assert said["splits"] == {
        "train": {"samples": 30, "shards": 4},
        "val": {"samples": 12, "shards": 2},
        "test": {"samples": 12, "shards": 2},
    }
    assert said["unreadable"] == []
    assert run_program(["shard", str(folder), str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run_program(["check", str(out), "--json"]) in (0, 2)
    assert strict_json(capsys.readouterr().out)["statistics"]["usable"] == 54


def test_a_shard_that_breaks_during_training_ends_it_with_a_word(
    shards: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for path in shards.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    broken = data / "train-000002.tar"
    broken.write_bytes(broken.read_bytes()[:2000])
    words = ["train", str(data), "--out", str(run), *flags(*FAST, "data.stream=true")]
    process = apart(be_the_program, words, tmp_path / "err")
    process.join(120)
    assert process.exitcode == 2
    said = (tmp_path / "err").read_text()
    assert "train-000002.tar: truncated before byte" in said
    assert "Traceback" not in said
