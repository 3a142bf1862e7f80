"""The description inside exported files: there and back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest

from verydeep.errors import InputError, ModelError
from verydeep.models.exported import reading
from verydeep.models.exported.classifier import load_exported
from verydeep.models.exported.metadata import KEY, Metadata
from verydeep.models.exported.reading import is_exported, read_metadata

ABOUT = Metadata(
    net="D",
    classes=("naïve\n", "“two”", "<&>"),
    titles={"<&>": "Three"},
    input_size=64,
    stride=32,
    dense=False,
    train_scale=(64, 128),
    test_scales=(64, 96, 128),
    test_flip=True,
    calibration={
        **{"temperature": 1.5, "split": "val", "protocol": "dense", "images": 9},
        **{"loss_before": 1.0, "loss_after": 0.5, "loss_held_out": None, "gain": None},
        "kept": True,
    },
    licence="CC BY 4.0",
    measured={"top1_error": 12.5, "split": "test"},
)


def onnx_file(path: Path, text: str | None, key: str = KEY) -> Path:
    """Write an ONNX file without layers, with a description."""
    graph = onnx.helper.make_graph([], "empty", [], [])
    model = onnx.helper.make_model(graph)
    model.metadata_props.add(key="other", value="x")
    if text is not None:
        model.metadata_props.add(key=key, value=text)
    path.write_bytes(model.SerializeToString())
    return path


ABOUT_JSON = json.loads(ABOUT.to_json())


def changed(**values: Any) -> str:
    return json.dumps({**ABOUT_JSON, **values})


def test_the_description_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", ABOUT.to_json())
    assert read_metadata(path) == ABOUT
    assert ABOUT.to_json().isascii()


def test_the_classifier_has_the_settings_of_the_description(tmp_path: Path) -> None:
    model = load_exported(onnx_file(tmp_path / "a.onnx", ABOUT.to_json()))
    assert (model.name, model.classes, model.input_size) == ("D", ABOUT.classes, 64)
    assert model.calibration is not None
    assert model.calibration.temperature == 1.5
    assert [model.title(label) for label in range(3)] == ["naïve\n", "“two”", "Three"]
    assert not model.any_size
    assert "net D, 3 classes, input size 64" in repr(model)


def test_the_scale_of_the_proof_is_the_middle_one() -> None:
    assert ABOUT.proof_scale == 96
    assert dataclasses.replace(ABOUT, test_scales=(128, 64)).proof_scale == 128


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "Expecting property name"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "nested too deeply"),
        (changed(format=2), "format 2, where 1 is expected"),
        (changed(surprise=1), "fields surprise"),
        ('{"format": 1, "net": "A"}', "fields classes, dense"),
        (changed(input_size="64"), "a size in pixels"),
        (changed(test_scales=[]), "scales are missing"),
        (changed(test_scales=[0]), "a size in pixels"),
        (changed(classes=[]), "classes must be names"),
        (changed(classes=[1]), "classes must be names"),
        (changed(interpolation="sharp"), "interpolation 'sharp'"),
        (changed(calibration={"temperature": 0}), "temperature must be above 0"),
        (changed(titles=[]), "titles or net"),
        (changed(calibration=[1]), "calibration or abstention of another type"),
        (changed(calibration={"temperature": 1}), "missing"),
        (changed(abstention="x"), "calibration or abstention of another type"),
        (json.dumps({k: v for k, v in ABOUT_JSON.items() if k != "train_scale"}), "train_scale"),
    ],
)
def test_a_damaged_description_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", text)
    assert is_exported(path)
    with pytest.raises(ModelError, match="its description is damaged") as raised:
        load_exported(path)
    assert fault in str(raised.value)


def test_other_files_are_no_exports(tmp_path: Path) -> None:
    foreign = onnx_file(tmp_path / "foreign.onnx", None)
    empty = tmp_path / "empty.onnx"
    empty.touch()
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(bytes(range(256)))
    no_zip = tmp_path / "no.pt2"
    no_zip.write_bytes(b"PK no zip")
    xml = tmp_path / "other.xml"
    xml.write_text("<net/>")
    for path in (foreign, empty, noise, no_zip, xml):
        assert not is_exported(path)
        with pytest.raises(ModelError, match="not exported by verydeep"):
            read_metadata(path)
    assert not is_exported(tmp_path / "absent.onnx")
    assert not is_exported(tmp_path)
    assert not is_exported(7)
    with pytest.raises(ModelError, match="verydeep import makes a model"):
        read_metadata(foreign)
    with pytest.raises(ModelError, match=r"no exported net; their names end in .onnx, .xml, .pt2"):
        read_metadata(tmp_path / "a.txt")


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_no_export_or_damaged(keep: float, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", ABOUT.to_json())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ModelError, match=r"not exported by verydeep|damaged"):
        read_metadata(path)


def program(path: Path, method: int, text: str = "{}") -> Path:
    """Write an archive that has no more of a program of PyTorch than the description."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("package/extra/verydeep.json", text)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_program_with_any_byte_changed_is_no_export_or_one(method: int, tmp_path: Path) -> None:
    path = program(tmp_path / "a.pt2", method, "no JSON" * 20)
    content = path.read_bytes()
    found = []
    for place in range(len(content)):
        for value in (255, content[place] ^ 1):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            found.append(is_exported(path))
    assert {*found} == {True, False}


def test_a_description_is_read_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST", 1000)
    inside = program(tmp_path / "a.pt2", zipfile.ZIP_DEFLATED, " " * 1000)
    beyond = program(tmp_path / "b.pt2", zipfile.ZIP_DEFLATED, " " * 1001)
    assert is_exported(inside)
    assert not is_exported(beyond)


def test_an_archive_that_unpacks_to_much_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST", 2**20)
    path = program(tmp_path / "a.pt2", zipfile.ZIP_DEFLATED, " " * 2**25)
    tracemalloc.start()
    try:
        assert not is_exported(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_another_device_or_precision_is_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "a.onnx", ABOUT.to_json())
    with pytest.raises(InputError, match="device must be cpu for this file, got 'cuda'"):
        load_exported(path, "cuda")
