"""Batches on the device: JPEGs decoded there against the ordinary way, and one batch ahead."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from verydeep.data.images.jpeg_header import without_exif
from verydeep.data.pipeline import on_device as module
from verydeep.data.pipeline.augment import Augmentation, Crop, draw_crop, sample_generator
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.on_device import ahead_on_device, on_device, one_ahead
from verydeep.data.pipeline.read_crop import read_coded, read_crop
from verydeep.data.samples import Sample
from verydeep.errors import MissingExtra, PictureError
from verydeep.models.preprocessing import Preprocessing

CPU = torch.device("cpu")
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
)
JITTER = Augmentation(size=40, scale=(48, 96))


def crop_of(height: int, width: int, index: int = 0, scale: tuple[int, int] = (48, 96)) -> Crop:
    return draw_crop(Augmentation(40, scale), height, width, sample_generator(0, 0, index))


def files(folder: Path, photographs: list[Image.Image]) -> list[Sample]:
    """Write images of every kind that meets a decoder."""
    for number in range(8):
        part = photographs[number % 2].crop((40 * number, 20, 40 * number + 130, 160))
        part.save(folder / f"{number}.jpg", quality=90, subsampling=number % 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    photographs[0].crop((0, 0, 150, 100)).save(folder / "turned.jpg", exif=turned)
    photographs[1].convert("L").save(folder / "grey.jpg")
    photographs[1].convert("CMYK").save(folder / "print.jpg")
    photographs[0].save(folder / "progressive.jpg", progressive=True)
    photographs[0].crop((0, 0, 99, 111)).save(folder / "other.png")
    return [Sample(path, n % 3) for n, path in enumerate(sorted(folder.iterdir()))]


def batches(samples: list[Sample], decode: str, **changes: Any) -> TrainingBatches:
    named: dict[str, Any] = {"batch": 5, "micro_batch": 3, "seed": 1, "workers": 0} | changes
    return TrainingBatches(samples, JITTER, reduced=False, decode=decode, **named)


def whole(parts: Iterator[MicroBatch]) -> tuple[list[int], Tensor, Tensor, list[str]]:
    found = list(parts)
    return (
        [draw for part in found for draw in part.draws],
        torch.cat([part.pictures for part in found]).cpu(),
        torch.cat([part.labels for part in found]).cpu(),
        [fault for part in found for fault in part.unreadable],
    )


def test_both_decoders_give_the_same_pixels_here(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    pytest.importorskip("torchcodec", reason="there is no torchcodec")
    samples = files(tmp_path, photographs)
    coded = [c for part in batches(samples, "device").epoch(0) for c in part.coded]
    contents = [bytearray(without_exif(one.content)) for one in coded]
    given = [torch.frombuffer(content, dtype=torch.uint8) for content in contents]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision announces the end of its decoder
        theirs = module._of_torchvision()(given, CPU)
    for one, other in zip(module.jpeg_decoder()(given, CPU), theirs, strict=True):
        assert torch.equal(one, other)


def test_without_torchcodec_torchvision_decodes(
    photographs: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = files(tmp_path, photographs)
    expected = whole(ahead_on_device(batches(samples, "device").epoch(0), CPU))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = whole(ahead_on_device(batches(samples, "device").epoch(0), CPU))
    assert torch.equal(found[1], expected[1])
    monkeypatch.setitem(sys.modules, "torchvision.io", None)
    with pytest.raises(MissingExtra, match=r"verydeep\[gpu\]"):
        module.jpeg_decoder()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_crops_are_those_of_the_ordinary_decoder(
    workers: int, device: str, photographs: list[Image.Image], tmp_path: Path
) -> None:
    samples = files(tmp_path, photographs)
    theirs = whole(batches(samples, "cpu").epoch(2))
    left = batches(samples, "device", workers=workers)
    with_coded = list(left.epoch(2))
    assert sum(len(part.coded) for part in with_coded) == 10  # all but grey, CMYK and PNG
    ours = whole(ahead_on_device(iter(with_coded), torch.device(device)))
    assert ours[0] == theirs[0]
    assert torch.equal(ours[2], theirs[2])
    apart = (ours[1].int() - theirs[1].int()).abs()
    # nvJPEG interpolates subsampled colours in a way of its own.
    assert apart.max() <= (1 if device == "cpu" else 60)
    assert apart.float().mean() < (0.1 if device == "cpu" else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_cut_as_it_is_seen(
    orientation: int, photographs: list[Image.Image], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photographs[1].crop((200, 100, 301, 171)).save(tmp_path / "a.jpg", exif=exif)
    for index in range(4):
        draw = partial(crop_of, index=index)
        coded = read_coded(tmp_path / "a.jpg", draw, 0)
        assert coded is not None
        (pixels,) = module.decode_jpegs([coded], CPU)
        assert pixels is not None
        expected, crop = read_crop(tmp_path / "a.jpg", draw, reduced=False)
        assert coded.crop == crop
        assert (coded.cut(pixels).int() - expected.int()).abs().max() <= 1


def test_a_large_image_is_cut_to_the_same_values(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1201, 1607, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    draw = partial(crop_of, scale=(48, 48))
    coded = read_coded(tmp_path / "a.jpg", draw, 0)
    assert coded is not None
    (pixels,) = module.decode_jpegs([coded], CPU)
    assert pixels is not None
    expected, _ = read_crop(tmp_path / "a.jpg", draw, reduced=False)
    assert (coded.cut(pixels).int() - expected.int()).abs().max() <= 1


def test_an_image_that_the_device_refuses_is_decoded_here(
    photographs: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = files(tmp_path, photographs)
    theirs = whole(batches(samples, "cpu").epoch(0))
    inner = module.jpeg_decoder()
    refused: list[int] = []

    def choosy(given: list[Tensor], device: torch.device) -> list[Tensor]:
        if any(len(file) % 2 for file in given):
            refused.append(len(given))
            raise RuntimeError("nvjpegDecode failed")
        return inner(given, device)

    monkeypatch.setattr(module, "jpeg_decoder", lambda: choosy)
    ours = whole(ahead_on_device(batches(samples, "device").epoch(0), CPU))
    assert 1 in refused
    assert ours[0] == theirs[0]
    assert (ours[1].int() - theirs[1].int()).abs().max() <= 1


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_broken_image_is_left_out_by_name(
    device: str, photographs: list[Image.Image], tmp_path: Path
) -> None:
    samples = files(tmp_path, photographs)
    broken = samples[2].path
    broken.write_bytes(broken.read_bytes()[:-900])
    ours = whole(ahead_on_device(batches(samples, "device").epoch(0), torch.device(device)))
    theirs = whole(batches(samples, "cpu").epoch(0))
    assert ours[0] == theirs[0]
    assert sorted(ours[0]) == [n for n in range(len(samples)) if n != 2]
    assert torch.equal(ours[2], theirs[2])
    assert len(ours[3]) == 1
    assert str(broken) in ours[3][0]
    assert ours[3] == theirs[3]


def test_an_image_that_nobody_can_decode_is_left_out_by_name(
    photographs: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = files(tmp_path, photographs)
    parts = list(batches(samples, "device").epoch(0))
    lost = parts[0].coded[0]

    def refuse(given: list[Tensor], device: torch.device) -> list[Tensor]:
        raise RuntimeError

    def fail(content: bytes, draw: object, *, reduced: bool) -> Any:
        if content is lost.content:
            raise PictureError("<bytes>: broken")
        return read_crop(content, draw, reduced=reduced)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "jpeg_decoder", lambda: refuse)
    monkeypatch.setattr(module, "read_crop", fail)
    draw = parts[0].draws[lost.place]
    found = list(ahead_on_device(iter(parts), CPU))
    assert found[0].unreadable == (f"{samples[draw].path}: broken",)
    assert len(found[0].labels) == len(found[0].draws) == len(parts[0].labels) - 1
    assert draw not in found[0].draws
    whole_again = whole(batches(samples, "cpu").epoch(0))
    kept = [place for place, one in enumerate(whole_again[0]) if one != draw]
    ours = torch.cat([part.pictures for part in found])
    assert (ours.int() - whole_again[1][kept].int()).abs().max() <= 1


def test_what_is_not_an_ordinary_jpeg_never_reaches_the_device(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    samples = files(tmp_path, photographs)
    for name in ("grey.jpg", "print.jpg", "other.png"):
        assert read_coded(tmp_path / name, crop_of, 0) is None
    data = samples[0].path.read_bytes()
    assert read_coded(data, crop_of, 0) is not None
    assert read_coded(data[:-1], crop_of, 0) is None  # breaks off
    # Two frame headers: parsers may disagree about the size.
    frame = data.index(b"\xff\xc0")
    length = 2 + int.from_bytes(data[frame + 2 : frame + 4])
    twice = data[:frame] + 2 * data[frame : frame + length] + data[frame + length :]
    with contextlib.suppress(PictureError):  # refused altogether
        assert read_coded(twice, crop_of, 0) is None


def test_a_file_without_exif_is_the_same_image(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"exif": exif}, {"exif": exif, "comment": b"x", "progressive": True}):
        photographs[0].save(tmp_path / "a.jpg", **options)
        data = (tmp_path / "a.jpg").read_bytes()
        plain = without_exif(data)
        assert b"Exif" not in plain
        assert (len(plain) < len(data)) == ("exif" in options)
        with Image.open(tmp_path / "a.jpg") as one, Image.open(io.BytesIO(plain)) as other:
            assert np.array_equal(np.asarray(one), np.asarray(other))


# ---- one ahead ----


def noted(part: int, said: list[str]) -> Callable[[], int]:
    said.append(f"begin {part} in {threading.current_thread().name[:15]}")
    return lambda: part


def test_the_thread_is_one_batch_ahead() -> None:
    said: list[str] = []
    parts: Any = one_ahead(range(3), partial(noted, said=said))  # type: ignore[arg-type]
    assert next(parts) == 0
    assert len(said) == 2 or len(said) == 1  # the second is on its way
    assert list(parts) == [1, 2]
    assert said == [f"begin {n} in verydeep-device" for n in range(3)]


def test_an_error_in_the_thread_arrives() -> None:
    def fail(part: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(one_ahead([1, 2], fail))  # type: ignore[list-item]


def test_closing_early_ends_the_thread() -> None:
    before = threading.active_count()
    parts = one_ahead(range(100), partial(noted, said=[]))  # type: ignore[arg-type]
    next(parts)
    parts.close()
    assert threading.active_count() == before


# ---- from uint8 crops to the input of the net, on the device ----


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_shift_and_normalisation_on_the_device_are_those_on_the_cpu(device: str) -> None:
    torch.manual_seed(0)
    part = MicroBatch(
        pictures=torch.randint(256, (4, 3, 9, 7), dtype=torch.uint8),
        labels=torch.arange(4),
        shifts=torch.randn(4, 3),
        step=0,
        images=4,
        last=True,
    )
    moved = on_device(part, torch.device(device))
    assert moved.pictures.dtype == torch.uint8  # a quarter of the bytes on the way
    mean, divisor = (123.5, 117.25, 104.75), 64.0
    x = Preprocessing(mean, divisor)(moved.pictures, moved.shifts)
    assert x.device.type == torch.device(device).type
    assert x.is_contiguous(memory_format=torch.channels_last)
    # To the same bits: one sum and one division for each value, in float32.
    shift = part.shifts.numpy() - np.float32(mean)
    expected = (part.pictures.numpy().astype(np.float32) + shift[:, :, None, None]) / np.float32(64)
    assert np.array_equal(x.cpu().numpy(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_many_batches_arrive_whole_on_a_gpu_that_is_busy() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [
        MicroBatch(
            pictures=torch.randint(256, (64, 3, 64, 64), dtype=torch.uint8, generator=generator),
            labels=torch.full((64,), number),
            shifts=torch.zeros(64, 3),
            step=number,
            images=64,
            last=True,
        ).pin_memory()
        for number in range(50)
    ]
    load = torch.randn(2048, 2048, device="cuda")
    sums = []
    for part in ahead_on_device(iter(parts), torch.device("cuda")):
        load = (load @ load).clamp_(-1, 1)
        sums.append(part.pictures.long().sum() + part.labels.sum())
    expected = [int(part.pictures.long().sum() + part.labels.sum()) for part in parts]
    assert [int(value) for value in sums] == expected


def test_a_batch_without_images_goes_through() -> None:
    pictures, labels = torch.zeros(0, 3, 4, 4, dtype=torch.uint8), torch.zeros(0).long()
    nothing = MicroBatch(pictures, labels, torch.zeros(0, 3), 0, 1, last=True)
    assert len(on_device(nothing, CPU).labels) == 0
