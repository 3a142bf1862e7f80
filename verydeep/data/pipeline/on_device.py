"""Training batches on the device: moved there ahead, and with JPEGs that are decoded there.

On a GPU a thread moves the next batch, on a stream of its own, while the net works on the current
one. JPEGs are decoded there by nvJPEG, which gets regular files with checked headers only. An image
that it refuses is decoded like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from verydeep.data.images.jpeg_header import without_exif
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.read_crop import CodedCrop, read_crop
from verydeep.errors import MissingExtra, PictureError
from verydeep.system.option_names import setting

Decoder = Callable[[list[Tensor], torch.device], list[Tensor]]
"""Return the pixels of files, uint8 (3, H, W) each; raises a RuntimeError for any fault."""

AT_ONCE = 2**26
"""Pixels to decode at once: 200 MB."""


def on_device(part: MicroBatch, device: torch.device) -> MicroBatch:
    """Return a batch on a device, with all its crops decoded.

    Args:
        part: The batch, in memory.
        device: The device.
    """
    moved = part.to(device)
    return _decoded(moved, device) if part.coded else moved


def ahead_on_device(
    parts: Iterable[MicroBatch], device: torch.device
) -> Generator[MicroBatch, None, None]:
    """Yield batches on a device; on a GPU, the next one is on its way meanwhile."""
    if device.type == "cuda":
        yield from one_ahead(parts, _Uploads(device))
    else:
        yield from (on_device(part, device) for part in parts)


def one_ahead(
    parts: Iterable[MicroBatch], begin: Callable[[MicroBatch], Callable[[], MicroBatch]]
) -> Generator[MicroBatch, None, None]:
    """Yield what work makes of batches, in order; a thread works one batch ahead.

    Args:
        parts: The batches.
        begin: Begins the work on one, in the thread; returns a function that ends it in the
            caller's.
    """
    waiting: Future[Callable[[], MicroBatch]] | None = None
    pool = ThreadPoolExecutor(1, "verydeep-device")
    try:
        for part in parts:
            following = pool.submit(begin, part)
            if waiting is not None:
                yield waiting.result()()
            waiting = following
        if waiting is not None:
            yield waiting.result()()
    finally:
        pool.shutdown(cancel_futures=True)


class _Uploads:
    """Moves batches to a GPU, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        # In the thread, a device without a number could be another one.
        number = torch.cuda.current_device() if device.index is None else device.index
        self.device = torch.device("cuda", number)
        self.stream: Any = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def __call__(self, part: MicroBatch) -> Callable[[], MicroBatch]:
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            moved = on_device(part, self.device)
            arrived = self.stream.record_event()

        def end() -> MicroBatch:
            current: Any = torch.cuda.current_stream(self.device)
            current.wait_event(arrived)
            for tensor in (moved.pictures, moved.labels, moved.shifts, moved.boxes):
                if tensor is not None:
                    tensor.record_stream(current)  # memory of one stream, used by another
            return moved

        return end


def _decoded(part: MicroBatch, device: torch.device) -> MicroBatch:
    faults: dict[int, str] = {}
    for crops in _chunks(part.coded):
        for crop, pixels in zip(crops, decode_jpegs(crops, device), strict=True):
            try:
                row = crop.cut(pixels) if pixels is not None else _by_the_usual_way(crop)
            except PictureError as error:
                faults[crop.place] = str(error)
            else:
                part.pictures[crop.place].copy_(row)
    whole = part.without(faults, tuple(faults.values())) if faults else part
    return replace(whole, coded=())


def _by_the_usual_way(crop: CodedCrop) -> Tensor:
    """Decode with the decoder of all other images, which tells what is wrong with a broken one."""
    try:
        return read_crop(crop.content, lambda height, width: crop.crop, reduced=False)[0]
    except PictureError as error:
        raise type(error)(str(error).replace("<bytes>", crop.name, 1)) from None


def _chunks(crops: Sequence[CodedCrop]) -> Iterator[list[CodedCrop]]:
    """Yield crops in parts of at most :data:`AT_ONCE` pixels, or single ones."""
    found: list[CodedCrop] = []
    pixels = 0
    for crop in crops:
        size = crop.size[0] * crop.size[1]
        if found and pixels + size > AT_ONCE:
            yield found
            found, pixels = [], 0
        found.append(crop)
        pixels += size
    if found:
        yield found


def decode_jpegs(crops: Sequence[CodedCrop], device: torch.device) -> list[Tensor | None]:
    """Decode whole JPEGs on a device.

    Args:
        crops: The files.
        device: The device.

    Returns:
        Pixels of each as stored, uint8 (3, H, W); None for those that the decoder refuses.
    """
    # Some decoders turn an image by its EXIF block, some do not.
    contents = [bytearray(without_exif(crop.content)) for crop in crops]
    files = [torch.frombuffer(content, dtype=torch.uint8) for content in contents]
    decode = jpeg_decoder()
    try:
        found: list[Tensor | None] = [*decode(files, device)]
    except RuntimeError:  # which does not tell the file
        found = [_alone(decode, file, device) for file in files]
    return [
        pixels if pixels is not None and tuple(pixels.shape) == (3, *crop.size) else None
        for crop, pixels in zip(crops, found, strict=True)
    ]


def _alone(decode: Decoder, file: Tensor, device: torch.device) -> Tensor | None:
    try:
        (pixels,) = decode([file], device)
    except RuntimeError:
        return None
    return pixels


def jpeg_decoder() -> Decoder:
    """Return a function that decodes JPEGs on a device: of torchcodec, else of torchvision.

    torchvision has announced the end of its own.

    Raises:
        MissingExtra: Neither has one.
    """
    with contextlib.suppress(ImportError, OSError, RuntimeError):  # its libraries may not load
        from torchcodec.decoders import decode_jpeg

        call: Any = decode_jpeg
        return lambda files, device: call(files, mode="RGB", device=device)
    return _of_torchvision()


def _of_torchvision() -> Decoder:
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError as error:
        raise MissingExtra(setting("data.decode", "device"), "gpu") from error
    return lambda files, device: decode_jpeg(files, ImageReadMode.RGB, device)
