"""The chain of nets: each begins with the layers of the one before (section 3.1)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from progresses import Listening
from safetensors.torch import load_file
from tiny import recipe

from verydeep import load, train
from verydeep.errors import Interrupted, ModelError
from verydeep.recipe.recipe import Recipe, load_recipe


class Stopping(Listening):
    """Sends SIGTERM in the first update of the n-th net, if told so."""

    def __init__(self, stop_in: int | None = None) -> None:
        super().__init__()
        self.nets = 0
        self.stop_in = stop_in

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        if title == "training":
            self.nets += 1
        yield self

    def update(self, done: float, note: str = "") -> None:
        if self.nets == self.stop_in:
            self.stop_in = None
            signal.raise_signal(signal.SIGTERM)


def chain() -> Recipe:
    return recipe(
        *("net.name=D", "initialize.stages=[A, B]", "net.width=0.03", "net.hidden=16"),
        *("training.epochs=1", "training.precision=fp32"),
    )


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A chain that ran through."""
    out, progress = tmp_path_factory.mktemp("chain") / "run", Stopping()
    train(pictures, chain(), out, progress=progress)
    return out, progress.lines


def test_every_stage_is_a_run_of_its_own(whole: tuple[Path, list[str]]) -> None:
    out, _ = whole
    assert sorted(path.name for path in (out / "stages").iterdir()) == ["A", "B"]
    for folder, name in ((out / "stages" / "A", "A"), (out / "stages" / "B", "B"), (out, "D")):
        for file in ("recipe.yaml", "data.json", "log.jsonl", "metrics.json", "report.html"):
            assert (folder / file).is_file(), (folder, file)
        assert load(folder).net.name == name
        assert load_recipe(folder / "recipe.yaml").net.name == name


def test_each_begins_with_the_one_before(whole: tuple[Path, list[str]]) -> None:
    out, said = whole
    sources = {
        folder: load_recipe(folder / "recipe.yaml").initialize.source
        for folder in (out / "stages" / "A", out / "stages" / "B", out)
    }
    assert list(sources.values()) == [None, str(out / "stages" / "A"), str(out / "stages" / "B")]
    begins = [line for line in said if line.startswith(("stage", "from"))]
    assert begins == [
        "stage A, to initialise the next net:",
        "stage B, to initialise the next net:",
        f"from {out / 'stages' / 'A'} (net A):",
        f"from {out / 'stages' / 'B'} (net B):",
    ]


def test_layers_do_come_from_the_stage_before(pictures: Path, tmp_path: Path) -> None:
    still = recipe(
        *("net.name=B", "initialize.stages=[A]", "training.epochs=1", "net.norm=null"),
        *("training.learning_rate=1e-20", "training.precision=fp32"),
    )
    train(pictures, still, tmp_path / "run")
    first = load_file(tmp_path / "run" / "stages" / "A" / "model" / "model.safetensors")
    second = load_file(tmp_path / "run" / "model" / "model.safetensors")
    # Both nets are drawn from one seed, so only layers behind another one tell where they are from.
    assert (first["features.conv3_2.weight"] == second["features.conv3_2.weight"]).all()
    assert (first["classifier.fc8.weight"] == second["classifier.fc8.weight"]).all()
    assert (first["features.conv4_1.weight"] != second["features.conv4_1.weight"]).any()


@pytest.mark.parametrize("stop_in", [1, 2, 3])
def test_a_chain_goes_on_where_it_stopped(
    stop_in: int, whole: tuple[Path, list[str]], pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="resume=True"):
        train(pictures, chain(), tmp_path / "run", progress=Stopping(stop_in))
    assert not (tmp_path / "run" / "metrics.json").exists()
    progress = Stopping()
    train(pictures, chain(), tmp_path / "run", resume=True, progress=progress)
    out, _ = whole
    for folder in (Path("stages/A"), Path("stages/B"), Path()):
        assert weights(tmp_path / "run" / folder) == weights(out / folder)
    # A net that is finished is not trained again.
    assert progress.nets == 4 - stop_in


def test_a_chain_goes_on_between_its_stages(
    whole: tuple[Path, list[str]], pictures: Path, tmp_path: Path
) -> None:
    class Cut(Stopping):
        def log(self, message: str) -> None:
            if message.startswith("stage B"):
                raise KeyboardInterrupt
            super().log(message)

    with pytest.raises(KeyboardInterrupt):
        train(pictures, chain(), tmp_path / "run", progress=Cut())
    train(pictures, chain(), tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(whole[0])


def test_a_chain_under_way_is_not_begun_again(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(pictures, chain(), tmp_path / "run", progress=Stopping(1))
    with pytest.raises(ModelError):
        train(pictures, chain(), tmp_path / "run")


def test_a_chain_under_way_can_be_resumed_and_the_message_says_so(
    pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(pictures, chain(), tmp_path / "run", progress=Stopping(1))
    with pytest.raises(ModelError, match="resume=True"):
        train(pictures, chain(), tmp_path / "run")


def test_a_finished_chain_says_so(whole: tuple[Path, list[str]], pictures: Path) -> None:
    progress = Stopping()
    train(pictures, chain(), whole[0], resume=True, progress=progress)
    assert progress.lines == [f"{whole[0]} is finished already"]


def test_what_cut_writes_leave_in_a_stage_is_cleared_away(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(pictures, chain(), tmp_path / "run", progress=Stopping(1))
    left = tmp_path / "run" / "stages" / "A" / "checkpoints" / ".last.pt.k2u8x1.tmp"
    left.write_bytes(b"half")
    train(pictures, chain(), tmp_path / "run", resume=True)
    assert not left.exists()
