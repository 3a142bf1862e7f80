"""Transfer: a head and the layers below it, trained on stored maps of frozen layers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from progresses import Listening
from tiny import write_splits
from whole_runs import log, metrics, weights

import verydeep
from verydeep.errors import DataError, InputError, RecipeError
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.halves import lower_half
from verydeep.nets.initialize import initialize
from verydeep.nets.registry import build
from verydeep.recipe.recipe import load_recipe
from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.run.training.tasks.classification import ClassificationTask
from verydeep.run.training.tasks.multi_label import MultiLabelTask
from verydeep.run.training.transfer_settings import hint_at_transfer, inherit_transfer
from verydeep.training.label_objective import MultiLabel
from verydeep.training.map_store import MapStore

SMALL = (
    *("net.input_size=32", "training.batch=8", "training.epochs=3", "training.device=cpu"),
    *("training.precision=fp32", "transfer.views=2", "data.workers=0", "transfer.folds=3"),
)
MEAN = (120.0, 110.0, 100.0)


@pytest.fixture(scope="module", autouse=True)
def few_images_are_enough() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verydeep.run.training.transfer.TUNED_FROM", 8)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("transfer") / "data", train=8, val=4, test=4)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return convolutions with random weights; the colour of the images shows through them."""
    torch.manual_seed(0)
    net = build("A", 0, width=0.125, input_size=64, hidden=0)
    initialize(net)
    folder = tmp_path_factory.mktemp("source") / "model"
    # Values in the hundreds, as nets have them that were trained on pixels from 0 to 255.
    Classifier(net.eval(), (), Preprocessing(MEAN, 1.0), (64, 64), (64,)).save(folder)
    return folder


def transfer(data: Path, out: Path, source: Path, *settings: str) -> tuple[dict, list[str]]:
    said = Listening()
    chosen = [*SMALL, *settings, f"initialize.source={source}"]
    verydeep.train(data, "transfer", out, settings=chosen, progress=said)
    return metrics(out), said.lines


@pytest.fixture(scope="module")
def run(data: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    transfer(data, out, source)
    return out


def test_it_tells_the_colours_apart(run: Path) -> None:
    assert metrics(run)["top1_error"] < 30  # 67 % by chance
    first, *others = log(run)
    assert first["learning_rate"] == 0
    assert first["seconds"] > 24 / first["images_per_second"] > 0  # with the maps, and val
    assert [row["epoch"] for row in others] == [2, 3]
    assert first["val_top1_error"] < 50


def test_the_result_is_an_ordinary_model(run: Path, data: Path) -> None:
    model = load_classifier(run / "model")
    assert (model.net.settings()["hidden"], model.input_size) == (0, 32)
    assert model.preprocessing.mean == MEAN
    (seen,) = verydeep.load(run).predict(next((data / "test" / "red").iterdir()))
    assert seen.class_name == "red"
    table = verydeep.evaluate_all(run)
    assert all(row.result.top1_error < 40 for row in table.rows)


def test_the_maps_are_removed_at_the_end(run: Path) -> None:
    assert not (run / "maps").exists()


def test_the_frozen_layers_are_those_of_the_source_but_for_their_size(
    run: Path, source: Path
) -> None:
    ours, theirs = (load_classifier(folder) for folder in (run / "model", source))
    images = 100 * torch.randn(2, 3, 64, 64)
    found, expected = (lower_half(one.net, "pool4")(images) for one in (ours, theirs))
    factor = found.sum() / expected.sum()
    assert torch.allclose(found, expected * factor, rtol=1e-3, atol=1e-4)
    assert not torch.equal(found, expected)


def test_the_head_alone(data: Path, source: Path, tmp_path: Path) -> None:
    found, said = transfer(data, tmp_path / "run", source, "transfer.fine_tune=never")
    assert (found["epochs"], found["stopped_because"]) == (1, "the head is fitted")
    assert found["selected_on"] is None
    assert any(line.startswith("head: penalty") for line in said)
    kept, listening = weights(tmp_path / "run"), Listening()
    more = ["training.epochs=9"]
    verydeep.train(data, out=tmp_path / "run", settings=more, resume=True, progress=listening)
    assert any("fits a head alone" in line for line in listening.lines)
    assert (metrics(tmp_path / "run")["epochs"], weights(tmp_path / "run")) == (1, kept)


def test_a_kill_after_the_head_does_not_train_the_layers_above(
    data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    settings = "transfer.fine_tune=never"
    with monkeypatch.context() as patch:
        patch.setattr("verydeep.training.loop.write_json_lines", killed)
        with pytest.raises(KeyboardInterrupt):
            transfer(data, tmp_path / "run", source, settings)
    verydeep.train(data, out=tmp_path / "run", resume=True, progress=False)
    found = metrics(tmp_path / "run")
    assert (found["epochs"], found["stopped_because"]) == (1, "the head is fitted")


def test_few_images_get_a_head_alone(
    data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.run.training.transfer.TUNED_FROM", 10_000)
    found, said = transfer(data, tmp_path / "run", source)
    assert (found["epochs"], found["selected_on"]) == (1, None)
    assert any("the head alone: fewer than 10,000 images" in line for line in said)
    _, said = transfer(data, tmp_path / "more", source, "transfer.fine_tune=always")
    assert not any("the head alone" in line for line in said)


def test_one_image_per_class_is_enough_for_a_head(source: Path, tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=1, val=1, test=1)
    settings = ("transfer.fine_tune=never", "transfer.views=1")
    found, said = transfer(data, tmp_path / "run", source, *settings)
    assert found["stopped_because"] == "the head is fitted"
    (told,) = (line for line in said if line.startswith("head: penalty"))
    assert told.startswith("head: penalty 0.003, the middle one")


def test_what_does_not_pay_is_not_kept(data: Path, source: Path, tmp_path: Path) -> None:
    # At this rate the layers forget what the head relies on.
    found, said = transfer(data, tmp_path / "run", source, "training.learning_rate=3")
    assert any("does not pay" in line for line in said)
    assert (found["kept_epoch"], found["selected_on"]) == (1, "val")
    head, _ = transfer(data, tmp_path / "head", source, "transfer.fine_tune=never")
    assert found["top1_error"] == head["top1_error"]
    assert weights(tmp_path / "run") == weights(tmp_path / "head")


@pytest.mark.parametrize(
    ("keep", "losses", "kept"),
    [
        ("best", (1.0, 0.5, 2.0), 2),
        ("best", (1.0, 1.5, 2.0), 1),
        ("last", (1.0, 0.5, 2.0), 1),
        ("last", (1.0, 2.0, 0.5), 3),
    ],
)
def test_the_head_is_compared_with_the_epoch_that_is_kept(
    keep: str,
    losses: tuple[float, ...],
    kept: int,
    data: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = iter(losses)
    monkeypatch.setattr(
        "verydeep.run.training.transfer.TransferTrainer._validate",
        lambda self: {"loss": next(told), "top1_error": 50.0, "top5_error": 0.0},
    )
    settings = (f"training.keep={keep}", "plateau.monitor=loss", "transfer.strengths=[0.01]")
    found, said = transfer(data, tmp_path / "run", source, *settings)
    assert found["kept_epoch"] == kept
    kept_head = torch.load(tmp_path / "run" / "checkpoints" / "head.pt", weights_only=True)
    weight = load_classifier(tmp_path / "run" / "model").net.state_dict()["classifier.fc8.weight"]
    assert torch.equal(weight, kept_head["classifier.fc8.weight"]) == (kept == 1)
    assert any("does not pay" in line for line in said) == (kept == 1)


def test_a_head_of_three_layers(data: Path, source: Path, tmp_path: Path) -> None:
    found, _ = transfer(
        data, tmp_path / "run", source, "net.hidden=128", "training.learning_rate=0.001"
    )
    assert found["epochs"] == 3
    assert load_classifier(tmp_path / "run").net.settings()["hidden"] == 128


def test_balanced_draws_are_of_maps_of_every_image(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[tuple[int, int]] = []
    write = MapStore.write

    def look(self: MapStore, view: str, rows: object) -> None:
        write(self, view, rows)  # type: ignore[arg-type]
        size = (self.folder / f"{view}.npy").stat().st_size
        stored.append((int(self.read(view).isnan().sum()), size - self.bytes_per_view))

    data = write_splits(tmp_path / "data", train=6, val=2, test=2)
    for extra in sorted((data / "train" / "red").iterdir())[1:]:
        extra.unlink()  # one image of a class, which a balanced epoch draws several times
    monkeypatch.setattr(MapStore, "write", look)
    settings = ("data.balance=sampling", "transfer.fine_tune=always", "transfer.strengths=[0.01]")
    transfer(data, tmp_path / "run", source, *settings)
    assert stored == [(0, 128)] * 3  # two views, and val
    assert log(tmp_path / "run")[-1]["epoch"] == 3


@pytest.mark.parametrize("balance", ["none", "weights", "sampling"])
def test_the_head_has_the_weights_of_the_recipe(balance: str, data: Path) -> None:
    dataset = verydeep.read_dataset(data)
    samples = dataset.split("train")[:11]  # 8 of the first class and 3 of the second
    recipe = load_recipe("transfer", [f"data.balance={balance}"])
    found = ClassificationTask(recipe, dataset).head_loss(samples).class_weights
    if balance == "none":
        assert found is None
    else:
        assert found is not None
        assert found.tolist()[:2] == pytest.approx([11 / 3 / 8, 11 / 3 / 3])


def test_the_head_of_several_labels_has_the_weights_of_the_recipe(stripes: Path) -> None:
    dataset = verydeep.read_dataset(stripes)
    samples = dataset.split("train")
    for balance in ("none", "weights"):
        task = MultiLabelTask(load_recipe("transfer", [f"data.balance={balance}"]), dataset)
        found, expected = task.head_loss(samples).positive_weights, task.objective(samples)
        assert isinstance(expected, MultiLabel)
        assert (found is None) == (balance == "none")
        if found is not None:
            assert expected.positive_weights is not None
            assert torch.equal(found, expected.positive_weights)


def test_fewer_views_where_the_disk_has_no_room(data: Path, source: Path, tmp_path: Path) -> None:
    _, said = transfer(
        data, tmp_path / "run", source, "transfer.disk=1e-5", "transfer.fine_tune=never"
    )
    assert any(line.startswith("1 view instead of 2") for line in said)


def test_it_goes_on_after_a_kill_with_the_views_it_has(
    run: Path, data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = MapStore.write

    def stop_after_one(self: MapStore, view: str, rows: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(view)
        write(self, view, rows)  # type: ignore[arg-type]

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(MapStore, "write", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            transfer(data, out, source)
    assert [path.name for path in (out / "maps").iterdir()] == ["view-00.npy"]
    verydeep.train(data, out=out, resume=True, progress=False)
    assert weights(out) == weights(run)


def test_the_maps_outlive_a_kill_in_the_last_test(
    run: Path, data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("verydeep.run.training.one_net.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            transfer(data, out, source)
    with monkeypatch.context() as patch:
        patch.setattr(MapStore, "write", stop)
        verydeep.train(data, out=out, resume=True, progress=False)
    assert weights(out) == weights(run)
    assert not (out / "maps").exists()


class Vandal(Listening):
    """Breaks images when a task begins, or stops the program when it ends."""

    def __init__(self, breaks: dict[str, Path], stop_after: str = "") -> None:
        super().__init__()
        self.breaks, self.stop_after = breaks, stop_after

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        for begun, path in self.breaks.items():
            if title.startswith(begun):
                path.write_bytes(b"")
        with super().task(title, total) as silent:
            yield silent
        if title == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture
def own_data(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data, to break."""
    return shutil.copytree(data, tmp_path / "data")


HEAD = (*SMALL, "transfer.fine_tune=never", "transfer.strengths=[0.01]")


@pytest.mark.parametrize("killed", [False, True])
def test_images_without_a_map_are_told_of(
    *, killed: bool, data: Path, own_data: Path, source: Path, tmp_path: Path
) -> None:
    broken, other = own_data / "train" / "red" / "03.png", own_data / "val" / "blue" / "01.png"
    stop = "maps, view 2 of 2" if killed else ""
    vandal = Vandal({"maps, view 1": broken, "maps of val": other}, stop)
    out, settings = tmp_path / "run", [*HEAD, f"initialize.source={source}"]
    settings += ["data.unreadable_limit=0.1"]
    if killed:
        with pytest.raises(KeyboardInterrupt):
            verydeep.train(own_data, "transfer", out, settings=settings, progress=vandal)
        shutil.copy(data / "train" / "red" / "03.png", broken)  # as it was, but too late
        vandal = Vandal({"maps of val": other})
        verydeep.train(own_data, out=out, resume=True, progress=vandal)
    else:
        verydeep.train(own_data, "transfer", out, settings=settings, progress=vandal)
    (listed,) = metrics(out)["unreadable_in_training"]
    assert "train/red/03.png" in listed
    assert ("could not be read when its map was computed" in listed) == killed
    said = [line for line in vandal.lines if line.startswith("unreadable, skipped in training")]
    assert said == [f"unreadable, skipped in training: {listed}"]
    left_out = [line for line in vandal.lines if "left out of validation" in line]
    assert left_out == ["cannot be read and is left out of validation: val/blue/01.png"]


def test_too_many_images_without_a_map_stop_a_transfer_until_they_are_back(
    run: Path, data: Path, own_data: Path, source: Path, tmp_path: Path
) -> None:
    broken = own_data / "train" / "red" / "03.png"  # of 24
    out, settings = tmp_path / "run", [*SMALL, f"initialize.source={source}"]
    with pytest.raises(DataError, match=r"1 of 24 training images.*(\n.*)*red/03\.png"):
        verydeep.train(
            own_data,
            "transfer",
            out,
            settings=settings,
            progress=Vandal({"maps, view 2": broken}),
        )
    assert [path.name for path in (out / "maps").iterdir()] == ["view-00.npy"]
    shutil.copy(data / "train" / "red" / "03.png", broken)
    verydeep.train(own_data, out=out, resume=True, progress=False)
    assert weights(out) == weights(run)
    assert metrics(out)["unreadable_in_training"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["net.name=B"], "net.name: must be 'A'"),
        (["net.width=0.25"], "net.width: must be 0.125"),
        (["data.train_scale=16"], "train_scale"),
    ],
)
def test_contradictions_are_refused(
    settings: list[str], message: str, data: Path, source: Path, tmp_path: Path
) -> None:
    with pytest.raises((RecipeError, InputError), match=message):
        transfer(data, tmp_path / "run", source, *settings)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize(
    ("settings", "train", "test"),
    [
        ([], (146, 183), (146,)),
        (["net.input_size=224"], (256, 320), (256,)),
        (["data.train_scale=384"], (384, 384), (384,)),
        (["data.train_scale=[256, 512]"], (256, 512), (384,)),
        (["data.train_scale=384", "test.scales=[300]"], (384, 384), (300,)),
        (["test.scales=[300]"], (146, 183), (300,)),
    ],
)
def test_scales_follow_the_images_or_what_is_given(
    settings: list[str], train: tuple[int, int], test: tuple[int, ...], data: Path, source: Path
) -> None:
    recipe = load_recipe("transfer", [*settings, f"initialize.source={source}"])
    settled = inherit_transfer(recipe, verydeep.read_dataset(data))
    assert (settled.data.train_scale, settled.test_scales) == (train, test)


def test_training_from_nothing_hints_at_it(data: Path, tmp_path: Path) -> None:
    said = Listening()
    settings = ["net.width=0.0625", "net.hidden=16", "net.input_size=32", "training.epochs=1"]
    verydeep.train(
        data,
        "small",
        tmp_path / "run",
        settings=[*settings, "data.train_scale=32", "test.scales=[32]"],
        progress=said,
    )
    assert any("recipe='transfer'" in line for line in said.lines)


def test_the_built_in_digits_get_no_hint(data: Path) -> None:
    recipe = load_recipe("small")
    assert hint_at_transfer(recipe, verydeep.read_dataset(data))
    assert hint_at_transfer(recipe, verydeep.read_dataset("digits")) is None


def test_the_rates_fall_from_block_to_block() -> None:
    recipe = load_recipe("fine-tune", ["training.layer_decay=0.5"])
    optimizer = make_optimizer(verydeep.vgg("D", 2, width=0.03, hidden=8), recipe)
    shares = {
        group["share"]: sum(p.numel() for p in group["params"]) for group in optimizer.param_groups
    }
    assert list(shares) == [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert shares[0.03125] == 2 * 27 + 2 + 2 * 2 * 9 + 2  # block 1: two convolutions
    one_group = make_optimizer(verydeep.vgg("A", 2, width=0.03, hidden=8), load_recipe("paper"))
    assert len(one_group.param_groups) == 1


@pytest.fixture(scope="module")
def labelled_run(stripes: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "run"
    transfer(stripes, out, source)
    return out


def test_several_labels_are_learned(labelled_run: Path, stripes: Path) -> None:
    found = metrics(labelled_run)
    assert found["mean_average_precision"] > 75  # 60 by chance
    first, *others = log(labelled_run)
    assert first["learning_rate"] == 0
    assert {"train_subset_error", "val_mean_average_precision"} <= first.keys()
    assert [row["epoch"] for row in others] == [2, 3]
    recipe = load_recipe(labelled_run / "recipe.yaml")
    assert (recipe.data.train_scale, recipe.test_scales) == ((32, 36), (32,))
    model = verydeep.load(labelled_run)
    assert model.multi_label
    assert model.thresholds is not None
    (seen,) = model.predict(stripes.parent / "test07.png")
    assert seen.labels is not None


def test_a_head_of_several_labels_alone(stripes: Path, source: Path, tmp_path: Path) -> None:
    found, said = transfer(stripes, tmp_path / "run", source, "transfer.fine_tune=never")
    assert found["stopped_because"] == "the head is fitted"
    assert any("cross-validated share of wrong label sets" in line for line in said)
    model = load_classifier(tmp_path / "run" / "model", multi_label=True)
    result = verydeep.evaluate(
        model, stripes, split="val", protocol=TestProtocol("center", flip=False), progress=False
    )
    assert isinstance(result, MultiLabelResult)
    (row,) = log(tmp_path / "run")
    measured = row["val_mean_average_precision"]
    assert measured == pytest.approx(result.mean_average_precision, abs=0.5)
