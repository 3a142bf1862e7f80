"""Fast JPEG decoding against Pillow: equal pixels or equal refusals."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from hostile import Edit, edits, encode, mutate
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from verydeep.data.geometry import Window
from verydeep.data.images import fast_jpeg as jpeg
from verydeep.data.images.decode import decode, opened
from verydeep.data.images.fast_jpeg import pixels_of_plain_jpeg, quick_decoder
from verydeep.data.images.jpeg_header import JpegHeader, read_header
from verydeep.data.pipeline.augment import Crop
from verydeep.data.pipeline.read_crop import read_crop
from verydeep.errors import PictureError

pytestmark = pytest.mark.skipif(
    quick_decoder() is None, reason="simplejpeg is absent, or its pixels are not Pillow's"
)


def scene(height: int, width: int) -> Image.Image:
    """Return a slope of colours under noise."""
    slope = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] + [0, 40, 90]
    noise = np.random.default_rng([height, width]).integers(0, 60, (height, width, 3))
    return Image.fromarray((slope + noise).clip(0, 255).astype(np.uint8))


TURNED = Image.Exif()
TURNED[0x0112] = 6
WAYS: dict[str, dict[str, Any]] = {
    "4:2:0": {},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "restarts, progressive": {"restart_marker_blocks": 3, "progressive": True},
    "coarse": {"quality": 5},
    "own tables": {"optimize": True, "quality": 95},
    "stored in RGB": {"keep_rgb": True},
    "with a comment and a profile": {"comment": b"hello", "icc_profile": bytes(300)},
    "turned": {"exif": TURNED},
}
SIZES = ((1, 1), (7, 13), (16, 24), (33, 65), (40, 300))
PLAIN = {
    **{
        f"{how} {height}x{width}": encode(scene(height, width), "JPEG", **options)
        for how, options in WAYS.items()
        for height, width in SIZES
    },
    "grey": encode(scene(33, 65).convert("L"), "JPEG"),
    "grey, progressive": encode(
        scene(33, 65).convert("L"), "JPEG", progressive=True, restart_marker_rows=1
    ),
}
ODD = {
    "cmyk": encode(scene(16, 24).convert("CMYK"), "JPEG"),
    "two in one": encode(scene(16, 24), "MPO", save_all=True, append_images=[scene(16, 24)]),
}
FILES = PLAIN | ODD


def whole(height: int, width: int) -> Crop:
    return Crop((height, width), Window(0, 0, height, width), flip=False, shift=(0, 0, 0))


def by_pillow(data: bytes) -> np.ndarray | str:
    try:
        return np.asarray(decode(data))
    except PictureError as refusal:
        return str(refusal)


def by_the_quick_way(data: bytes) -> np.ndarray | str:
    try:
        pixels, _ = read_crop(data, whole, reduced=False)
    except PictureError as refusal:
        return str(refusal)
    return pixels.permute(1, 2, 0).numpy()


def agree(data: bytes) -> bool:
    one, other = by_pillow(data), by_the_quick_way(data)
    if isinstance(one, str) or isinstance(other, str):
        return type(one) is type(other) and one == other
    return np.array_equal(one, other)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_ones_are_decoded_to_the_same_pixels(kind: str) -> None:
    with opened(PLAIN[kind]) as picture:
        found = pixels_of_plain_jpeg(picture)
        assert found is not None
        assert found.dtype == torch.uint8
        expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)
    assert agree(PLAIN[kind])


@pytest.mark.parametrize("kind", ODD)
def test_odd_ones_are_left_to_pillow(kind: str) -> None:
    with opened(ODD[kind]) as picture:
        assert pixels_of_plain_jpeg(picture) is None
    assert agree(ODD[kind])


@pytest.mark.parametrize("kind", [kind for kind in FILES if "x" not in kind or "33x65" in kind])
def test_cut_off_anywhere(kind: str) -> None:
    data = FILES[kind]
    for end in {*range(0, len(data), max(1, len(data) // 100)), *range(len(data) - 5, len(data))}:
        assert agree(data[:end])


@settings(max_examples=1000)
@given(
    st.sampled_from(list(FILES.values())),
    st.lists(edits(list(FILES.values())), min_size=1, max_size=6),
)
def test_whatever_is_done_to_a_file(data: bytes, harm: list[Edit]) -> None:
    assert agree(mutate(data, harm))


MARKERS = st.sampled_from([*range(0xC0, 0xE3), 0xEE, 0xFE, 0xF0, 0x01, 0x00])


@settings(max_examples=500)
@given(
    st.sampled_from(list(FILES.values())),
    st.lists(st.tuples(st.floats(0, 1), MARKERS, st.integers(0, 8)), min_size=1, max_size=3),
)
def test_markers_anywhere(data: bytes, markers: list[tuple[float, int, int]]) -> None:
    for where, marker, length in markers:
        place = int(where * len(data))
        data = data[:place] + bytes([255, marker, 0, length]) + data[place:]
    assert agree(data)


# A sound file up to its frame, of 16 rows and 24 columns.
SOUND = encode(scene(16, 24), "JPEG")
FRAME = SOUND.index(b"\xff\xc0")
END_OF_FRAME = FRAME + 2 + 17


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SOUND[: END_OF_FRAME + 3],
        SOUND[:END_OF_FRAME] + SOUND[FRAME:END_OF_FRAME] + SOUND[END_OF_FRAME:],
        SOUND[: FRAME + 4] + b"\x0c" + SOUND[FRAME + 5 :],
        SOUND[:END_OF_FRAME] + b"\0" + SOUND[END_OF_FRAME:],
        SOUND[:END_OF_FRAME] + b"\xff" + SOUND[END_OF_FRAME:],
        SOUND[:END_OF_FRAME] + b"\xff\xfe\0\1" + SOUND[END_OF_FRAME:],
        SOUND[:END_OF_FRAME] + b"\xff\xdc\0\4\0\1" + SOUND[END_OF_FRAME:],
        SOUND[:FRAME] + b"\xff\xc9" + SOUND[FRAME + 2 :],
        SOUND[:FRAME] + SOUND[END_OF_FRAME:],
    ],
    ids=[
        *("empty", "cut off", "two frames", "12 bits", "junk", "padding", "no length"),
        *("height given later", "arithmetic code", "no frame"),
    ],
)
def test_only_regular_headers_reach_the_decoder(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would make room for whatever size it reads there, before anything can be compared."""
    assert read_header(SOUND) == JpegHeader(24, 16, one_pass=True)
    assert read_header(data) is None
    assert agree(data)
    asked: list[bytes] = []
    monkeypatch.setattr(jpeg, "quick_decoder", lambda: asked.append)
    by_the_quick_way(data)
    assert not asked
    by_the_quick_way(SOUND)
    assert asked


@pytest.mark.parametrize("kind", FILES)
def test_only_baseline_ones_with_all_channels_in_it_have_one_pass(kind: str) -> None:
    header = read_header(FILES[kind])
    assert header is not None
    assert header.one_pass == ("progressive" not in kind)
    with opened(FILES[kind]) as picture:
        assert header[:2] == picture.size


def test_a_first_pass_of_one_channel_is_not_all() -> None:
    start = SOUND.index(b"\xff\xda")
    luma = SOUND[:start] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + SOUND[start + 14 :]
    header = read_header(luma)
    assert header is not None
    assert not header.one_pass


def test_large_ones_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "MOST_PIXELS", 16 * 24 - 1)
    with opened(SOUND) as picture:
        assert pixels_of_plain_jpeg(picture) is None


def test_what_was_asked_for_at_a_reduced_size_is_left_to_pillow() -> None:
    with opened(encode(scene(64, 64), "JPEG")) as picture:
        picture.draft(None, (32, 32))
        assert pixels_of_plain_jpeg(picture) is None


def test_what_the_library_doubts_is_left_to_pillow(capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(scene(40, 300), "JPEG")
    spoilt = data[:-600] + data[-2:]  # the end comes too early, which Pillow puts up with
    with pytest.raises(ValueError, match="Corrupt"):
        simplejpeg.decode_jpeg(spoilt)
    assert agree(spoilt)
    assert not isinstance(by_the_quick_way(spoilt), str)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def afresh() -> Iterator[None]:
    quick_decoder.cache_clear()
    yield
    quick_decoder.cache_clear()


@pytest.mark.parametrize("fault", ["other pixels", "other arguments", "gone"])
@pytest.mark.usefixtures("afresh")
def test_another_decoder_is_not_used(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = simplejpeg.decode_jpeg

    def brighter(data: bytes) -> np.ndarray:
        pixels = real(data)
        pixels[0, 0, 0] += 1
        return pixels

    if fault == "gone":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    else:
        other = brighter if fault == "other pixels" else lambda: None
        monkeypatch.setattr(simplejpeg, "decode_jpeg", other)
    assert quick_decoder() is None
    with opened(SOUND) as picture:
        assert pixels_of_plain_jpeg(picture) is None
    assert agree(SOUND)


def test_bytes_that_are_no_file_of_ours_are_left_to_pillow() -> None:
    with Image.open(io.BytesIO(SOUND)) as picture:
        assert pixels_of_plain_jpeg(picture) is None
