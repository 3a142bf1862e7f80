"""Models on the Hub: pushed to and read from a server on this machine, by the Hub's own client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hub_server import TOKEN, Hub
from tiny import COLOURS, Outcome, recipe
from torch import nn

import verydeep
from verydeep.errors import DiskError, InputError, MissingExtra, ModelError
from verydeep.models.classifier import Classifier
from verydeep.models.hub import fetch
from verydeep.models.hub.metadata import metadata
from verydeep.models.path import check_models, find_model
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "hf:ada/pets"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of a narrow net."""
    torch.manual_seed(0)
    net = vgg("A", num_classes=3, width=0.03, hidden=8, input_size=32)
    measured = {"top1_error": 12.5, "images": 8, "split": "val", "unreadable": ["val/aunt.jpg"]}
    model = Classifier(
        net,
        ("blue", "green", "red"),
        Preprocessing((1.0, 2.0, 3.0)),
        train_scale=(32, 40),
        test_scales=(36,),
        measured=measured,
    )
    model.save(tmp_path / "model")
    return tmp_path / "model"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_is_pushed_and_read_again(hub: Hub, folder: Path, pictures: Path) -> None:
    pushed = verydeep.push(folder, "ada/pets", message="First")
    assert (pushed.name, pushed.url) == (NAME, f"{hub.url}/ada/pets")
    repository = hub.repositories["ada/pets"]
    assert (repository.messages, repository.private) == (["First"], False)
    (stored,) = repository.commits.values()
    assert set(stored) == {"config.json", "model.safetensors", "README.md"}
    assert stored["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert b"aunt.jpg" not in b"".join(stored.values())
    assert b'verydeep.load("hf:ada/pets")' in stored["README.md"]
    loaded, own = verydeep.load(NAME), verydeep.load(folder)
    image = next((pictures / "test").rglob("*.png"))
    assert (loaded.predict_proba(image) == own.predict_proba(image)).all()


def test_an_int8_variant_is_pushed_and_read_with_its_model(hub: Hub, folder: Path) -> None:
    (folder / "int8.onnx").write_bytes(b"graph")
    verydeep.push(folder, "ada/pets")
    (stored,) = hub.repositories["ada/pets"].commits.values()
    assert "int8.onnx" not in stored, "without its record"
    (folder / "int8.json").write_text("{}")
    verydeep.push(folder, "ada/pets")
    found = find_model(NAME)
    assert (found / "int8.onnx").read_bytes() == b"graph"
    assert (found / "int8.json").read_text() == "{}"


def test_a_file_is_downloaded_once_and_a_new_commit_is_seen(hub: Hub, folder: Path) -> None:
    hub.add("ada/pets", files(folder))
    first = find_model(NAME)
    hub.asked.clear()
    assert find_model(NAME) == first
    assert hub.asked == ["GET /api/models/ada/pets"]
    commit = hub.repositories["ada/pets"].commit({"README.md": b"new"})
    assert find_model(NAME).name == commit != first.name
    assert find_model(f"{NAME}@{first.name}") == first
    assert find_model(f"{NAME}@main").name == commit


@pytest.mark.parametrize("last", ["README.md", "int8.onnx", "model.safetensors"])
def test_a_download_that_broke_is_completed(
    last: str, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {**files(folder), "README.md": b"card", "int8.json": b"{}", "int8.onnx": b"graph"}
    hub.add("ada/pets", stored)
    take = fetch._file

    def breaking(client: Any, name: Any, revision: str | None, file: str) -> Path:
        if file == last:
            raise ModelError("broken")
        return take(client, name, revision, file)

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_file", breaking)
        with pytest.raises(ModelError, match="broken"):
            find_model(NAME)
    hub.broken = 503
    with pytest.raises(ModelError, match="cannot be reached"):
        find_model(NAME)
    hub.broken = None
    assert files(find_model(NAME)) == stored


def test_a_file_that_is_missing_in_the_cache_is_downloaded(hub: Hub, folder: Path) -> None:
    stored = {**files(folder), "README.md": b"card"}
    hub.add("ada/pets", stored)
    (find_model(NAME) / "README.md").unlink()
    assert files(find_model(NAME)) == stored


def test_nothing_but_the_model_is_read(hub: Hub, folder: Path) -> None:
    hub.add("ada/pets", {**files(folder), "evil.pkl": b"x", "pytorch_model.bin": b"x"})
    assert {path.name for path in find_model(NAME).iterdir()} == set(files(folder))


def test_the_cache_is_used_where_the_hub_is_away(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    hub.add("ada/pets", files(folder))
    first = find_model(NAME)
    hub.broken = 503
    assert find_model(NAME) == first
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert find_model(NAME) == first
    with pytest.raises(ModelError, match=r"hf:ada/cars: the Hub cannot be reached.*not in its ca"):
        find_model("hf:ada/cars")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model(NAME) == first


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({}, "not a model of verydeep; it is empty"),
        ({"a.txt": b""}, "not a model of verydeep; it has 1 file: a.txt$"),
        ({"config.json": b'{"model_type": "vit"}', "model.safetensors": b"x"}, "safetensors holds"),
        ({"w.pth": b"x"}, "If w.pth holds a VGG net, download it and import it .verydeep import"),
        ({f"{n}.txt": b"" for n in range(20)}, "20 files: .* and 12 more$"),
    ],
)
def test_something_else_is_refused(hub: Hub, others: dict[str, bytes], message: str) -> None:
    hub.add("ada/pets", others)
    with pytest.raises(ModelError, match=message):
        find_model(NAME)


def test_known_weights_are_named(hub: Hub) -> None:
    hub.add("timm/vgg16.tv_in1k", {"model.safetensors": b"x"})
    with pytest.raises(ModelError, match=r"known by name: timm/vgg16.tv_in1k"):
        find_model("hf:timm/vgg16.tv_in1k")


def test_why_a_model_may_not_be_read(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/pets", files(folder))
    hub.add("ada/gated", files(folder), gated=True)
    hub.add("ada/secret", files(folder), private=True)
    with pytest.raises(ModelError, match=r"no such model .* or a private one.*hf auth login"):
        find_model("hf:ada/none")
    with pytest.raises(ModelError, match="has no revision 'v9'"):
        find_model(f"{NAME}@v9")
    with pytest.raises(ModelError, match=rf"gated: accept its terms at {hub.url}/ada/gated"):
        find_model("hf:ada/gated")
    assert find_model("hf:ada/secret").is_dir()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError, match=r"or a private one.*HF_TOKEN"):
        find_model("hf:ada/secret")
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(ModelError, match=r"refuses the token as invalid: log in"):
        find_model(NAME)


def test_why_a_model_may_not_be_pushed(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(ModelError, match=r"your token may not write.*member of ada that may write"):
        verydeep.push(folder, "ada/pets")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError, match=r"needs a token of the Hub: log in with hf auth login"):
        verydeep.push(folder, "ada/pets")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("pets", "ada/pets/x", "ada/pe ts", "../pets"):
        with pytest.raises(ModelError, match="must be like hf:owner/name"):
            verydeep.push(folder, name)
    with pytest.raises(InputError, match=r"license= must be an identifier like mit"):
        verydeep.push(folder, "ada/pets", license="My own")
    hub.broken = 503
    with pytest.raises(ModelError, match=r"the Hub cannot be reached .*503"):
        verydeep.push(folder, "ada/pets")
    assert hub.repositories == {}


def test_another_model_is_not_written_over(hub: Hub, folder: Path) -> None:
    other = hub.add("ada/pets", {"config.json": b'{"model_type": "vit"}'})
    with pytest.raises(ModelError, match=r"it has 1 file: config.json. Push to a new name"):
        verydeep.push(folder, "ada/pets")
    assert len(other.commits) == 1
    hub.add("ada/new", {"README.md": b"# mine", ".gitattributes": b""})
    verydeep.push(folder, "ada/new")
    verydeep.push(folder, "ada/new", message="Second")
    assert hub.repositories["ada/new"].messages == ["", "Upload a model of verydeep", "Second"]


def test_a_private_one_and_weights_of_another_framework(hub: Hub, tmp_path: Path) -> None:
    net = vgg("A", num_classes=3, width=0.03, hidden=8, input_size=32)
    parts = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    torch.save(nn.Sequential(*parts).state_dict(), tmp_path / "w.pth")
    verydeep.push(tmp_path / "w.pth", "ada/secret", private=True)
    assert hub.repositories["ada/secret"].private
    assert verydeep.load("hf:ada/secret").source is not None


def test_metadata_are_read_by_the_hubs_own_package(hub: Hub, folder: Path) -> None:
    package = pytest.importorskip("huggingface_hub")
    verydeep.push(folder, "ada/pets", license="mit")
    card = package.ModelCard.load("ada/pets")
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "mit",
        "verydeep",
        "image-classification",
    )
    assert data.model_name == "pets"
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("top1_error", 12.5)
    assert (result.dataset_split, result.dataset_name) == ("val", "8 images")
    (line,) = [line for line in card.text.splitlines() if line.startswith("# ")]
    assert line == "# VGG net A, 3 classes"
    verydeep.push(NAME, "ada/copy")
    text = hub.repositories["ada/copy"].at("main")[1]["README.md"].decode()  # type: ignore[index]
    assert text.count("\n---\n") == 1
    assert "license" not in yaml.safe_load(text.split("---")[1])


def test_licences_of_published_weights_are_known(folder: Path) -> None:
    from verydeep.models.folder import read_config
    from verydeep.models.weights.published import published

    config, found = read_config(folder), set()
    for one in published().values():
        given = config.model_copy(update={"source": {"licence": one.licence}})
        found.add(metadata(given, "a/b", None).get("license"))
    assert found == {None, "bsd-3-clause", "cc-by-4.0", "apache-2.0"}


def test_a_copy_of_the_hub_is_not_changed(hub: Hub, folder: Path, pictures: Path) -> None:
    hub.add("ada/pets", files(folder))
    with pytest.raises(ModelError, match=r"the copy of a model on the Hub is not changed"):
        verydeep.calibrate(NAME, "val", pictures)


def test_a_missing_package_and_a_full_disk(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip("huggingface_hub")
    hub.add("ada/pets", files(folder))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(package, "hf_hub_download", full)
        with pytest.raises(DiskError, match="no space"):
            find_model(NAME)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[hub\]'"):
        check_models(NAME)


def test_a_folder_of_that_name_goes_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "hf:ada" / "pets")
    assert find_model(NAME) == Path(NAME)


def test_the_verbs_take_it(
    hub: Hub, folder: Path, pictures: Path, verydeep: Callable[..., Outcome]
) -> None:
    done = verydeep("push", folder, "ada/pets", "--json")
    assert (done.code, json.loads(done.out)["name"]) == (0, NAME)
    done = verydeep("predict", NAME, pictures / "test", "--json")
    assert {c["class"] for p in json.loads(done.out)["predictions"] for c in p["classes"]} == {
        *COLOURS
    }
    done = verydeep("evaluate", NAME, "--data", pictures)
    assert (done.code, "top-1 error" in done.out) == (0, True)
    done = verydeep("features", NAME, pictures / "test", "--out", folder.parent / "f.npz")
    assert done.code == 0, done.err
    done = verydeep("push", folder, "pets")
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.slow
def test_the_program_asks_the_address_of_the_environment(
    hub: Hub, folder: Path, pictures: Path, tmp_path: Path
) -> None:
    hub.add("ada/pets", files(folder))
    image = next((pictures / "test").rglob("*.png"))
    done = subprocess.run(
        [sys.executable, "-m", "verydeep", "predict", NAME, image],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, image.name in done.stdout) == (0, True)
    assert (tmp_path / "home" / "hub" / "models--ada--pets").is_dir()


@pytest.mark.slow
def test_a_box_regressor_and_a_start_of_training(
    hub: Hub, folder: Path, pictures: Path, tmp_path: Path
) -> None:
    from verydeep.localization.localizer import Localizer

    net = vgg("A", num_classes=12, width=0.03, hidden=8, input_size=32)
    boxes = Localizer(
        net,
        ("blue", "green", "red"),
        Preprocessing((1.0, 2.0, 3.0)),
        train_scale=(32, 40),
        test_scales=(36,),
    )
    verydeep.push(boxes, "ada/boxes")
    text = hub.repositories["ada/boxes"].at("main")[1]["README.md"].decode()  # type: ignore[index]
    assert yaml.safe_load(text.split("---")[1])["pipeline_tag"] == "object-detection"
    assert isinstance(verydeep.load("hf:ada/boxes"), Localizer)
    hub.add("ada/pets", files(folder))
    settings = recipe("net.width=0.03", "net.hidden=8", "training.epochs=1")
    verydeep.train(pictures, settings, tmp_path / "run", init_from=NAME)
    assert (tmp_path / "run" / "model" / "config.json").is_file()
