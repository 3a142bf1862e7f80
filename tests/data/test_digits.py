"""The built-in digits: images, splits and folder."""

from __future__ import annotations

import csv
import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from verydeep.data.builtin import digits
from verydeep.data.builtin.digits import COUNTS, Digit, digits_folder, make_digits
from verydeep.data.images.decode import decode
from verydeep.errors import DataError, DiskError

FEW = {"train": 100, "val": 20, "test": 30}


@pytest.fixture(scope="module")
def whole() -> list[Digit]:
    return list(make_digits(0))


@pytest.fixture(scope="module")
def folder(whole: list[Digit], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "make_digits", lambda seed: iter(whole))
        return digits_folder(0, cache=tmp_path_factory.mktemp("cache"))


def few(seed: int) -> Iterator[Digit]:
    return make_digits(seed, FEW)


def bytes_of(pictures: Iterator[Digit] | list[Digit]) -> list[tuple[bytes, object]]:
    return [(p.pixels.tobytes(), (p.label, p.split, p.original, p.use, p.box)) for p in pictures]


# The drawn set.


def test_counts_and_classes(whole: list[Digit]) -> None:
    assert Counter(p.split for p in whole) == COUNTS == {"train": 4000, "val": 600, "test": 1000}
    for split, count in COUNTS.items():
        labels = Counter(p.label for p in whole if p.split == split)
        assert labels == dict.fromkeys(range(10), count // 10)


def test_no_digit_is_in_two_splits(whole: list[Digit]) -> None:
    used = {split: {p.original for p in whole if p.split == split} for split in COUNTS}
    assert {split: len(own) for split, own in used.items()} == {
        "train": 1197,
        "val": 300,
        "test": 300,
    }
    assert len(used["train"] | used["val"] | used["test"]) == 1797


def test_held_out_digits_are_stratified(whole: list[Digit]) -> None:
    for split in ("val", "test"):
        pairs = {(p.original, p.label) for p in whole if p.split == split}
        assert Counter(label for _, label in pairs) == dict.fromkeys(range(10), 30)


def test_digits_are_used_equally_often(whole: list[Digit]) -> None:
    for split, often in {"train": {3, 4}, "val": {2}, "test": {3, 4}}.items():
        uses = Counter(p.original for p in whole if p.split == split)
        assert set(uses.values()) == often
    assert len({(p.original, p.use) for p in whole}) == len(whole)


def test_labels_are_those_of_scikit_learn(whole: list[Digit]) -> None:
    truth = load_digits().target
    assert all(p.label == truth[p.original] for p in whole)


def test_pictures_are_whole_and_all_different(whole: list[Digit]) -> None:
    assert all(p.pixels.shape == (64, 64, 3) and p.pixels.dtype == np.uint8 for p in whole)
    assert len({p.pixels.tobytes() for p in whole}) == len(whole)


def test_boxes_lie_inside_and_vary(whole: list[Digit]) -> None:
    boxes = np.array([p.box for p in whole])
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    sizes, centres = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    assert sizes[:, 1].min() >= 20
    assert sizes[:, 1].max() <= 46
    assert sizes.min() >= 3
    assert (centres.std(0) > 5).all()


def test_same_seed_same_bytes() -> None:
    assert bytes_of(few(3)) == bytes_of(few(3))
    assert bytes_of(few(3)) != bytes_of(few(4))


def test_seed_changes_the_splits_too() -> None:
    held_out = [{p.original for p in make_digits(seed, {"test": 300})} for seed in (0, 1)]
    assert held_out[0] != held_out[1]


def test_a_picture_depends_on_its_number_alone(whole: list[Digit]) -> None:
    first = [p for split, n in FEW.items() for p in [q for q in whole if q.split == split][:n]]
    assert bytes_of(few(0)) == bytes_of(first)
    assert bytes_of(make_digits(0, {"test": 30})) == bytes_of(first[-30:])


def test_training_patches_come_from_elsewhere() -> None:
    assert set(digits.STRIPS) == set(COUNTS)
    assert digits.STRIPS["val"][1] <= digits.STRIPS["train"][0]
    assert digits.STRIPS["test"][1] <= digits.STRIPS["train"][0]


# What is drawn, against the ink worked out anew.


def ink_and_patch(picture: Digit, entropy: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the ink is, (64, 64), and the patch without it, (64, 64, 3).

    The image is drawn twice more, in black and in white: ink is where the two differ.
    """
    start, end = (round(640 * share) for share in digits.STRIPS[picture.split])
    strips = [Image.fromarray(photo[:, start:end]) for photo in load_sample_images().images]
    digit = np.pad(load_digits().images[picture.original] * 255 / 16, 1).astype(np.uint8)
    drawn = []
    for colour in [(0, 0, 0), (255, 255, 255)]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(digits, "draw_colour", lambda beneath, generator, c=colour: c)
            generator = np.random.Generator(np.random.PCG64(entropy))
            drawn.append(digits.draw(digit, strips, generator)[0].astype(int))
    patch_alone = digits.draw_patch(strips, np.random.Generator(np.random.PCG64(entropy)))
    return (drawn[1] - drawn[0]).mean(2), np.asarray(patch_alone)


@pytest.fixture(scope="module")
def examples() -> list[tuple[Digit, np.ndarray, np.ndarray]]:
    numbers = [(split, i) for split, n in enumerate(FEW.values(), 1) for i in range(n)]
    numbered = list(zip(numbers, few(5), strict=True))
    return [(p, *ink_and_patch(p, [5, *number])) for number, p in numbered[::11]]


def test_box_is_tight(examples: list[tuple[Digit, np.ndarray, np.ndarray]]) -> None:
    for picture, ink, _ in examples:
        x0, y0, x1, y1 = map(int, picture.box)
        seen = ink > 0.25 * 255 + 0.5
        assert seen[y0:y1, x0:x1].sum() == seen.sum() > 0
        inside = seen[y0:y1, x0:x1]
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_ink_stands_out(examples: list[tuple[Digit, np.ndarray, np.ndarray]]) -> None:
    weights = [0.299, 0.587, 0.114]
    for picture, ink, patch in examples:
        colour = np.median(picture.pixels[ink >= 250], axis=0)
        beneath = patch[ink > 0.25 * 255].mean(0)
        assert abs((colour - beneath) @ weights) >= digits.CONTRAST - 2


def test_the_digit_is_the_original(examples: list[tuple[Digit, np.ndarray, np.ndarray]]) -> None:
    """Brought back to 8x8, the ink resembles its own original more than nearly all others."""
    images = load_digits().images.reshape(-1, 64)
    ranks = []
    for picture, ink, _ in examples:
        x0, y0, x1, y1 = map(int, picture.box)
        small = Image.fromarray(ink[y0:y1, x0:x1].astype(np.uint8))
        found = np.asarray(small.resize((8, 8), Image.Resampling.BOX), float).ravel()
        likeness = [np.corrcoef(found, _cropped(image))[0, 1] for image in images]
        ranks.append(int((np.array(likeness) > likeness[picture.original]).sum()))
    assert np.median(ranks) <= 5


def _cropped(image: np.ndarray) -> np.ndarray:
    square = image.reshape(8, 8)
    rows, columns = np.flatnonzero(square.max(1) > 6), np.flatnonzero(square.max(0) > 6)
    part = square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = Image.fromarray((part * 15).astype(np.uint8)).resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small, float).ravel()


@given(beneath=st.floats(0, 255), seed=st.integers(0, 2**32))
def test_colour_is_far_from_what_lies_beneath(beneath: float, seed: int) -> None:
    red, green, blue = digits.draw_colour(beneath, np.random.default_rng(seed))
    assert all(0 <= channel <= 255 for channel in (red, green, blue))
    assert abs(0.299 * red + 0.587 * green + 0.114 * blue - beneath) >= digits.CONTRAST


# The folder.


def test_folder_holds_the_set_as_ordinary_files(folder: Path, whole: list[Digit]) -> None:
    assert folder.name == "digits-v1-seed0"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert files == {p.file for p in whole}
    assert {path.name for path in folder.iterdir()} == {"train", "val", "test", "boxes.csv"}
    for picture in whole[::500]:
        assert np.array_equal(np.asarray(decode(folder / picture.file)), picture.pixels)
        split, label, name = picture.file.split("/")
        assert (split, label) == (picture.split, str(picture.label))
        assert name == f"{split}_{picture.original:04}_{picture.use}.png"


def test_boxes_are_listed(folder: Path, whole: list[Digit]) -> None:
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "x0", "y0", "x1", "y1"]
    found = {name: tuple(map(float, box)) for name, *box in rows}
    assert len(rows) == len(whole)
    assert found == {p.file: tuple(p.box) for p in whole}


def test_nothing_is_left_beside_the_folder(folder: Path) -> None:
    assert list(folder.parent.iterdir()) == [folder]


def test_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "make_digits", None)
    before = (folder / "boxes.csv").stat().st_mtime_ns
    assert digits_folder(0, cache=folder.parent) == folder
    assert (folder / "boxes.csv").stat().st_mtime_ns == before


def test_another_seed_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "make_digits", few)
    one, two = digits_folder(1, cache=tmp_path), digits_folder(2, cache=tmp_path)
    assert one != two
    assert (one / "boxes.csv").read_text() != (two / "boxes.csv").read_text()


def test_interrupted_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seed: int) -> Iterator[Digit]:
        yield from list(few(seed))[:5]
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "make_digits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        digits_folder(0, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_not_taken_for_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(seed: int) -> Iterator[Digit]:
        yield from list(few(seed))[:5]
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "make_digits", killed)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            digits_folder(0, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(digits, "make_digits", few)
    made = digits_folder(0, cache=tmp_path)
    assert len(list(made.rglob("*.png"))) == sum(FEW.values())


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finishes while the first still writes; the first takes what stands there."""

    def overtaken(seed: int) -> Iterator[Digit]:
        with monkeypatch.context() as patch:
            patch.setattr(digits, "make_digits", few)
            digits_folder(seed, cache=tmp_path)
        yield from few(seed)

    monkeypatch.setattr(digits, "make_digits", overtaken)
    made = digits_folder(0, cache=tmp_path)
    assert list(tmp_path.iterdir()) == [made]
    assert len(list(made.rglob("*.png"))) == sum(FEW.values())


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "make_digits", few)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="set VERYDEEP_CACHE to a writable folder"):
        digits_folder(0, cache=tmp_path / "file")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(digits, "make_digits", few)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiskError, match="No space left on device"):
        digits_folder(0, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "make_digits", few)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "user" / name)
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "mine"))
    assert digits_folder().parent == tmp_path / "mine"
    monkeypatch.setenv("VERYDEEP_CACHE", "")
    assert digits_folder().parent == tmp_path / "user" / "verydeep"
    monkeypatch.delenv("VERYDEEP_CACHE")
    assert digits_folder().parent == tmp_path / "user" / "verydeep"
