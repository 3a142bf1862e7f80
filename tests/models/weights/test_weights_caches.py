"""Files of weights that are on this machine already."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from downloads import CONTENT, SHA256, Log, fetch, put, weights
from file_server import Behaviour

from verydeep.models.weights.caches import cached, own_file
from verydeep.models.weights.published import find_published

pytestmark = pytest.mark.usefixtures("homes")


def test_a_file_brought_by_hand_is_used_after_a_check(server: Behaviour) -> None:
    one, log = weights(server), Log()
    place = own_file(one)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert fetch(one, log) == place
    assert server.asked == []
    place.write_bytes(b"another")
    assert fetch(one, log).read_bytes() == CONTENT
    assert "not the file that was published" in log.lines[0]


# ---- files of other libraries ----


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("torchvision/vgg16", "TORCH_HOME/hub/checkpoints/vgg16-397923af.pth"),
        ("keras/vgg19", "KERAS_HOME/models/vgg19_weights_tf_dim_ordering_tf_kernels.h5"),
    ],
)
def test_a_file_of_its_library_is_used_in_place(name: str, place: str, homes: Path) -> None:
    one = dataclasses.replace(find_published(name), algorithm="sha256", digest=SHA256)
    there = put(homes / place)
    assert cached(one) == there
    assert fetch(one) == there
    assert not own_file(one).exists()


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_a_file_of_the_hubs_cache_is_used_in_place(
    variable: str, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable == "HF_HUB_CACHE":
        monkeypatch.setenv(variable, str(homes / variable / "hub"))
    model = homes / variable / "hub" / "models--timm--vgg16.tv_in1k"
    blob = put(model / "blobs" / SHA256)
    link = model / "snapshots" / "b8d8aa2d" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert fetch(find_published("timm/vgg16.tv_in1k")) == link


def test_another_file_of_its_library_is_not(server: Behaviour, homes: Path) -> None:
    one, log = weights(server, family="keras", url=f"{server.url}/net.h5"), Log()
    put(homes / "KERAS_HOME" / "models" / "net.h5", b"another")
    assert fetch(one, log) == own_file(one)
    assert "not used" in log.lines[0]


def test_torchs_folder_is_the_one_that_torch_takes(homes: Path) -> None:
    import torch

    one = find_published("torchvision/vgg16")
    there = put(Path(torch.hub.get_dir()) / "checkpoints" / one.file_name)
    assert there.is_relative_to(homes)
    assert cached(one) == there
