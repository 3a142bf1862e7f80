"""Forms of image arguments: single, nested, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from verydeep.data.images.inputs import each_picture
from verydeep.errors import InputError, PictureError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def gradient(height: int = 4, width: int = 5) -> np.ndarray:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one of them below, and a file that is none."""
    (tmp_path / "below").mkdir()
    Image.new("RGB", (3, 2), RED).save(tmp_path / "a.png")
    Image.new("RGB", (3, 2), BLUE).save(tmp_path / "below" / "b.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_a_file_is_handed_on_unopened_whatever_is_in_it(folder: Path) -> None:
    for path in (folder / "a.png", folder / "notes.txt"):
        assert list(each_picture(path)) == [path]
        assert list(each_picture(str(path))) == [path]


def test_a_folder_stands_for_the_pictures_in_it(folder: Path) -> None:
    assert sorted(each_picture(folder)) == [folder / "a.png", folder / "below" / "b.png"]
    assert list(each_picture(str(folder))) == list(each_picture(folder))


def test_an_array_is_its_pixels() -> None:
    (colour,) = each_picture(gradient())
    assert colour.mode == "RGB"
    assert np.array_equal(colour, gradient())
    (grey,) = each_picture(gradient()[:, :, 1])
    assert grey.mode == "RGB"
    assert np.array_equal(grey, np.stack([gradient()[:, :, 1]] * 3, axis=2))


@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_how_an_array_lies_in_memory_does_not_matter(order: str) -> None:
    pixels = gradient()[::-1, ::2] if order == "reversed" else np.array(gradient(), order=order)
    (picture,) = each_picture(pixels)
    assert np.array_equal(picture, pixels)


def test_a_picture_in_memory_is_made_upright_and_rgb() -> None:
    picture = Image.new("L", (6, 4), 77)
    picture.getexif()[0x0112] = 6  # lies on its side
    (found,) = each_picture(picture)
    assert (found.mode, found.size) == ("RGB", (4, 6))
    assert found.getpixel((0, 0)) == (77, 77, 77)


def test_lists_of_lists_are_taken_in_order(folder: Path) -> None:
    file, picture, pixels = folder / "a.png", Image.new("RGB", (1, 1), RED), gradient()

    def generated() -> Iterator[Any]:
        yield str(file)
        yield (picture, [pixels])

    found = list(each_picture([folder / "below", generated(), file]))
    assert found[0] == folder / "below" / "b.png"
    assert found[1] == found[4] == file
    assert found[2].getpixel((0, 0)) == RED
    assert np.array_equal(found[3], pixels)
    assert len(found) == 5
    assert list(each_picture([])) == []


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"gone\.png: no such file or folder"):
        list(each_picture(tmp_path / "gone.png"))
    with pytest.raises(PictureError, match="no images in this folder"):
        list(each_picture([tmp_path]))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (gradient().astype(np.float32), r"float32 of shape \(4, 5, 3\)"),
        (gradient().astype(bool), r"bool of shape \(4, 5, 3\)"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 of shape \(4, 5, 4\)"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 of shape \(3, 4, 5\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), r"uint8 of shape \(2, 4, 5, 3\)"),
        (np.zeros(5, np.uint8), r"uint8 of shape \(5,\)"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 of shape \(0, 5, 3\)"),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_what_it_is(
    array: np.ndarray, found: str
) -> None:
    with pytest.raises(InputError, match=rf"must be uint8 of shape .* got {found} instead"):
        list(each_picture(array))


@pytest.mark.parametrize("thing", [None, 5, torch.zeros(3, 4, 5)], ids=lambda t: type(t).__name__)
def test_a_thing_that_is_no_picture_is_refused_by_its_type(thing: Any) -> None:
    for given in (thing, [thing]):
        with pytest.raises(
            InputError, match=f"a path, a PIL image or an array, got {type(thing).__name__}"
        ):
            list(each_picture(given))


def test_bytes_are_no_list_of_numbers() -> None:
    with pytest.raises(InputError, match="got int"):
        list(each_picture(b"not a path"))
