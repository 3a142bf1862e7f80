"""A model as people use it: images of any origin in, names out; folders there and back."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny import COLOURS

import verydeep
from verydeep import Classifier, Prediction
from verydeep.errors import InputError, ModelError, PictureError
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine
from verydeep.system.settings import Compute

FP32 = choose_machine("cpu", "fp32")
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    return verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))


@pytest.fixture
def copied(trained_run: Path, tmp_path: Path) -> Path:
    """A model folder that may be changed."""
    shutil.copytree(trained_run / "model", tmp_path / "model")
    return tmp_path / "model"


def pixels(name: str = "red", height: int = 40, width: int = 48) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 30, (height, width, 3))
    return np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)


def likely(prediction: Prediction) -> dict[str, float]:
    return dict(prediction.ranking)


# ---- predictions ----


@pytest.mark.parametrize("top", [0, -1])
def test_less_than_one_class_is_refused(model: Classifier, top: int) -> None:
    with pytest.raises(InputError, match=f"top must be at least 1 class, got {top} instead"):
        model.predict(pixels(), top=top)


def test_it_names_the_colours_that_it_learned(model: Classifier, pictures: Path) -> None:
    predictions = model.predict(pictures / "test")
    assert len(predictions) == 12
    for prediction in predictions:
        assert prediction.source is not None
        assert prediction.label == prediction.source.parent.name


def test_a_ranking_falls_and_sums_to_one(model: Classifier, pictures: Path) -> None:
    (prediction,) = model.predict(pictures / "test" / "red" / "00.png")
    probabilities = [p for _, p in prediction.ranking]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert {name for name, _ in prediction.ranking} == set(COLOURS)
    assert prediction.label == prediction.ranking[0][0]
    (short,) = model.predict(pictures / "test" / "red" / "00.png", top=2)
    assert short.ranking == prediction.ranking[:2]


def test_a_picture_is_the_same_whatever_it_comes_as(model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.fromarray(pixels()).save(path)
    sources = [path, str(path), Image.open(path), Image.fromarray(pixels()), pixels()]
    together = model.predict(sources)
    assert [p.source for p in together] == [path, path, None, None, None]
    for source, prediction in zip(sources, together, strict=True):
        (alone,) = model.predict(source)
        for name, p in likely(together[0]).items():
            assert likely(prediction)[name] == pytest.approx(p, abs=1e-6)
            assert likely(alone)[name] == pytest.approx(p, abs=1e-6)


def test_a_grey_array_is_a_picture_with_three_equal_channels(model: Classifier) -> None:
    grey = pixels()[..., 0]
    colours = np.repeat(grey[..., None], 3, axis=2)
    assert model.predict(grey)[0].ranking == model.predict(colours)[0].ranking


@pytest.mark.parametrize("kind", ["transparent", "16 bits", "turned"])
def test_a_picture_from_memory_is_treated_as_its_file(
    kind: str, model: Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "odd.png"
    exif = Image.Exif()
    match kind:
        case "transparent":
            alpha = np.zeros((40, 48, 1), np.uint8)
            picture = Image.fromarray(np.concatenate([pixels(), alpha], axis=2))
        case "16 bits":
            picture = Image.fromarray(pixels()[..., 0].astype(np.uint16) * 257)
        case _:
            exif[0x0112] = 6
            split = np.concatenate([pixels("red"), pixels("blue", 40, 20)], axis=1)
            picture = Image.fromarray(split)
    picture.save(path, exif=exif)
    with Image.open(path) as opened:
        from_memory = likely(model.predict(opened)[0])
    assert from_memory == pytest.approx(likely(model.predict(path)[0]), abs=1e-6)


def test_many_sources_keep_their_order(model: Classifier, pictures: Path) -> None:
    sources = [pixels("blue"), pictures / "test" / "red", Image.fromarray(pixels("green"))]
    predictions = model.predict(iter(sources))
    assert [p.label for p in predictions] == ["blue", "red", "red", "red", "red", "green"]
    assert model.predict([]) == []


def test_a_folder_stands_for_the_pictures_in_it(model: Classifier, tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "sub/c.jpg", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels()).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = [p.source for p in model.predict(str(tmp_path))]
    assert found == [tmp_path / name for name in ("a.PNG", "b.png", "sub/c.jpg")]


def test_a_file_that_cannot_be_read_has_a_fault_and_the_others_none(
    model: Classifier, pictures: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"GIF, or so it says")
    good = pictures / "test" / "red" / "00.png"
    first, second, third = model.predict([good, broken, good])
    assert (second.source, second.ranking, second.label) == (broken, (), None)
    assert "broken.jpg" in str(second.fault)
    assert first == third
    assert first.fault is None
    assert likely(first) == pytest.approx(likely(model.predict(good)[0]), abs=1e-6)


def test_what_is_not_there_is_an_error(model: Classifier, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"nowhere\.png: no such file"):
        model.predict([pixels(), tmp_path / "nowhere.png"])
    with pytest.raises(PictureError, match="no images in this folder"):
        model.predict(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((40, 48, 3)),
        np.zeros((40, 48, 3), np.int64),
        np.zeros((40, 48, 3), bool),
        np.zeros((1, 40, 48, 3), np.uint8),
        np.zeros(40, np.uint8),
    ],
)
def test_an_array_of_another_kind_is_refused(array: np.ndarray, model: Classifier) -> None:
    with pytest.raises(InputError, match=r"uint8 of shape \(H, W\) or \(H, W, 3\), got ") as error:
        model.predict([pixels(), array])
    assert str(array.dtype) in str(error.value)
    assert str(array.shape) in str(error.value)


@pytest.mark.parametrize(
    "shape", [(40, 48, 1), (40, 48, 2), (40, 48, 4), (40, 48, 5), (3, 40, 48), (0, 48, 3), (0, 0)]
)
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...], model: Classifier) -> None:
    with pytest.raises(InputError, match="shape"):
        model.predict(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("thing", [3, None, b"bytes", 1.5, torch.zeros(3, 40, 40).byte()])
def test_a_thing_that_is_no_picture_is_refused(thing: Any, model: Classifier) -> None:
    with pytest.raises(InputError):
        model.predict(thing)


def test_scales_and_mirror_images_change_the_answer(model: Classifier) -> None:
    uneven = np.concatenate([pixels("red"), pixels("blue")], axis=1)
    answers = [
        likely(model.predict(uneven, **how)[0])["red"]
        for how in ({}, {"scales": [36]}, {"scales": [64]}, {"flip": False}, {"flip": True})
    ]
    assert answers[0] == answers[1] == answers[4]  # 36 is the middle of S, and the default
    assert len(set(answers)) == 3
    with pytest.raises(InputError, match=r"at least 32.*got 31"):
        model.predict(uneven, scales=[64, 31])


def test_the_mirror_image_is_left_out_where_the_model_says_so(model: Classifier) -> None:
    uneven = np.concatenate([pixels("red"), pixels("blue")], axis=1)
    plain = dataclasses.replace(model, test_flip=False)
    assert plain.predict(uneven) == model.predict(uneven, flip=False)
    assert plain.predict(uneven, flip=True) == model.predict(uneven)


def test_titles_are_shown_instead_of_names(model: Classifier) -> None:
    titled = dataclasses.replace(model, titles={"red": "scarlet, crimson"})
    assert {name for name, _ in titled.predict(pixels())[0].ranking} == {
        *("scarlet, crimson", "green", "blue")
    }
    assert [titled.title(label) for label in range(3)] == ["blue", "green", "scarlet, crimson"]


def test_bf16_is_close_to_fp32(trained_run: Path, pictures: Path, model: Classifier) -> None:
    rough = verydeep.load(trained_run, compute=Compute(device="cpu", precision="bf16")).predict(
        pictures / "test"
    )
    exact = model.predict(pictures / "test")
    differences = [
        abs(likely(a)[name] - likely(b)[name])
        for a, b in zip(rough, exact, strict=True)
        for name in COLOURS
    ]
    assert 0 < max(differences) < 0.03
    for machine in (choose_machine("cpu", "bf16"), FP32):
        moved = model.on(machine)
        assert moved.predict(pictures / "test") == (rough if machine.precision == "bf16" else exact)
    assert model.machine == FP32


def test_the_pictures_are_not_changed(model: Classifier) -> None:
    array = pixels()
    model.predict(array)
    assert np.array_equal(array, pixels())
    tensor = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    before = tensor.clone()
    model.score_map(tensor)
    assert torch.equal(tensor, before)


def test_preprocessing_is_the_mean_and_one_divisor() -> None:
    x = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    shift = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 5.0, 0.5]])
    mean = (101.0, 102.5, 99.0)
    ours = Preprocessing(mean, 50.0)(x, shift)
    for n in range(2):
        for c in range(3):
            for place in ((0, 0), (4, 6), (2, 3)):
                value = (float(x[n, c][place]) + float(shift[n, c]) - mean[c]) / 50
                assert float(ours[n, c][place]) == pytest.approx(value, abs=1e-5)
    assert torch.equal(Preprocessing(mean, 50.0)(x), Preprocessing(mean, 50.0)(x, 0 * shift))
    assert ours.is_contiguous(memory_format=torch.channels_last)


# ---- folders ----


@pytest.mark.parametrize("name", ["A-LRN", "C"])
@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_model_comes_back_bit_for_bit(name: str, norm: str | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = vgg(
        name, 3, input_size=64, width=0.125, hidden=32, dropout=0.25, batch_norm=norm == "batch"
    )
    saved = Classifier(
        net=net.to(memory_format=torch.channels_last).eval(),
        classes=("Äpfel", "b c", "猫"),
        preprocessing=Preprocessing((1 / 3, 100.1, 255.0), 63.7),
        train_scale=(64, 96),
        test_scales=(64, 80),
        test_flip=False,
        titles={"猫": "cat"},
        measured={"top1_error": 1 / 3, "note": "ä"},
        machine=FP32,
    )
    saved.save(tmp_path / "new" / "model")
    assert {path.name for path in (tmp_path / "new" / "model").iterdir()} == {
        *("config.json", "model.safetensors", "README.md")
    }
    loaded = verydeep.load(
        tmp_path / "new" / "model", compute=Compute(device="cpu", precision="fp32")
    )
    for key, tensor in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[key], tensor)
        assert loaded.net.state_dict()[key].dtype == tensor.dtype
    for field in dataclasses.fields(Classifier):
        if field.name != "net":
            assert getattr(loaded, field.name) == getattr(saved, field.name), field.name
    assert (loaded.net.name, loaded.net.dropout, loaded.net.batch_norm) == (
        *(name, 0.25, norm == "batch"),
    )
    assert not loaded.net.training
    images = [pixels("red"), pixels("blue", 80, 64)]
    assert loaded.predict(images) == saved.predict(images)


def test_a_run_folder_stands_for_its_model(trained_run: Path) -> None:
    by_run, by_model = verydeep.load(trained_run), verydeep.load(str(trained_run / "model"))
    assert by_run.predict(pixels()) == by_model.predict(pixels())


def test_a_loaded_model_can_be_trained_on(model: Classifier) -> None:
    assert all(parameter.requires_grad for parameter in model.net.parameters())


def test_the_card_says_what_the_model_is(trained_run: Path, model: Classifier) -> None:
    card = (trained_run / "model" / "README.md").read_text("utf-8")
    metrics = json.loads((trained_run / "metrics.json").read_text())
    count = sum(math.prod(parameter.shape) for parameter in model.net.parameters())
    for part in (
        "net A",
        "32x32",
        "32 to 40",
        f"{count:,} parameters",
        "| 0 | blue |",
        "| 2 | red |",
    ):
        assert part in card
    assert f"| {metrics['loss']:.4g} |" in card
    assert f"| {metrics['top1_error']:.2f} % |" in card
    assert "[" not in card.replace("prediction in model.predict", "")
    namespace: dict[str, Any] = {}
    code = card.partition("```python\n")[2].partition("```")[0]
    code = code.replace("path/to/this/folder", str(trained_run))
    exec(code.replace("some/pictures", str(trained_run)).partition("for ")[0], namespace)
    assert namespace["model"].classes == model.classes


def read_config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text("utf-8")))


def put(folder: Path, path: str, value: Any) -> None:
    """Change one value in a model's configuration, by dotted path."""
    config = read_config(folder)
    *sections, key = path.split(".")
    inside = config
    for section in sections:
        inside = inside[section]
    inside[key] = value
    (folder / "config.json").write_text(json.dumps(config))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        verydeep.load(folder)
    assert str(folder) in str(error.value)
    return str(error.value)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "config.json" in refused(tmp_path)
    (tmp_path / "recipe.yaml").write_text("net: {name: A}")
    assert "first epoch" in refused(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"net": 3}', b"nonsense"]
)
def test_a_configuration_that_is_none_is_refused(content: bytes, copied: Path) -> None:
    (copied / "config.json").write_bytes(content)
    assert "config.json" in refused(copied)


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000])
def test_deep_nonsense_is_refused(content: str, copied: Path) -> None:
    (copied / "config.json").write_text(content)
    refused(copied)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", 2),
        ("task", "segmentation"),
        ("colour", "green"),
        ("net.depth", 3),
        ("net.name", "F"),
        ("net.input_size", 16),
        ("net.norm", "group"),
        ("net.width", "wide"),
        ("net.hidden", 100),
        ("net.name", "B"),
        ("classes", "abc"),
        ("classes", ["a", "b"]),
        ("preprocessing.divisor", 0),
        ("preprocessing.mean", [1, 2]),
        ("test_scales", 36),
        ("titles", ["red"]),
    ],
)
def test_a_wrong_configuration_is_refused(path: str, value: Any, copied: Path) -> None:
    put(copied, path, value)
    message = refused(copied)
    assert "config.json" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("net.width", float("nan")),
        ("net.channels", 0),
        ("classes", []),
        *(
            pytest.param(path, value, id=f"{path}: {reason}")
            for path, value, reason in (
                ("net.dropout", 5.0, "ValueError"),
                ("net.dropout", float("nan"), "RuntimeError"),
                ("net.width", float("inf"), "OverflowError"),
                ("net.width", 1e300, "TypeError"),
                ("net.hidden", 10**30, "TypeError"),
                ("net.input_size", 10**30, "TypeError"),
                ("classes", ["red", "red", "red"], "taken: which of them is meant?"),
                ("test_scales", [], "taken: predictions are all zero"),
                ("test_scales", [8], "taken: predictions fail"),
                ("test_scales", [10**9], "taken: predictions eat all memory"),
                ("preprocessing.mean", [float("nan")] * 3, "taken: predictions are NaN"),
                ("preprocessing.divisor", float("inf"), "taken: predictions see nothing"),
            )
        ),
    ],
)
def test_an_impossible_configuration_is_refused(path: str, value: Any, copied: Path) -> None:
    put(copied, path, value)
    refused(copied)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
places = st.sampled_from(
    ["format", "task", "net", "classes", "titles", "preprocessing", "train_scale", "extra"]
) | st.sampled_from(["name", "input_size", "width", "hidden", "norm", "x"]).map("net.{}".format)


@settings(max_examples=40, deadline=None)
@given(changes=st.dictionaries(places, values, min_size=1, max_size=3))
def test_a_strangers_configuration_is_read_or_refused(
    changes: dict[str, Any], trained_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stranger") / "model"
    shutil.copytree(trained_run / "model", folder)
    for path in sorted(changes, reverse=True):  # "net.width" before "net"
        put(folder, path, changes[path])
    try:
        model = verydeep.load(folder, compute=Compute(precision="fp32"))
    except ModelError:
        pass
    else:
        assert len(model.classes) == model.net.num_classes
    shutil.rmtree(folder)


def test_a_configuration_written_by_hand_is_enough(copied: Path, pictures: Path) -> None:
    minimal = {
        "net": {"name": "A", "input_size": 32, "width": 0.125, "hidden": 64, "dropout": 0.5}
        | {"norm": "batch"},
        "classes": ["cold", "fresh", "warm"],
        "preprocessing": {"mean": [100, 100, 100], "divisor": 64},
        "train_scale": [32, 40],
        "test_scales": [36],
    }
    (copied / "config.json").write_text(json.dumps(minimal))
    (copied / "README.md").unlink()
    assert verydeep.load(copied).predict(pictures / "test" / "red")[0].label == "warm"


@pytest.mark.parametrize("which", ["config.json", "model.safetensors", "README.md"])
def test_nothing_that_a_stranger_writes_is_executed(
    which: str, copied: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        (copied / which).write_bytes(pickle.dumps(Trap(), protocol))
        if which == "README.md":
            verydeep.load(copied)
        else:
            refused(copied)
    torch.save(Trap(), copied / "model.safetensors")
    refused(copied)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap()))
    assert trap.exists()


def with_weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    def write(path: Path) -> None:
        save_file(change(load_file(path)), path)

    return write


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: (path.unlink(), path.mkdir()),
        with_weights(lambda weights: {k: v for k, v in weights.items() if "fc8" not in k}),
        with_weights(lambda weights: weights | {"extra": torch.zeros(1)}),
        with_weights(
            lambda weights: {k: v[:1].clone() if v.dim() else v for k, v in weights.items()}
        ),
        with_weights(lambda weights: {k: v.int() for k, v in weights.items()}),
    ],
    ids=[
        "gone",
        "empty",
        "noise",
        "a byte short",
        "cut",
        "folder",
        "less",
        "more",
        "cut tensors",
        "integers",
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Change, copied: Path) -> None:
    change(copied / "model.safetensors")
    assert "model.safetensors" in refused(copied)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_in_another_precision_are_refused_or_used(
    dtype: torch.dtype, copied: Path, model: Classifier
) -> None:
    with_weights(lambda weights: {k: v.to(dtype) for k, v in weights.items()})(
        copied / "model.safetensors"
    )
    try:
        loaded = verydeep.load(copied, compute=Compute(precision="fp32"))
    except ModelError:
        return
    answer, wanted = likely(loaded.predict(pixels())[0]), likely(model.predict(pixels())[0])
    assert answer == pytest.approx(wanted, abs=0.05)


def test_gradients_reach_pixels_through_a_net_that_has_answered(trained_run: Path) -> None:
    model = verydeep.load(trained_run, compute=Compute(device="cpu", precision="fp32"))
    pictures = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    answered = model.score_map(pictures)
    x = model.eager.input_of(pictures).requires_grad_()
    scores = model.eager.net(x)
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert torch.allclose(scores, answered[:, :, 0, 0], atol=1e-5)
    assert gradient.abs().sum() > 0
