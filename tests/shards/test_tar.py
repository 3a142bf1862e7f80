"""Archives from other programs, broken ones, and hostile ones."""

from __future__ import annotations

import io
import pickle
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shards.made import png, samples, write_tar
from verydeep.data.geometry import Box
from verydeep.data.shards.index import index_shard, order_by_name
from verydeep.data.shards.tar import TarPicture, TarReader, pictures_in_shard, usual_header
from verydeep.errors import DataError


def read(data: bytes) -> list[TarPicture | None]:
    return list(pictures_in_shard(io.BytesIO(data), "s.tar", lambda number: True))


def written(
    parts: list[tuple[str, bytes]], tmp_path: Path, form: int = tarfile.PAX_FORMAT
) -> bytes:
    return write_tar(tmp_path / "s.tar", parts, form).read_bytes()


class Pipe(io.BytesIO):
    """A stream that cannot go back or ahead."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")


names = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=300
).filter(lambda name: name.strip("/") and not name.endswith("/"))


@example([("\x80\n", b"")], tarfile.PAX_FORMAT, False)
@given(
    st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.booleans(),
)
def test_files_are_those_that_tarfile_finds(
    parts: list[tuple[str, bytes]], form: int, pipe: bool
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in parts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = buffer.getvalue()
    reader = TarReader(Pipe(data) if pipe else io.BytesIO(data), "s.tar")
    found = [(file.name, reader.read(file)) for file in reader.files()]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(info.name, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]
    assert found == expected
    again = TarReader(Pipe(data) if pipe else io.BytesIO(data), "s.tar")
    assert [data[f.offset : f.offset + f.size] for f in again.files()] == [d for _, d in expected]


def test_a_sample_is_its_picture_its_class_and_its_box(tmp_path: Path) -> None:
    parts = [
        ("a/1.cls", b" 3\n"),
        ("a/1.jpg", b"picture"),
        ("a/1.box", b"1 2.5 3 4\n5 6 7 8"),
        ("b/1.PNG", b"other"),
        ("b/1.label", "Bär".encode()),
    ]
    first, second = read(written(parts, tmp_path))
    assert first is not None
    assert second is not None
    assert first[0] == "a/1.jpg"
    assert first[3:] == ("3", (Box(1, 2.5, 3, 4), Box(5, 6, 7, 8)), b"picture")
    assert (second.name, second.label, second.boxes, second.data) == (
        "b/1.PNG",
        "Bär",
        (),
        b"other",
    )


def test_half_a_sample_is_none(tmp_path: Path) -> None:
    parts = [("1.jpg", b"x"), ("2.cls", b"0"), ("3.txt", b"a cat"), *samples([4])]
    assert [picture is None for picture in read(written(parts, tmp_path))] == [True] * 3 + [False]


@pytest.mark.parametrize("part", ["png", "PNG", "cls", "box"])
def test_a_part_that_comes_twice_is_refused_by_name(part: str, tmp_path: Path) -> None:
    sample = [("000.png", b"x"), ("000.cls", b"0"), ("000.box", b"1 2 3 4")]
    data = written([*sample, (f"000.{part}", b"1")], tmp_path)
    with pytest.raises(DataError, match=rf"s\.tar/000\.{part}: the \.{part.lower()} of one sample"):
        read(data)


def test_every_image_of_a_key_without_a_sample_is_counted(tmp_path: Path) -> None:
    parts = [(f"IMG.{n}.{part}", b"1") for n in range(5) for part in ("png", "cls")]
    assert read(written(parts, tmp_path)) == [None] * 5


def test_only_wanted_pictures_are_read(tmp_path: Path) -> None:
    data = written(samples(range(4)), tmp_path)
    found = list(pictures_in_shard(io.BytesIO(data), "s.tar", lambda number: number == 2))
    assert [picture and picture.data for picture in found] == [None, None, png(2), None]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("it was unpickled",))

    trap = pickle.dumps(Trap())
    parts = [*samples([1]), ("00001.pyd", trap), ("00001.pickle", trap), ("00001.json", b"{")]
    (picture,) = read(written(parts, tmp_path))
    assert picture is not None
    assert picture.data == png(1)


def test_an_image_counts_without_the_extra_that_reads_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", [("1.heic", b"x"), ("1.cls", b"0"), *samples([2])])
    script = (  # in a process of its own, where the extra is not installed
        "import sys\n"
        "sys.modules['pillow_heif'] = None\n"
        "from verydeep.data.shards.index import index_shard\n"
        "found = index_shard(sys.argv[1])\n"
        "print(*found.names, found.incomplete)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "s.tar"], capture_output=True, check=True
    )
    assert ran.stdout.split() == [b"1.heic", b"00002.png", b"0"]


@pytest.mark.parametrize("name", ["../../etc/cron.d/x.png", "/etc/passwd.png"])
def test_names_lead_nowhere(tmp_path: Path, name: str) -> None:
    parts = [(name, png(5)), (name.replace(".png", ".cls"), b"1")]
    (picture,) = read(written(parts, tmp_path))
    assert picture is not None
    assert picture.data == png(5)
    assert list(tmp_path.iterdir()) == [tmp_path / "s.tar"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_hold_nothing(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(7))
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = kind, str(secret)
        archive.addfile(info)
        label = tarfile.TarInfo("1.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"0"))
    assert read((tmp_path / "s.tar").read_bytes()) == [None]


def test_a_link_that_claims_a_size_has_no_bytes(tmp_path: Path) -> None:
    info = tarfile.TarInfo("1.png")
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "x", 10**9
    head = info.tobuf(tarfile.USTAR_FORMAT)
    (picture,) = read(head + written(samples([3]), tmp_path))
    assert picture is not None
    assert picture.data == png(3)


@pytest.mark.parametrize("size", [b" " * 12, bytes(12), b"0" * 11 + b" ", b" " * 11 + b"\0"])
def test_a_size_of_nothing_is_none_as_tarfile_has_it(size: bytes) -> None:
    head = bytearray(_header(0, tarfile.REGTYPE))
    head[124:136] = size
    _mend(head, 0)
    whole = bytes(head) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        expected = [(info.name, info.size) for info in archive]
    found = TarReader(io.BytesIO(whole), "s.tar").files()
    assert [(file.name, file.size) for file in found] == expected == [("x", 0)]


def _header(size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _record(text: bytes) -> bytes:
    """Return a file after an extended header of one record."""
    record = b"%d %s\n" % (len(text) + 4, text)
    assert len(record) == len(text) + 4
    head = _header(len(record), tarfile.XHDTYPE) + record.ljust(512, b"\0")
    return head + _header(3, tarfile.REGTYPE) + bytes(512)


@pytest.mark.parametrize("form", [io.BytesIO, Pipe])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b" + bytes(600), "is compressed"),
        (b"PK\x03\x04" + bytes(600), "not a tar archive"),
        (_header(10**9, tarfile.XHDTYPE), "a name of 1,000,000,000 bytes"),
        (_header(10**9, tarfile.GNUTYPE_LONGNAME), "a name of 1,000,000,000 bytes"),
        (_header(6, tarfile.XHDTYPE) + b"x a=b\n".ljust(512, b"\0"), "broken extended header"),
        (_header(6, tarfile.XHDTYPE) + b"0 a=b\n".ljust(512, b"\0"), "broken extended header"),
        (_header(900, tarfile.REGTYPE) + bytes(512), "truncated before byte 1,412"),
        (_header(-1, tarfile.REGTYPE) + bytes(512), "broken at byte 512: a file of -1 bytes"),
        (_header(-600, tarfile.XHDTYPE) + bytes(512), "a name of -600 bytes"),
        (_header(2**70, tarfile.REGTYPE) + bytes(512), "truncated before byte 1,180,591,620,"),
        (_record(b"size=-3"), r"broken extended header \(a file of -3 bytes\)"),
        (_record(b"size=%d" % 2**80), "truncated before byte 1,208,925,819,"),
    ],
)
def test_broken_archives_are_refused_in_one_line(
    data: bytes, message: str, form: Callable[[bytes], BinaryIO]
) -> None:
    if form is Pipe:  # nothing tells where it ends before it does
        message = message.partition(" byte 1,")[0]
    with pytest.raises(DataError, match=rf"^s\.tar: .*{message}") as caught:
        list(pictures_in_shard(form(data), "s.tar", lambda number: True))
    assert "\n" not in str(caught.value)


def test_a_class_must_be_a_short_text(tmp_path: Path) -> None:
    for content, message in ((b"9" * 5000, "too long for a class"), (b"\xff", "not UTF-8")):
        with pytest.raises(DataError, match=rf"s\.tar/1\.cls: .*{message}"):
            read(written([("1.png", png(1)), ("1.cls", content)], tmp_path))


def test_a_box_must_be_four_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"s\.tar/1\.box: a box must be four numbers"):
        read(written([*samples([]), ("1.cls", b"0"), ("1.box", b"1 2 3")], tmp_path))


def _headers(data: bytes) -> list[int]:
    """Return where the headers of an archive begin."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [start for info in archive for start in range(info.offset, info.offset_data, 512)]


def _mend(data: bytearray, start: int) -> None:
    """Give a header the checksum that it should have."""
    header = data[start : start + 512]
    header[148:156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(header)


def _harmed(good: bytes, starts: list[int], chance: random.Random) -> bytes:
    data = bytearray(good)
    for _ in range(chance.randint(1, 6)):
        start = chance.choice(starts)
        # Half of the edits hit a size or a kind, which lead furthest.
        place = chance.choice([chance.randrange(512), *range(124, 136), 156, 156])
        data[start + place] = chance.choice([0, 48, 55, 128, 255, chance.randrange(256)])
        if chance.random() < 0.1:
            data[start + 124 : start + 136] = chance.choice([b"\xff", b"\x80"]) * 12
        _mend(data, start)
    del data[chance.randrange(1, len(data)) if chance.random() < 0.2 else len(data) :]
    return bytes(data)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_whatever_the_headers_say_it_ends_in_samples_or_one_message(
    tmp_path: Path, form: int
) -> None:
    long = "é" * 120  # has a header of its own for its name
    parts = [*samples(range(4)), (f"{long}.png", png(5)), (f"{long}.cls", b"1")]
    good = written(parts, tmp_path, form)
    starts, chance = _headers(good), random.Random(0)
    outcomes, messages = set(), set()
    for number in range(1500):
        data = _harmed(good, starts, chance)
        stream = Pipe(data) if number % 3 == 0 else io.BytesIO(data)
        try:
            found = list(pictures_in_shard(stream, "s.tar", lambda number: number % 2 == 0))
            outcomes.add(len(found))
            sizes = [len(one.data) for one in found if one and one.data is not None]
            assert sum(sizes) <= len(data)
        except DataError as error:
            messages.add(re.sub(r"[-\d,]+|\(.*\)|/.*", "", str(error)))
    assert {5, 6} <= outcomes
    assert {
        "s.tar: broken at byte : a file of  bytes; write or download it again",
        "s.tar: a name of  bytes; it is broken",
    } <= (messages)
    assert len(messages) >= 6
    assert all(message.startswith("s.tar") for message in messages)


def test_an_index_of_odd_sizes_raises_nothing(tmp_path: Path) -> None:
    for size in (-1, -(2**80), 2**62, 2**64, 2**80):
        (tmp_path / "s.tar").write_bytes(_header(size, tarfile.REGTYPE) + bytes(1024))
        assert str(index_shard(str(tmp_path / "s.tar")).fault).startswith(f"{tmp_path}/s.tar: ")


def test_an_index_says_what_is_wrong_instead_of_raising(tmp_path: Path) -> None:
    assert "cannot be opened" in str(index_shard(str(tmp_path / "none.tar")).fault)
    (tmp_path / "bad.tar").write_bytes(b"?" * 2048)
    assert "not a tar archive" in str(index_shard(str(tmp_path / "bad.tar")).fault)
    assert "directory" in str(index_shard(str(tmp_path)).fault)


TYPES = st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE])


@given(
    names.map(lambda name: name[:90]),
    st.integers(0, 8**11 - 1),
    TYPES,
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]),
    st.dictionaries(st.integers(0, 511), st.integers(0, 255), max_size=3),
    st.booleans(),
)
def test_a_header_read_the_quick_way_is_what_tarfile_reads(
    name: str, size: int, kind: bytes, form: int, changed: dict[int, int], mended: bool
) -> None:
    info = tarfile.TarInfo("a" if len(name.encode()) > 100 else name)
    info.size, info.type = size, kind
    block = bytearray(info.tobuf(form, "utf-8", "surrogateescape"))
    for place, value in changed.items():
        block[place] = value
    if mended:
        total = sum(block[:148]) + 8 * 32 + sum(block[156:])
        block[148:156] = b"%06o\0 " % total
    found = usual_header(bytes(block))
    if not changed:
        assert (found is not None) == (kind == tarfile.REGTYPE)
    if found is not None:
        try:
            known = tarfile.TarInfo.frombuf(bytes(block), "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            # Fields that nobody looks at, like the owner's number, are broken.
            assert any(100 <= place < 124 or place >= 136 for place in changed)
            return
        assert found == (known.type, known.name, known.size)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12 - 1) | st.integers(0, 3), st.sampled_from("ab")),
        max_size=8,
    ),
    st.lists(st.text(st.sampled_from("0123456789-ab"), max_size=14), max_size=1),
)
def test_names_are_put_in_order_as_texts_are(
    numbers: list[tuple[int, str]], odd: list[str]
) -> None:
    names = [f"{number:012}-{word}" for number, word in numbers] + odd
    assert [names[number] for number in order_by_name(names)] == sorted(names)
