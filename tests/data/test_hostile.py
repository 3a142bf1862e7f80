"""Hostile and damaged files and folders."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import socket
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import (
    ENDLESS,
    SMALL,
    VAST,
    Edit,
    chunk,
    edits,
    empty_pieces,
    encode,
    grey_tiff,
    large_tile,
    many_frames,
    many_scans,
    mutate,
    overlapping_strips,
    png,
    run_lengths,
    tiff,
    vast_webp,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import COLOURS, Outcome, apart, flags, strict_json, write_class_folders, write_splits

from verydeep.data.images import limits as bounds
from verydeep.data.images.decode import decode
from verydeep.data.images.limits import AT_ONCE, MAX_BYTES, MAX_PIXELS, MAX_SCANS
from verydeep.data.pipeline.workers import load_pictures
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, PictureError, printable
from verydeep.run.training import data as data_module

SECONDS = 10.0
"""Of a processor that others share; work without a bound takes minutes."""


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """End a test that waits for ever, as one that opens a named pipe would."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fault(source: Path | bytes) -> str:
    """Return why an image is refused; to find out must not take long."""
    started = time.process_time()
    with pytest.raises(PictureError) as caught:
        decode(source)
    assert time.process_time() - started < SECONDS
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- Bombs ----


@pytest.mark.parametrize("bomb", VAST.values(), ids=VAST)
def test_a_declared_size_is_refused(bomb: bytes) -> None:
    assert "make it smaller" in fault(bomb)


@pytest.mark.parametrize("side", [10_000, 16_384])
def test_a_webp_of_a_declared_size_is_refused(side: int) -> None:
    fault(vast_webp(side, side))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_unpacks_to_much_is_passed_over(kind: bytes) -> None:
    begin = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    packed = zlib.compress(bytes(50_000_000))
    plain, found = decode(png(4, 4)), decode(png(4, 4, chunk(kind, begin + packed)))
    assert np.array_equal(np.asarray(found), np.asarray(plain))


def test_many_large_texts_are_passed_over() -> None:
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    assert decode(png(4, 4, text * 80)).size == (4, 4)


def test_pixels_that_unpack_to_more_than_declared_end_with_the_picture() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(200_000_000), 1))
    started = time.process_time()
    picture = decode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND"))
    assert picture.size == (4, 4)
    assert time.process_time() - started < SECONDS


HEAD = re.escape("its header is too long or in too many pieces; save it again")


@pytest.mark.parametrize("bomb", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_header_is_refused(bomb: bytes) -> None:
    assert re.search(f"{HEAD}|chunks allowed", fault(bomb))


def test_pixels_in_too_many_pieces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PIXEL_READS", 20_000)
    assert "its data are too long or in too many pieces" in fault(empty_pieces(30_000))


def test_a_jpeg_with_endless_passes_is_refused() -> None:
    assert f"more than the allowed {MAX_SCANS} scans" in fault(many_scans(16, MAX_SCANS + 1))
    assert "more than the allowed 95 scans" in fault(many_scans(3872, 120))


def test_a_jpeg_with_many_passes_is_decoded() -> None:
    assert decode(many_scans(16, 500)).size == (16, 16)


def test_what_lies_behind_a_jpeg_is_no_pass() -> None:
    """Phones append films to images; they hold every pair of bytes."""
    data = encode(SMALL, "JPEG", progressive=True)
    behind = data + b"\xff\xda" * (2 * MAX_SCANS)
    assert np.array_equal(np.asarray(decode(behind)), np.asarray(decode(data)))


def test_strips_that_overlap_are_refused() -> None:
    assert "its parts overlap" in fault(overlapping_strips(20_000))


def test_a_strip_that_is_said_to_be_too_long_is_read() -> None:
    where = (273, 4, 1, 8), (279, 4, 1, 35_000_000)
    picture = decode(tiff(*grey_tiff(4, 4, 1, *where), data=bytes(16)))
    assert picture.size == (4, 4)


def test_a_tile_far_larger_than_its_picture_is_refused() -> None:
    assert "60000x60000" in fault(large_tile())


def test_run_lengths_have_fewer_pixels() -> None:
    """Pillow unpacks them in Python."""
    assert "8,000,000 pixels, more than the allowed 5,592,405" in fault(run_lengths(4000, 2000))


@pytest.mark.parametrize(
    ("kind", "mode", "bits"), [("JPEG", "CMYK", 8), ("PNG", "RGB", 16), ("WEBP", "RGB", 8)]
)
def test_costly_kinds_have_fewer_pixels(
    kind: str, mode: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_PIXELS", 16)
    data = encode(Image.new(mode, (4, 4)), kind) if bits == 8 else png(4, 4, bits=16)
    assert "16 pixels, more than the" in fault(data)
    for plain in ("PNG", "TIFF", "JPEG"):
        monkeypatch.setattr(bounds, "MAX_PIXELS", 256)
        assert decode(encode(Image.new("RGB", (16, 16)), plain)).size == (16, 16)


def test_gif_of_thousands_of_frames_costs_one() -> None:
    started = time.process_time()
    assert decode(many_frames(200_000)).size == (4, 4)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("length", "allowed"), [(MAX_BYTES + 1, MAX_BYTES), (AT_ONCE + 1, AT_ONCE)]
)
def test_long_files_are_refused_unread(tmp_path: Path, length: int, allowed: int) -> None:
    path = tmp_path / "a.webp"
    with path.open("wb") as file:
        file.write(b"RIFF\xf0\xff\xff\xffWEBPVP8 " + bytes(20))
        file.truncate(length)  # a hole: it takes no room on the disk
    assert f"{length:,} bytes, more than the allowed {allowed:,}" in fault(path)


def growth(path: Path, out: Path) -> None:
    """Write by how many bytes the memory of this process grows at most while it decodes."""

    def entry(name: str) -> int:
        text = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(re.search(rf"{name}:\s+(\d+)", text)[1])

    decode(path)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")
    before = entry("VmRSS")
    decode(path)
    out.write_text(str(entry("VmHWM") - before), "utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in /proc")
def test_memory_for_a_transparent_picture(tmp_path: Path) -> None:
    """The largest one allowed must stay below a GiB: 12 bytes a pixel."""
    assert 12 * MAX_PIXELS <= 2**30
    path, out = tmp_path / "a.png", tmp_path / "growth"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (4000, 3000), (1, 2, 3, 4)).save(path, exif=exif, compress_level=1)
    process = apart(growth, path, out)
    process.join()
    assert process.exitcode == 0
    assert int(out.read_text("utf-8")) < 12 * 4000 * 3000


@pytest.mark.parametrize("size", [(3000, 700), (9000, 300), (300, 9000)])
def test_laying_on_white_part_by_part_changes_nothing(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    found = np.asarray(decode(encode(Image.fromarray(pixels), "PNG", compress_level=0)))
    colour, opacity = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    expected = 255 + (colour - 255) * opacity / 255
    assert np.abs(found - expected).max() <= 1


# ---- What is no file ----


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (_pipe, "a named pipe, not a file"),
    "socket": (_socket, "a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
    "dangling": (
        lambda path: path.symlink_to("gone.jpg"),
        "a link to 'gone.jpg', which does not exist",
    ),
    "loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "empty": (lambda path: path.touch(), "the file is empty"),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, sockets and links")


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    make, reason = ODD[kind]
    make(tmp_path / "x.jpg")
    assert fault(tmp_path / "x.jpg") == f"{tmp_path / 'x.jpg'}: {reason}"


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pipe(tmp_path / "x.jpg")
    (tmp_path / "y.jpg").touch()
    regular = (tmp_path / "y.jpg").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    assert "a named pipe, not a file" in fault(tmp_path / "x.jpg")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    SMALL.save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert fault(path).endswith("Permission denied")


# ---- Names ----

NAMES = ("-rf.png", "two\nlines.png", "a\ttab.png", "escape\x1b[2J.png", 'say "a, b".png', "é.png")
BYTES_OF_A_NAME = b"\xff\xfe.png"


def odd_names(folder: Path) -> list[str]:
    """Return names that the disk takes: some refuse what is not UTF-8."""
    names = [*NAMES]
    odd = os.fsdecode(BYTES_OF_A_NAME)
    try:
        (folder / odd).touch()
        (folder / odd).unlink()
    except OSError:
        return names
    return [*names, odd]


def test_every_name_is_one_line_in_a_message(tmp_path: Path) -> None:
    for name in odd_names(tmp_path):
        (tmp_path / name).touch()
        assert fault(tmp_path / name) == f"{printable(tmp_path / name)}: the file is empty"
        assert fault(tmp_path / name).isprintable()
    refusing = load_pictures([tmp_path / NAMES[1]], lambda picture: 0, workers=0)
    assert "\n" not in next(iter(refusing)).fault


def test_names_that_differ_in_case_are_different(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data", 10)
    cat = tmp_path / "data" / "red"
    shutil.copy(cat / "00.png", cat / "00.PNG")
    shutil.copytree(cat, tmp_path / "data" / "Red")
    if len(list(cat.iterdir())) < 11:
        pytest.skip("this disk takes no names that differ in case alone")
    dataset = read_dataset(tmp_path / "data", draw=False)
    assert dataset.classes == ("Red", "blue", "green", "red")
    assert dataset.count("all") == (11, 10, 10, 11)
    for sample in dataset.split("all"):
        assert sample.path.parent.name == dataset.classes[sample.label]


@pytest.mark.parametrize("name", ["two\nlines", "bell\a", os.fsdecode(b"\xff")])
def test_a_class_needs_a_printable_name(tmp_path: Path, name: str) -> None:
    write_class_folders(tmp_path, 10)
    (tmp_path / "red").rename(tmp_path / name)
    with pytest.raises(DataError, match="printable") as caught:
        read_dataset(tmp_path)
    assert str(caught.value).isprintable()


# ---- Folders ----


@pytest.mark.parametrize("target", ["..", "../..", "."])
def test_a_class_that_links_to_what_it_lies_in(tmp_path: Path, target: str) -> None:
    root = write_class_folders(tmp_path / "a" / "data", 10)
    (root / "all").symlink_to(target)
    with pytest.raises(DataError, match=r"all' links to a parent folder.*; remove"):
        read_dataset(root)


def test_a_class_that_links_to_another_class(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path, 10)
    (root / "azure").symlink_to("blue")
    with pytest.raises(DataError, match=r"azure' links to 'blue', so the same images"):
        read_dataset(root)


def test_links_below_a_class_to_what_is_read_anyway_are_not_followed(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path, 10)
    (root / "red" / "up").symlink_to("../..")
    (root / "red" / "self").symlink_to("self")
    (root / "red" / "blue.jpg").symlink_to("../blue")
    (root / "nowhere").symlink_to("gone")
    (root / "round").symlink_to("round")
    dataset = read_dataset(root, draw=False)
    assert dataset.classes == ("blue", "green", "red")
    assert dataset.count("all") == (10, 10, 10)
    assert dataset.passed_over.repeated == ["red/blue.jpg", "red/up"]
    assert dataset.passed_over.dangling == ["red/self"]


def test_empty_classes(tmp_path: Path) -> None:
    root = write_splits(tmp_path, train=2, val=2, test=0)
    (root / "train" / "aardvark").mkdir()
    (root / "val" / "zebra").mkdir()
    dataset = read_dataset(root)
    assert dataset.classes == ("blue", "green", "red")
    shutil.copy(root / "val" / "red" / "00.png", root / "val" / "zebra")
    with pytest.raises(DataError, match="there is no training class 'zebra'"):
        read_dataset(root)


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    write_class_folders(tmp_path, 10)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))}: Permission denied$"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt"])
def test_tables_that_are_no_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "wnids.txt").write_text("n01\nn02\n", "utf-8")
    (tmp_path / name).write_bytes(b"n01\tcaf\xe9\n")
    with pytest.raises(DataError, match=rf"{name}: not UTF-8 .*: save it as UTF-8"):
        read_dataset(tmp_path)


# ---- Whole runs ----

QUICK = flags("training.epochs=1", "training.precision=fp32")
LENIENT = flags("training.epochs=2", "training.precision=fp32", "data.unreadable_limit=0.9")


def read_json(path: Path) -> Any:
    return strict_json(path.read_text("utf-8"))


def test_a_run_leaves_out_what_is_no_picture(
    tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    data = write_splits(tmp_path / "data")
    for number, (make, _) in enumerate(ODD.values()):
        make(data / "train" / "red" / f"{number} odd.jpg")
        make(data / "test" / "red" / f"{number} odd.jpg")
    for split in ("train", "val", "test"):
        (data / split / "red" / "two\nlines.png").touch()
    out = tmp_path / "run"
    ended = verydeep("train", data, "--out", out, *LENIENT)
    assert ended.code == 0
    record = read_json(out / "data.json")
    assert record["classes"] == sorted(COLOURS)
    told = [entry.rpartition(": ")[2] for entry in record["unreadable"]]
    expected = [reason for kind, (_, reason) in ODD.items() if kind != "folder"]
    assert told == [*expected, "the file is empty"]
    assert ended.err.count("two\\nlines.png'") == 3
    assert "two\nlines" not in ended.err
    assert all(fault in ended.err for fault in record["unreadable"])
    assert len(read_json(out / "metrics.json")["unreadable"]) == len(expected) + 1


def test_a_run_refuses_too_many_of_them(tmp_path: Path, verydeep: Callable[..., Outcome]) -> None:
    data = write_splits(tmp_path / "data")
    _pipe(data / "train" / "red" / "x.jpg")
    ended = verydeep("train", data, "--out", tmp_path / "run", *QUICK)
    assert ended.code == 2
    assert "1 of 25 training images cannot be read, more than the 1.0%" in ended.err
    assert "x.jpg: a named pipe, not a file" in ended.err
    assert "Traceback" not in ended.err


def _larger(path: Path) -> None:
    Image.new("RGB", (333, 41)).save(path)


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _become_pipe(path: Path) -> None:
    path.unlink()
    _pipe(path)


LATER: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "gone": (Path.unlink, "No such file or directory"),
    "cut off": (_cut_off, "broken or truncated"),
    "a pipe": (_become_pipe, "a named pipe, not a file"),
    "larger": (_larger, None),
}


@pytest.fixture
def after_the_scan(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen between the scan and the training."""

    def prepare(event: Callable[[], object]) -> None:
        real = data_module.scan

        def scan(*arguments: Any, **options: Any) -> Any:
            found = real(*arguments, **options)
            event()
            return found

        monkeypatch.setattr(data_module, "scan", scan)

    return prepare


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_that_change_during_training(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
    workers: int,
) -> None:
    data = write_splits(tmp_path / "data")
    victims = {kind: data / "train" / "red" / f"{n:02}.png" for n, kind in enumerate(LATER)}
    tested = {kind: data / "val" / "blue" / f"{n:02}.png" for n, kind in enumerate(LATER)}

    def spoil() -> None:
        for kind, (change, _) in LATER.items():
            change(victims[kind])
            change(tested[kind])

    after_the_scan(spoil)
    out = tmp_path / "run"
    ended = verydeep(*("train", data, "--out", out, *LENIENT, "--set", f"data.workers={workers}"))
    assert ended.code == 0, ended.err
    told = sorted(read_json(out / "metrics.json")["unreadable_in_training"])
    expected = [(victims[kind], reason) for kind, (_, reason) in LATER.items() if reason]
    assert len(told) == len(expected)
    for entry, (path, reason) in zip(told, expected, strict=True):
        assert entry.startswith(f"{path}: {reason}")
    for kind, (_, reason) in LATER.items():
        line = f"left out of validation: {tested[kind].relative_to(data)}"
        assert ended.err.count(line) == (1 if reason else 0)
    assert ended.err.count("left out of validation") == len(expected)
    for entry in told:
        assert ended.err.count(f"unreadable, skipped in training: {entry}\n") == 1
    assert ended.err.count("skipped in training") == len(expected)


def test_of_many_that_vanish_during_training_the_first_are_said(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
) -> None:
    data = write_splits(tmp_path / "data")
    victims = sorted((data / "train").glob("*/*.png"))[:13]
    after_the_scan(lambda: [path.unlink() for path in victims])
    ended = verydeep("train", data, "--out", tmp_path / "run", *LENIENT)
    assert ended.code == 0, ended.err
    assert len(read_json(tmp_path / "run" / "metrics.json")["unreadable_in_training"]) == 13
    assert ended.err.count("skipped in training") == 10
    assert ended.err.count("more unreadable images will be listed in metrics.json\n") == 1


def test_too_many_that_break_during_training_end_it(
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
    after_the_scan: Callable[[Callable[[], object]], None],
) -> None:
    data = write_splits(tmp_path / "data")
    after_the_scan((data / "train" / "red" / "03.png").unlink)
    ended = verydeep("train", data, "--out", tmp_path / "run", *QUICK)
    assert ended.code == 2
    assert "1 of 24 training images cannot be read" in ended.err
    assert "03.png: No such file or directory" in ended.err
    assert "Traceback" not in ended.err


def test_odd_names_come_through_files_and_output(
    tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    data = write_splits(tmp_path / "data")
    names = odd_names(tmp_path)
    for name in names:
        for split in ("train", "test"):
            shutil.copy(data / split / "red" / "00.png", data / split / "red" / name)
    run = tmp_path / "run"
    assert verydeep("train", data, "--out", run, *QUICK).code == 0
    assert verydeep("evaluate", run, "--out", tmp_path / "tests").code == 0
    with (tmp_path / "tests" / "posteriors.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = {row["file"]: row["class"] for row in rows}
    assert len(rows) == len(classes) == 12 + len(names)
    for name in names:
        written = name.encode("utf-8", "backslashreplace").decode()
        assert classes[f"test/red/{written}"] == "red"
    for name in names:
        (data / "test" / "red" / name).write_bytes(b"")
    predicted = verydeep("predict", run, data / "test" / "red", "--json")
    unreadable = strict_json(predicted.out)["unreadable"]
    assert sorted(unreadable) == sorted(str(data / "test" / "red" / name) for name in names)
    assert len(predicted.err.splitlines()) == 1 + len(names)
    listed = verydeep("predict", run, data / "test" / "red", "--csv")
    table = list(csv.DictReader(io.StringIO(listed.out)))
    assert len(table) == 4 + len(names)
    text = verydeep("predict", run, data / "train" / "red")
    assert "two\\nlines.png" in text.out
    assert "\x1b" not in text.out


# ---- Damage by chance ----

TURNED = Image.Exif()
TURNED[0x0112] = 6
SEEDS = (
    encode(SMALL, "JPEG", exif=TURNED),
    encode(SMALL, "JPEG", progressive=True),
    encode(SMALL, "PNG", exif=TURNED),
    encode(SMALL.quantize(8), "PNG", transparency=2),
    encode(SMALL, "WEBP", lossless=True, exif=TURNED),
    encode(SMALL, "WEBP", save_all=True, append_images=[SMALL.convert("RGBA")]),
    encode(SMALL, "BMP"),
    encode(SMALL.quantize(8), "BMP"),
    encode(SMALL, "GIF", save_all=True, append_images=[SMALL.rotate(180)]),
    encode(SMALL, "TIFF", exif=TURNED),
    encode(SMALL, "TIFF", compression="tiff_lzw"),
    encode(SMALL, "TIFF", compression="tiff_adobe_deflate"),
)

EDITS = edits(SEEDS)


def becomes(data: bytes) -> Image.Image | PictureError:
    try:
        return decode(data, max_pixels=1_000_000)
    except PictureError as error:
        return error


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(EDITS, min_size=1, max_size=6))
def test_whatever_is_done_to_a_file(seed: bytes, harm: list[Edit]) -> None:
    """An image in RGB or a PictureError: nothing else is raised, nothing is warned of."""
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        found = becomes(mutate(seed, harm))
    assert not leaked
    if isinstance(found, PictureError):
        assert str(found).startswith("<bytes>: ")
    else:
        assert found.mode == "RGB"
        assert min(found.size) > 0
        assert not found.info


def test_a_bomb_is_told_the_bound_that_holds() -> None:
    # Pillow's own refusal names twice as many.
    assert fault(VAST["png"]) == (
        "<bytes>: 3,600,000,000 pixels, more than the allowed 89,478,485; make it smaller"
    )
