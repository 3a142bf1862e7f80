"""Facts of single files: each property and each fault."""

from __future__ import annotations

import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checks.messy import save, scene, seen
from verydeep.checks.file_facts import FileFacts, examine
from verydeep.checks.perceptual_hash import distance
from verydeep.data.images.decode import decode
from verydeep.data.pipeline.colour_statistics import Measure
from verydeep.errors import PictureError


def facts_of(path: Path, *, colours: bool = True) -> FileFacts:
    return seen(path, colours=colours).facts


def bomb(path: Path, width: int, height: int) -> Path:
    """Write a PNG that only claims its size: the decision must come from the header."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x"))
    return path


@pytest.fixture(params=[True, False], ids=["whole", "reduced"])
def colours(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_sound_jpeg(tmp_path: Path, colours: bool) -> None:
    path = save(scene(1, 700, 500), tmp_path / "a.jpg")
    facts = facts_of(path, colours=colours)
    assert (facts.fault, facts.format, facts.mode) == (None, "JPEG", "RGB")
    assert (facts.width, facts.height, facts.length) == (700, 500, path.stat().st_size)
    assert not any((facts.animated, facts.turned, facts.deep, facts.alpha))
    assert len(facts.digest) == 16


def test_reduced_and_whole_give_the_same_hash_or_nearly(tmp_path: Path) -> None:
    for seed in range(10):
        path = save(scene(seed, 900, 700), tmp_path / f"{seed}.jpg")
        one, other = (facts_of(path, colours=colours).hash for colours in (True, False))
        assert one is not None
        assert other is not None
        assert distance(one, other) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_are_noted_and_the_size_is_the_upright_ones(
    tmp_path: Path, orientation: int, colours: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(scene(2, 400, 300), tmp_path / "a.jpg", exif=exif)
    facts = facts_of(path, colours=colours)
    assert facts.turned == (orientation > 1)
    assert (facts.width, facts.height) == decode(path).size


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("a.jpg", "L", {"mode": "L"}),
        ("a.jpg", "CMYK", {"mode": "CMYK"}),
        ("a.png", "RGBA", {"mode": "RGBA", "alpha": True}),
        ("a.png", "LA", {"mode": "LA", "alpha": True}),
        ("a.png", "P", {"mode": "P", "alpha": False}),
        ("a.png", "1", {"mode": "1"}),
        ("a.bmp", "RGB", {"format": "BMP"}),
        ("a.webp", "RGB", {"format": "WEBP"}),
        ("a.tif", "RGB", {"format": "TIFF"}),
    ],
)
def test_modes_and_formats(
    tmp_path: Path, name: str, mode: str, expected: dict[str, object], colours: bool
) -> None:
    facts = facts_of(save(scene(3).convert(mode), tmp_path / name), colours=colours)
    assert facts.fault is None
    assert {key: getattr(facts, key) for key in expected} == expected


def test_sixteen_bits_are_noted(tmp_path: Path) -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    assert facts_of(save(Image.fromarray(values), tmp_path / "a.png")).deep
    assert not facts_of(save(scene(1), tmp_path / "b.png")).deep


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.png"])
def test_several_frames_are_noted(tmp_path: Path, name: str) -> None:
    frames = [scene(seed) for seed in (4, 5)]
    assert facts_of(
        save(frames[0], tmp_path / name, save_all=True, append_images=frames[1:])
    ).animated
    assert not facts_of(save(frames[0], tmp_path / f"one-{name}")).animated


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert facts_of(tmp_path / "a.jpg") == FileFacts(fault="empty", reason="the file is empty")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_truncated_file_is_broken(tmp_path: Path, name: str, share: float, colours: bool) -> None:
    path = save(scene(6, 600, 400), tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    facts = facts_of(path, colours=colours)
    assert facts.fault == "broken"
    assert facts.reason


@pytest.mark.parametrize(
    ("content", "fault", "reason"),
    [
        (b"<html>404</html>", "no-picture", "web page"),
        (b"not an image\n", "no-picture", "is text"),
        (b"%PDF-1.7\n\x80", "no-picture", "is PDF"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0", "no-picture", "is a video"),
        (bytes(100), "no-picture", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "broken", "PNG|broken"),
    ],
)
def test_what_is_no_picture_says_what_it_is(
    tmp_path: Path, content: bytes, fault: str, reason: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    facts = facts_of(path)
    assert facts.fault == fault
    assert any(word in facts.reason for word in reason.split("|"))


@pytest.mark.parametrize(("width", "height"), [(20_000, 5_000), (100_000, 100_000)])
def test_a_bomb_is_known_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    facts = facts_of(bomb(tmp_path / "a.png", width, height))
    assert facts.fault == "too-large"
    assert "pixels" in facts.reason


def test_what_is_not_there_or_no_file_is_unreadable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    for name in ("pipe.jpg", "folder.jpg", "link.jpg", "gone.jpg"):
        assert facts_of(tmp_path / name).fault == "unreadable"


def test_faults_are_those_that_training_has(tmp_path: Path) -> None:
    """Cut or damage files anywhere: usable here means usable there."""
    generator = random.Random(0)
    paths = [save(scene(8), tmp_path / f"a{end}") for end in (".jpg", ".png", ".webp", ".gif")]
    for path in paths:
        content = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(content[: generator.randrange(1, len(content) + 1)])
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            path.write_bytes(damaged)
            try:
                decode(path)
                usable = True
            except PictureError:
                usable = False
            assert (facts_of(path).fault is None) == usable


def test_colours_are_measured_as_training_measures_them(tmp_path: Path) -> None:
    path = save(scene(9, 640, 480), tmp_path / "a.jpg")
    _, moments = examine(path, colours=True)
    expected = Measure(keep=False, largest_scale=None)(decode(path))[0]
    assert moments is not None
    np.testing.assert_array_equal(moments[0], expected[0])
    np.testing.assert_array_equal(moments[1], expected[1])
    assert examine(path, colours=False)[1] is None
