"""Names of published weights: the table against the libraries that publish them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from verydeep.errors import ModelError
from verydeep.models.weights.checksum import digest_of, is_digest
from verydeep.models.weights.published import (
    DIGITS,
    Published,
    find_published,
    published,
    published_like,
)
from verydeep.nets.registry import PAPER_NETS, anatomy

EVERY = list(published().values())
VGG = [one for one in EVERY if one.net in PAPER_NETS]


def of(family: str) -> list[Published]:
    return [one for one in EVERY if one.family == family]


def test_the_names_are_those_that_people_look_for() -> None:
    layers = (11, 13, 16, 19)
    assert {one.name for one in EVERY} == {
        *(f"torchvision/vgg{count}{norm}" for count in layers for norm in ("", "_bn")),
        *("torchvision/vgg16-features", "torchvision/googlenet", "timm/legacy_senet154.in1k"),
        *(f"timm/vgg{count}{norm}.tv_in1k" for count in layers for norm in ("", "_bn")),
        *(f"keras/vgg{count}{top}" for count in (16, 19) for top in ("", "-notop")),
        *("vgg/16", "vgg/19", "matconvnet/vgg-verydeep-16", "matconvnet/vgg-verydeep-19"),
        *(f"onnx/vgg{count}{norm}" for count in (16, 19) for norm in ("", "-bn")),
    }


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_every_entry_is_complete(one: Published) -> None:
    assert all(re.fullmatch(r"https://[\w./~%-]+", address) for address in one.addresses)
    assert len(set(one.addresses)) == len(one.addresses)
    digits = DIGITS[one.algorithm]
    assert one.digest is None or re.fullmatch(rf"[0-9a-f]{{8}}|[0-9a-f]{{{digits}}}", one.digest)
    assert one.size in (None, one.size_about)
    assert one.licence
    assert one.reference
    assert (one.top1_error is None) == (one.top5_error is None) == (not one.classifier)
    assert one.top1_error is None or 18 < one.top1_error < 35
    assert one.top5_error is None or 4 < one.top5_error < 12


@pytest.mark.parametrize("one", VGG, ids=str)
def test_the_name_tells_the_net(one: Published) -> None:
    layers = {"A": "11", "B": "13", "D": "16", "E": "19"}[one.net]
    assert re.search(r"\d+", one.name.partition("/")[2])[0] == layers  # type: ignore[index]
    assert one.batch_norm == bool(re.search(r"[-_]bn", one.name))


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_the_size_is_that_of_the_nets_weights(one: Published) -> None:
    norm = {} if one in VGG else {"batch_norm": True}
    net = anatomy(one.net, 1000, **norm)
    whole = one.classifier or one.family == "torchvision"
    weights = 4 * (net.parameters if whole else net.convolution_parameters)
    if one.net == "googlenet":
        weights *= 2  # the file holds the auxiliary heads, too, as large as the net
    # MatConvNet's files are compressed; batch norms and headers add little.
    assert 0.92 * weights <= one.size_about <= 1.001 * weights


@pytest.mark.parametrize("one", of("torchvision"), ids=str)
def test_torchvision_says_the_same(one: Published) -> None:
    from torchvision.models import get_weight

    theirs = get_weight(one.reference.removeprefix("torchvision.models."))
    meta = theirs.meta
    assert theirs.url == one.url
    assert one.digest == one.file_name.rpartition("-")[2].removesuffix(".pth")
    assert one.size_about == pytest.approx(meta["_file_size"] * 2**20, abs=600)
    if one.classifier:
        errors = meta["_metrics"]["ImageNet-1K"]
        assert one.top1_error == pytest.approx(100 - errors["acc@1"])
        assert one.top5_error == pytest.approx(100 - errors["acc@5"])
    preset = theirs.transforms()
    assert (preset.crop_size, preset.resize_size) == ([224], [256])
    assert preset.interpolation.value in one.protocol or not one.classifier


def test_timm_says_the_same() -> None:
    timm = pytest.importorskip("timm", reason="needs timm")
    theirs = [*timm.list_pretrained("vgg*"), *timm.list_pretrained("legacy_senet154*")]
    assert {f"timm/{name}" for name in theirs} == {one.name for one in of("timm")}
    for one in of("timm"):
        known = timm.get_pretrained_cfg(one.name.removeprefix("timm/"))
        assert f"/{known.hf_hub_id}/resolve/" in one.url or one.url == known.url
        assert known.license.casefold() in one.licence.casefold()
        assert (known.crop_pct, known.interpolation) == (0.875, "bilinear")


def test_keras_says_the_same() -> None:
    keras = importlib.util.find_spec("keras")  # read, not imported: Keras wants a backend
    if keras is None or keras.origin is None:
        pytest.skip("needs Keras")
    for one in of("keras"):
        source = Path(keras.origin).parent / "src" / "applications" / f"{one.alias}.py"
        text = re.sub(r'"\s+"', "", source.read_text())
        assert f'"{one.url}"' in text
        assert re.search(rf'"{one.file_name}",.*?file_hash="{one.digest}"', text, re.DOTALL)


def test_an_unknown_name_is_told_from_a_known_one() -> None:
    assert find_published("vgg/19").net == "E"
    with pytest.raises(ModelError, match=r"'keras/vgg61' .* did you mean 'keras/vgg1[69]'\?"):
        find_published("keras/vgg61")


def test_weights_are_known_by_the_name_of_their_file() -> None:
    for one in EVERY:
        assert published_like(one.file_name) is (
            None if one.file_name == "model.safetensors" else one
        )
    assert published_like("other.h5") is None


def test_a_checksum_is_that_of_coreutils(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert digest_of(file, "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321
    found = digest_of(file, "sha256")
    assert found.startswith("ba7816bf8f01cfea414140de5dae2223")  # FIPS 180-2
    assert is_digest(found, "BA7816BF")
    assert not is_digest(found, "")
    assert not is_digest(found, found + "0")
