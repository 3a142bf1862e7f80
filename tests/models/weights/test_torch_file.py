"""Nets of torchvision and timm, saved in every way, against their own forward."""

from __future__ import annotations

import collections
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from scores import assert_close, images, imported, narrow, our_scores, shake
from torch import Tensor, nn
from torchvision.models.vgg import VGG, make_layers

from verydeep.errors import ModelError
from verydeep.models.weights.formats.pytorch.reader import matches, read
from verydeep.nets.registry import build

SIZE = 64
MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]

Save = Callable[[Mapping[str, Tensor], Path], None]


def save_old(state: Mapping[str, Tensor], path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    save_file(dict(state), path)


SAVES: dict[str, Save] = {"zip": torch.save, "old": save_old, "safetensors": save_safetensors}


def of_torchvision(name: str = "A", *, norm: bool = False, side: int = 2) -> nn.Module:
    """Return a narrow net of torchvision for images of 32 side pixels."""
    with torch.device("meta"):
        net = VGG(make_layers(narrow(name), batch_norm=norm), init_weights=False)
    net.avgpool = nn.Identity()
    net.classifier[0] = nn.Linear(32 * side * side, 20)
    net.classifier[3] = nn.Linear(20, 20)
    net.classifier[6] = nn.Linear(20, 5)
    return shake(net.to_empty(device="cpu"))


def of_timm(name: str = "A", *, norm: bool = False) -> nn.Module:
    layer = nn.BatchNorm2d if norm else None
    with torch.device("meta"):
        net = timm.models.vgg.VGG(narrow(name), num_classes=5, mlp_ratio=0.005, norm_layer=layer)
    net.pre_logits.fc2 = nn.Conv2d(20, 20, 1)
    net.head.fc = nn.Linear(20, 5)
    return shake(net.to_empty(device="cpu"))


def theirs(net: nn.Module, rgb: Tensor) -> Tensor:
    """Return the scores (N, K) of a net of torchvision or timm, in float64."""
    with torch.no_grad():
        return net.double()((rgb / 255 - MEAN) / STD)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.parametrize("name", ["A", "D"])
def test_torchvision(tmp_path: Path, name: str, kind: str, norm: bool) -> None:
    net = of_torchvision(name, norm=norm)
    path = tmp_path / "weights"
    SAVES[kind](net.double().state_dict(), path)
    assert matches(path.read_bytes()[:4096], path)
    made = imported(path)
    assert (made.family, made.config.net.name, made.match.left_out) == ("torchvision", name, ())
    rgb = images(SIZE, SIZE)
    assert_close(our_scores(made, rgb)[:, :, 0, 0], theirs(net, rgb), 1e-9)


@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.parametrize("norm", [False, True])
def test_timm(tmp_path: Path, kind: str, norm: bool) -> None:
    net = of_timm("B", norm=norm)
    path = tmp_path / "weights"
    SAVES[kind](net.double().state_dict(), path)
    made = imported(path)
    assert (made.family, made.config.net.name, made.match.left_out) == ("timm", "B", ())
    rgb = images(224, 224, count=1)
    assert_close(our_scores(made, rgb)[:, :, 0, 0], theirs(net, rgb), 1e-9)


def test_timm_dense(tmp_path: Path) -> None:
    """timm's convolutional head averages its scores over a larger image."""
    net = of_timm()
    torch.save(net.double().state_dict(), tmp_path / "weights")
    made = imported(tmp_path / "weights")
    rgb = images(288, 256, count=1)
    maps = our_scores(made, rgb)
    assert maps.shape[2:] == (3, 2)
    # The average comes before the last layer, which is linear.
    assert_close(maps.mean((2, 3)), theirs(net, rgb), 1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(tmp_path: Path, dtype: torch.dtype) -> None:
    net = of_torchvision().to(dtype)
    path = tmp_path / "weights"
    torch.save(net.state_dict(), path)
    assert all(layer.weight.dtype == torch.float32 for layer in read(path).layers)
    made = imported(path, torch.float32)
    rgb = images(SIZE, SIZE)
    assert_close(our_scores(made, rgb)[:, :, 0, 0], theirs(net, rgb), 1e-4)


def rename(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


WRAPPED: dict[str, Callable[[Any], Any]] = {
    "state_dict": lambda state: {"epoch": 3, "state_dict": rename(state, "module.")},
    "model": lambda state: {"model": state, "optimizer": {"state": {0: {"m": torch.ones(9, 9)}}}},
    "nested": lambda state: {"model": {"state_dict": rename(state, "model.backbone.")}},
    "averages": lambda state: {"ema": rename(state, "module._orig_mod.")},
    "own word": lambda state: {"the_net": state, "numbers": [1, 2]},
    "own object": lambda state: {"args": pytest.approx(3), "net": collections.OrderedDict(state)},
}


@pytest.mark.parametrize("save", [torch.save, save_old])
@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped(tmp_path: Path, how: str, save: Save) -> None:
    state = of_torchvision(norm=True).state_dict()
    save(WRAPPED[how](state), tmp_path / "weights")
    torch.save(state, tmp_path / "plain")
    found, plain = read(tmp_path / "weights"), read(tmp_path / "plain")
    assert [layer.name for layer in found.layers] == [layer.name for layer in plain.layers]
    for one, other in zip(found.layers, plain.layers, strict=True):
        assert torch.equal(one.weight, other.weight)
        assert (one.norm is None) == (other.norm is None)


def test_two_sets_of_weights(tmp_path: Path) -> None:
    state = of_torchvision().state_dict()
    averages = {name: value + 1 for name, value in state.items()}
    torch.save({"ema": averages, "state_dict": state}, tmp_path / "w")
    found = read(tmp_path / "w")
    assert torch.equal(found.layers[0].weight, state["features.0.weight"])
    assert found.ignored == ("ema: other weights in the same file; those of state_dict are taken",)


NUMBERS = {"e": 4, "d": 3, "c": 2, "b": 1, "a": 0}


def test_classes_beside(tmp_path: Path) -> None:
    state = of_torchvision().state_dict()
    for beside in ({"classes": [*"abcde"]}, {"class_to_idx": NUMBERS}):
        torch.save({"model": state, **beside}, tmp_path / "w")
        assert read(tmp_path / "w").classes == ("a", "b", "c", "d", "e")
    torch.save({"model": state, "class_to_idx": {"a": 0, "b": 7}}, tmp_path / "w")
    assert read(tmp_path / "w").classes is None


def test_convolutions_alone(tmp_path: Path) -> None:
    """torchvision's vgg16_features: its file has the names of the convolutions and no others."""
    state = {k: v for k, v in of_torchvision("D").state_dict().items() if "features" in k}
    torch.save(state, tmp_path / "w")
    found = read(tmp_path / "w")
    assert len(found.layers) == 13
    assert all(layer.is_convolution for layer in found.layers)


@pytest.mark.parametrize("norm", [False, True])
def test_our_own_names(tmp_path: Path, norm: bool) -> None:
    net = shake(build("C", 4, width=WIDTH_OURS, hidden=9, input_size=32, batch_norm=norm))
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    found = read(tmp_path / "model.safetensors")
    names = [name.removesuffix(".weight") for name, value in net.state_dict().items()
             if name.endswith("weight") and "norm" not in name]  # fmt: skip
    assert [layer.name for layer in found.layers] == names
    assert all(
        (layer.norm is not None) == (norm and layer.is_convolution) for layer in found.layers
    )


WIDTH_OURS = 0.03


def test_order_of_numbers(tmp_path: Path) -> None:
    """Names with numbers have the order of these, whatever that of the file is."""
    state = of_torchvision("E", norm=True).state_dict()
    torch.save(dict(reversed(state.items())), tmp_path / "backwards")
    torch.save(dict(sorted(state.items())), tmp_path / "sorted")
    torch.save(state, tmp_path / "w")
    names = [layer.name for layer in read(tmp_path / "w").layers]
    assert [layer.name for layer in read(tmp_path / "backwards").layers] == names
    assert [layer.name for layer in read(tmp_path / "sorted").layers] == names


@pytest.mark.parametrize("kind", SAVES)
def test_head_of_ones_own(tmp_path: Path, kind: str) -> None:
    """Names in an order that the alphabet does not have; each layer reads what another gives."""
    net = of_torchvision()
    head = [nn.Linear(128, 24), nn.Linear(24, 16), nn.Linear(16, 3)]
    convolutions = {k: v for k, v in net.state_dict().items() if "features" in k}
    named = zip(("neck.first", "hidden", "answer"), head, strict=True)
    own = {f"{n}.{k}": v for n, layer in named for k, v in layer.state_dict().items()}
    SAVES[kind](convolutions | own, tmp_path / "w")
    names = [layer.name for layer in read(tmp_path / "w").layers]
    assert names[-3:] == ["neck.first", "hidden", "answer"]


def test_norm_in_the_head(tmp_path: Path) -> None:
    """A normalisation after a fully connected layer belongs to it, so that the head is left out."""
    net = of_torchvision()
    for place in (1, 2):
        net.classifier = nn.Sequential(
            nn.Linear(128, 20), nn.ReLU(), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 5)
        )
        net.classifier[place] = nn.BatchNorm1d(20)
        torch.save(net.state_dict(), tmp_path / "w")
        found = read(tmp_path / "w")
        assert [layer.norm is not None for layer in found.layers][-3:] == [True, False, False]


def test_norm_without_weights_and_bias(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False))
    torch.save(shake(net).state_dict(), tmp_path / "w")
    (layer,) = read(tmp_path / "w").layers
    assert layer.bias is None
    assert layer.norm is not None
    assert layer.norm.scale.tolist() == [1] * 4
    assert layer.norm.shift.tolist() == [0] * 4
    assert torch.equal(layer.norm.variance, net[1].running_var)


def test_other_tensors_are_named(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    net.register_buffer("mean", torch.zeros(1, 3, 1, 1))
    torch.save(net.state_dict(), tmp_path / "w")
    assert read(tmp_path / "w").ignored == (
        "the net itself: neither kind of layer (mean 1x3x1x1)",
        "1: neither kind of layer (weight 4, bias 4)",
    )


def test_views_of_numbers(tmp_path: Path) -> None:
    """Transposed, cut and shared storages give the numbers that they stand for."""
    weight = torch.randn(3, 3, 5, 4).permute(3, 2, 0, 1)
    whole = torch.randn(6, 20)
    torch.save({"a.weight": weight, "b.weight": whole[1:5]}, tmp_path / "w")
    first, second = read(tmp_path / "w").layers
    assert torch.equal(first.weight, weight)
    assert torch.equal(second.weight, whole[1:5])
    assert second.weight.is_contiguous()


def test_parameters(tmp_path: Path) -> None:
    """Parameters, as of dict(net.named_parameters()), are tensors too."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.save(dict(net.named_parameters()), tmp_path / "w")
    assert torch.equal(read(tmp_path / "w").layers[0].weight, net[0].weight)


class Trap:
    """Whatever unpickles this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def refusal(path: Path) -> str:
    assert matches(path.read_bytes()[:4096], path)
    with pytest.raises(ModelError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


HOW = 'torch.save(net.state_dict(), "weights.pth")'


@pytest.mark.parametrize("save", [torch.save, save_old])
def test_whole_net_refused(tmp_path: Path, save: Save) -> None:
    net = of_torchvision()
    for content in (net, {"model": net}):
        save(content, tmp_path / "w")
        text = refusal(tmp_path / "w")
        assert text.startswith("holds an object of the class torchvision.models.vgg.VGG, whose")
        assert text.endswith(HOW)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_refused(tmp_path: Path) -> None:
    torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "w"))
    assert refusal(tmp_path / "w") == (
        "is a TorchScript program, not weights; save its weights alone: "
        'torch.save(torch.jit.load(FILE).state_dict(), "weights.pth")'
    )


@pytest.mark.parametrize("save", [torch.save, save_old])
def test_no_code_is_run(tmp_path: Path, save: Save) -> None:
    trap = tmp_path / "trapped"
    save({"state_dict": {"a.weight": torch.ones(2, 3), "b": Trap(trap)}}, tmp_path / "w")
    assert [str(layer) for layer in read(tmp_path / "w").layers] == ["a (2x3)"]
    (tmp_path / "w").write_bytes(pickle.dumps({"a.weight": Trap(trap)}, protocol=2))
    assert "pickle that torch.save did not write" in refusal(tmp_path / "w")
    assert not trap.exists()


def test_unusable_contents(tmp_path: Path) -> None:
    path = tmp_path / "w"

    def of(content: Any) -> str:
        torch.save(content, path)
        return refusal(path)

    assert of([1, 2]).startswith("holds no state dict")
    assert of({}).startswith("holds no state dict")
    assert of({"a.weight": torch.ones(2, 2, 2)}) == (
        "holds no weights of a convolution or fully connected layer; found a.weight"
    )
    assert of({"a.weight": torch.ones(2, 2, dtype=torch.int8)}).startswith(
        "a.weight: its weights are int8, not floating-point numbers; a quantized net"
    )
    assert of({"a.weight": torch.ones(3, 2, dtype=torch.complex64)}).startswith(
        "holds numbers of an unusual type"
    )
    assert of({"a.weight": torch.ones(3, 0)}).startswith("holds a layer without weights")
    assert of({"a.weight": torch.ones(3, 2), "a.bias": torch.ones(4)}) == (
        "a.bias: 4 numbers for 3 outputs"
    )
    assert of({"a\n.weight": torch.ones(1, 2, dtype=torch.int8)}).startswith("'a\\n.weight': its")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    assert of(net.state_dict()).startswith("2: a batch normalisation that does not come directly")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5))
    assert of(net.state_dict()).startswith("1: a batch normalisation that does not fit the 4")
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    assert "variance below 0" in of(state | {"1.running_var": torch.tensor([1.0, 1, 1, -1])})
    assert of({f"{n}.weight": torch.ones(1, 1) for n in range(2001)}).startswith("holds 2,001")


def test_repeated_numbers_refused(tmp_path: Path) -> None:
    """A small file that declares a large tensor takes no memory."""
    torch.save({"a.weight": torch.ones(1, 1).expand(9000, 9000)}, tmp_path / "w")
    assert refusal(tmp_path / "w").startswith("declares 324,000,000 bytes of weights, but is only")
    torch.save({"a.weight": torch.ones(1, 1).expand(2**20, 2**20)}, tmp_path / "w")
    assert refusal(tmp_path / "w").startswith("holds 1,099,511,627,776 numbers, more than the")


def rezip(
    source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **how: Any
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **how) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def test_changed_archives(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "w"
    torch.save({"a.weight": torch.ones(20, 30)}, plain)

    def of(change: Callable[[str, bytes], bytes | None], **how: Any) -> str:
        rezip(plain, path, change, **how)
        return refusal(path)

    assert "compressed" in of(lambda _, data: data, compression=zipfile.ZIP_DEFLATED)
    assert "big-endian" in of(lambda name, data: b"big" if "byteorder" in name else data)
    assert "damaged" in of(lambda name, data: data[:-4] if name.endswith("data/0") else data)
    assert "damaged" in of(lambda name, data: data + b"0" if name.endswith("data/0") else data)
    assert "damaged" in of(lambda name, data: None if name.endswith("data/0") else data)
    assert "no data.pkl" in of(lambda name, data: None if name.endswith("data.pkl") else data)
    data = bytearray(plain.read_bytes())
    data[data.index(b"\0\0\x80?\0\0\x80?") + 8] ^= 1  # a number that no longer fits the checksum
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_old_files_cut(tmp_path: Path) -> None:
    save_old({"a.weight": torch.ones(20, 30)}, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    for length in (20, 100, len(data) - 1):
        (tmp_path / "w").write_bytes(data[:length])
        assert "a damaged one" in refusal(tmp_path / "w")


def test_large_pickles_are_quick(tmp_path: Path) -> None:
    """Nested tuples that would take for ever to hash or to print are not."""
    body = b"\x80\x02}(K\x01" + b"2\x86" * 60 + b"K\x02u."
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("a/data.pkl", body)
        archive.writestr("a/version", b"3\n")
    assert refusal(tmp_path / "w").startswith("holds no state dict")


def test_not_ours(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("word/document.xml", "text")
    for data in (b"", b"PK", b"text", b"\x89HDF\r\n\x1a\n", (tmp_path / "w").read_bytes()):
        (tmp_path / "w").write_bytes(data)
        assert not matches(data[:4096], tmp_path / "w")
    assert matches(pickle.dumps([1]), tmp_path / "w")


@pytest.mark.slow
def test_real_sizes(tmp_path: Path) -> None:
    """torchvision's VGG-16 as it is, with 1,000 classes."""
    from torchvision.models import vgg16

    net = shake(vgg16(weights=None, init_weights=False))
    torch.save(net.state_dict(), tmp_path / "w")
    made = imported(tmp_path / "w", torch.float32)
    assert made.config.net.input_size == 224
    assert made.config.classes[0] == "n01440764"
    rgb = images(224, 224, count=1)
    assert_close(our_scores(made, rgb)[:, :, 0, 0], theirs(net, rgb), 1e-4)
