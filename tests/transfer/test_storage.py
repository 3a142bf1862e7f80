"""Feature files: round trips with our reader and others; invalid files are rejected."""

from __future__ import annotations

import contextlib
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transfer.made import about
from verydeep.errors import DataError, InputError, MissingExtra
from verydeep.transfer.extract import FeaturePart
from verydeep.transfer.storage import read_features, write_features

pytest.importorskip("pyarrow")

BOTH = pytest.mark.parametrize("ending", [".parquet", ".npz"])


def parts() -> list[FeaturePart]:
    """Return two splits in three parts, one of which has only unreadable images."""
    numbers = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    return [
        FeaturePart("train", ("cat/1.png", "cat/ü .png"), ("cat", "cat"), numbers[:2], ("x.png",)),
        FeaturePart("train", (), (), numbers[:0], ("y.png", "z.png")),
        FeaturePart("test", ("1.png", "2.png", "3.png"), ("dog", "cat", "dog"), numbers[2:]),
    ]


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """Write the same features to a file of each format."""
    files = {ending: tmp_path / f"features{ending}" for ending in (".parquet", ".npz")}
    for path in files.values():
        write_features(path, iter(parts()), about())
    return files


@BOTH
def test_what_is_written_is_read(written: dict[str, Path], ending: str) -> None:
    found = read_features(written[ending])
    assert found.files.tolist() == ["cat/1.png", "cat/ü .png", "1.png", "2.png", "3.png"]
    assert found.splits.tolist() == ["train"] * 2 + ["test"] * 3
    assert found.labels.tolist() == ["cat", "cat", "dog", "cat", "dog"]
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, np.concatenate([p.vectors for p in parts()]))
    assert found.about == replace(about(), unreadable=("x.png", "y.png", "z.png"))
    assert found.split("test").files.tolist() == ["1.png", "2.png", "3.png"]
    assert found.split_names == ("train", "test")
    assert len(found) == 5


def test_pyarrow_reads_the_parquet_file(written: dict[str, Path]) -> None:
    from pyarrow import parquet

    table = parquet.read_table(written[".parquet"])
    assert table.column_names == ["file", "split", "label", "vector"]
    np.testing.assert_array_equal(
        np.array(table["vector"].to_pylist(), np.float32),
        np.concatenate([p.vectors for p in parts()]),
    )
    metadata = parquet.read_metadata(written[".parquet"]).metadata
    assert json.loads(metadata[b"verydeep"])["layer"] == "fc7"


def test_numpy_reads_the_npz_file(written: dict[str, Path]) -> None:
    with np.load(written[".npz"], allow_pickle=False) as arrays:
        assert arrays["vector"].shape == (5, 8)
        assert arrays["vector"].dtype == np.float32
        assert arrays["label"].tolist() == ["cat", "cat", "dog", "cat", "dog"]
        assert json.loads(str(arrays["about"]))["scales"] == [64, 96]


def test_names_of_any_length_in_all_fit_into_an_npz_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)  # instead of 2 GiB
    write_features(tmp_path / "a.npz", iter(parts()), about())
    assert read_features(tmp_path / "a.npz").files[0] == "cat/1.png"


@BOTH
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, ending: str) -> None:
    def broken() -> Iterator[FeaturePart]:
        yield parts()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / f"features{ending}", broken(), about())
    assert list(tmp_path.iterdir()) == []


# ---- what is refused ----


@pytest.mark.parametrize("name", ["features.csv", "features", "features.parquet.gz"])
def test_other_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"features are written as \.parquet or \.npz, got"):
        write_features(tmp_path / name, parts(), about())
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"feature files end in \.parquet or \.npz"):
        read_features(tmp_path / name)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_features(tmp_path / "x.npz", parts(), about())


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_features(tmp_path / "file" / "x.npz", parts(), about())


def test_without_pyarrow_the_install_line_and_the_other_kind_are_named(
    written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = r"features\.parquet: Parquet \(\.npz does not\) needs an extra: pip install"
    with pytest.raises(MissingExtra, match=message):
        write_features(written[".parquet"], parts(), about())
    with pytest.raises(MissingExtra, match=message):
        read_features(written[".parquet"])
    assert len(read_features(written[".npz"])) == 5


@BOTH
def test_no_file(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match="no such file; verydeep features writes one"):
        read_features(tmp_path / f"features{ending}")


@BOTH
@pytest.mark.parametrize("length", [0, 100, -40])
def test_a_file_that_is_cut_off(written: dict[str, Path], ending: str, length: int) -> None:
    path = written[ending]
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="cannot be read"):
        read_features(path)


@BOTH
def test_text_under_the_name(written: dict[str, Path], ending: str) -> None:
    written[ending].write_text("file,label\n" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        read_features(written[ending])


def test_files_of_another_kind(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    np.savez(tmp_path / "x.npz", vector=np.zeros((2, 3)))
    parquet.write_table(pyarrow.table({"vector": [[1.0], [2.0]]}), tmp_path / "x.parquet")
    for path in tmp_path.iterdir():
        with pytest.raises(DataError, match="not written by verydeep features"):
            read_features(path)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    array = np.array([print], dtype=object)
    np.savez(tmp_path / "x.npz", about=array, vector=array)
    with pytest.raises(DataError, match=r"cannot be read .*allow_pickle=False"):
        read_features(tmp_path / "x.npz")


def test_a_damaged_file_that_was_packed_again(written: dict[str, Path], tmp_path: Path) -> None:
    packed = tmp_path / "packed.npz"
    with zipfile.ZipFile(written[".npz"]) as old:
        for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            with zipfile.ZipFile(packed, "w", kind) as new:
                for name in old.namelist():
                    new.writestr(name, old.read(name))
            assert len(read_features(packed)) == 5
            whole = packed.read_bytes()
            for place in range(0, len(whole), 3):
                packed.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
                with contextlib.suppress(DataError):
                    read_features(packed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"about": "[]"}, "invalid metadata about its vectors"),
        ({"about": "no JSON"}, "cannot be read"),
        ({"about": json.dumps(about().to_dict() | {"format": 2})}, "written in format 2"),
        ({"about": json.dumps(about().to_dict() | {"scales": "x"})}, r"vectors \(scales: Input"),
        ({"vector": np.zeros((5, 7), np.float32)}, r"vectors of shape \(5, 7\) for 5 files of 8"),
        ({"vector": np.zeros((4, 8), np.float32)}, r"vectors of shape \(4, 8\) for 5 files of 8"),
        ({"label": np.array(["cat"])}, r"vectors of shape \(5, 8\) for 5 files"),
        ({"label": np.full((5, 1), "cat")}, r"vectors of shape \(5, 8\) for 5 files"),
        ({"file": np.array("a.png")}, r"vectors of shape \(5, 8\) for 1 file of"),
        ({"vector": np.array(1.0)}, r"vectors of shape \(\) for 5 files"),
        ({"vector": np.full((5, 8), np.nan, np.float32)}, "infinite values or NaN"),
        ({"vector": np.array("text")}, "vectors must be floats, got <U4"),
        ({"label": None}, "cannot be read"),
    ],
)
def test_files_that_contradict_themselves(
    written: dict[str, Path], change: dict, message: str
) -> None:
    with np.load(written[".npz"]) as arrays:
        changed = {**arrays, **change}
    with zipfile.ZipFile(written[".npz"], "w") as archive:  # savez takes no array named "file"
        for name in [name for name, array in changed.items() if array is not None]:
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(changed[name]))
    with pytest.raises(DataError, match=message):
        read_features(written[".npz"])
