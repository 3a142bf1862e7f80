"""Lists of images for bulk work: every kind of source, in a fixed order."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from verydeep.data.images.decode import decode
from verydeep.data.images.inputs import list_pictures
from verydeep.data.listing.listing import Listing, Places
from verydeep.data.listing.read import list_images
from verydeep.data.listing.remote_image import RemoteImage, Unreadable
from verydeep.errors import DataError, PictureError


def colour(number: int) -> tuple[int, int, int]:
    return (number, 255 - number, 7 * number % 256)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images that are told apart by their colours, as a relative path."""
    for number in range(6):
        path = tmp_path / "photos" / ("b" if number % 2 else "a") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8), colour(number)).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("none of them")
    monkeypatch.chdir(tmp_path)
    return Path("photos")


def pack(path: Path, files: list[Path]) -> Path:
    with tarfile.open(path, "w") as archive:
        for file in files:
            archive.add(file, f"./{file.parent.name}/{file.name}")
    return path


def colours(listing: Listing) -> list[tuple[int, ...]]:
    return [decode(source).getpixel((0, 0)) for source in listing.part(range(len(listing)))[1]]


def test_a_folder_is_listed_as_predict_lists_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = list_images("photos")
    assert list(listing.names) == [str(path) for path in list_pictures("photos")]
    monkeypatch.chdir(tmp_path.parent)  # an actor works in another folder
    assert colours(listing) == [colour(number) for number in (0, 2, 4, 1, 3, 5)]


def test_a_pattern_of_images(photos: Path) -> None:
    listing = list_images("photos/{b,a}/[0-3].png")
    assert [Path(name).stem for name in listing.names] == ["1", "3", "0", "2"]
    assert list_images("photos/a/0.png").part(range(1))[0] == ["photos/a/0.png"]


def test_two_stars_are_any_folders_and_no_image_is_listed_twice(
    photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (9, 8)).save(photos / "9.png")
    (photos / "a" / "above").symlink_to("..")  # as in a shell, not followed
    everywhere = ["a/0", "a/2", "a/4", "b/1", "b/3", "b/5"]
    for pattern, found in {
        "photos/**/*.png": ["9", *everywhere],
        f"{tmp_path}/photos/**/*.png": ["9", *everywhere],
        "**/b/*.png": everywhere[3:],
        "photos/{1,**/}/*.png": ["9", *everywhere],
        "photos/a/{0,*}.png": everywhere[:3],
    }.items():
        names = [Path(name).absolute() for name in list_images(pattern).names]
        assert sorted(names) == [tmp_path / "photos" / f"{name}.png" for name in sorted(found)]


def test_a_tilde_is_the_home_folder_where_it_is_given_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "photos"))
    odd = photos / "a" / "~$0.png"
    (photos / "a" / "0.png").rename(odd)
    write_table(photos / "list.csv", ["a/~$0.png", "~/a/2.png"], "file")
    assert list_images("~/a/2.png").sources[0] == tmp_path / "photos" / "a" / "2.png"
    monkeypatch.chdir(photos / "a")
    for source in (".", "*.png", odd.name):
        assert tmp_path / odd in [Path(one) for one in list_images(source).sources]  # type: ignore[arg-type]
    rows = list_images("~/list.csv").sources
    assert [rows[0], rows[1]] == [tmp_path / odd, tmp_path / "photos" / "~/a/2.png"]
    with pytest.raises(DataError, match="~nobody_there/pets: no such file or folder"):
        list_images("~nobody_there/pets")


def test_shards_need_no_classes_and_are_read_by_offset(photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    pack(Path("x-0.tar"), files[:4])
    pack(Path("x-1.tar"), [photos / "notes.txt", *files[4:]])
    listing = list_images("x-{0..1}.tar")
    assert listing.kind == "shards"
    assert list(listing.names)[3:5] == ["x-0.tar/./b/1.png", "x-1.tar/./b/3.png"]
    assert colours(listing) == [decode(file).getpixel((0, 0)) for file in files]
    with tarfile.open("x-0.tar") as archive:  # the standard library finds the same bytes
        first = archive.extractfile(archive.getmembers()[0])
        assert first is not None
        assert listing.sources[0].read() == first.read()  # type: ignore[union-attr]


def test_a_folder_of_shards(photos: Path) -> None:
    Path("shards").mkdir()
    pack(Path("shards/x-0.tar"), sorted(photos.rglob("*.png")))
    assert len(list_images("shards")) == 6


def write_table(path: Path, names: list[str | None], column: str) -> None:
    match path.suffix:
        case ".csv" | ".tsv":
            sign = "," if path.suffix == ".csv" else "\t"
            rows = [sign.join(("id", column)), *(f"7{sign}{name or ''}" for name in names)]
            path.write_text("\n".join(rows) + "\n", "utf-8")
        case ".jsonl":
            lines = [json.dumps({"id": 7, column: name}) for name in names]
            path.write_text("\n".join(lines) + "\n", "utf-8")
        case ".parquet":
            pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
            from pyarrow import parquet

            parquet.write_table(pa.table({"id": [7] * len(names), column: names}), path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_column_of_a_table(suffix: str, photos: Path, tmp_path: Path) -> None:
    whole = str(tmp_path / "photos/b/5.png")
    names = ["a/4.png", whole, None, "s3://bucket/6.png", "a/4.png"]
    table = photos / f"list{suffix}"
    write_table(table, names, "Image Path")
    listing = list_images(table)
    assert list(listing.names) == [name or "" for name in names]  # a row may be there twice
    places = listing.part(range(5))[1]
    assert [decode(places[row]).getpixel((0, 0)) for row in (0, 1)] == [colour(4), colour(5)]
    assert isinstance(places[2], Unreadable)
    assert places[3] == RemoteImage("s3://bucket/6.png")
    assert list_images(table, column="Image Path").digest() == listing.digest()


def test_a_row_without_an_image_has_a_reason() -> None:
    with pytest.raises(PictureError, match=r"^row: names no image$"):
        decode(Places("/", [""])[0])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_that_is_not_there(suffix: str, photos: Path) -> None:
    table = photos / f"list{suffix}"
    write_table(table, ["a/4.png"], "photo_at")
    with pytest.raises(DataError, match=r"no column has a usual name of paths .*photo_at.*column="):
        list_images(table)
    with pytest.raises(DataError, match=r"no column 'photo_it'; .* did you mean 'photo_at'"):
        list_images(table, column="photo_it")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("photos/*.gif", "no such shards, and no file or folder"),
        ("empty", "empty: no images and no shards in this folder"),
        ("broken.tar", "not a tar archive"),
        ("{broken.tar,photos/a/0.png}", "files of several kinds"),
        ("numbers.jsonl", "numbers.jsonl, row 1: must be text, got 7"),
        ("list.jsonl", "list.jsonl, line 1: must be an object"),
    ],
)
def test_sources_without_images(source: str, said: str, photos: Path) -> None:
    Path("empty").mkdir()
    Path("broken.tar").write_bytes(b"x" * 2000)
    Path("numbers.jsonl").write_text('{"file": 7}')
    Path("list.jsonl").write_text("[1]")
    with pytest.raises(DataError, match=said):
        list_images(source)


def test_a_column_belongs_to_a_table(photos: Path) -> None:
    with pytest.raises(DataError, match=r"column= is of tables \(\.parquet, .*photos is none"):
        list_images("photos", column="file")


def test_another_list_has_another_digest(photos: Path) -> None:
    before = list_images("photos").digest()
    assert list_images("photos").digest() == before
    (photos / "a" / "0.png").rename(photos / "a" / "9.png")
    assert list_images("photos").digest() != before


def test_shards_of_other_sizes_have_another_digest(photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    before = list_images(pack(Path("x.tar"), files)).digest()
    Image.new("RGB", (90, 80)).save(files[0])
    assert list_images(pack(Path("x.tar"), files)).digest() != before
