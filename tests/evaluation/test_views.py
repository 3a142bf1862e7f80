"""Views of rescaled pictures: the very pixels that the protocol speaks of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import InputError
from verydeep.evaluation.protocol import NAMES, Protocol, make_protocol
from verydeep.evaluation.views import views, windows

sides = st.integers(32, 90)


def numbered(height: int, width: int) -> torch.Tensor:
    """Return pictures (2, 3, H, W) of which no two pixels are equal."""
    return torch.arange(2 * 3 * height * width).view(2, 3, height, width)


@given(height=sides, width=sides)
def test_center_is_the_middle_square(height: int, width: int) -> None:
    pictures = numbered(height, width)
    (view,) = views(pictures, 32, Protocol("center", (64,), flip=False))
    corner = (pictures[0, 0] == view[0, 0, 0, 0]).nonzero()
    ((top, left),) = corner.tolist()
    assert torch.equal(view, pictures[:, :, top : top + 32, left : left + 32])
    # What is cut off on opposite sides differs by at most a pixel.
    assert abs(top - (height - 32 - top)) <= 1
    assert abs(left - (width - 32 - left)) <= 1


@given(height=sides, width=sides)
def test_dense_is_the_whole_picture(height: int, width: int) -> None:
    pictures = numbered(height, width)
    (view,) = views(pictures, 32, Protocol("dense", (64,), flip=False))
    assert torch.equal(view, pictures)
    assert windows(Protocol("dense", (64,)), height, width, 32) == ((0, 0, height, width),)


@pytest.mark.parametrize("name", NAMES)
def test_each_view_is_followed_by_its_mirror_image(name: str) -> None:
    pictures = numbered(40, 53)
    (plain,) = views(pictures, 32, make_protocol(name, (40,), flip=False))
    first, second = views(pictures, 32, make_protocol(name, (40,), flip=True))
    assert torch.equal(first, plain)
    columns = range(plain.shape[3] - 1, -1, -1)
    assert torch.equal(second, torch.stack([plain[..., x] for x in columns], dim=3))


def test_a_picture_of_input_size_is_its_own_center() -> None:
    pictures = numbered(32, 32)
    (view,) = views(pictures, 32, Protocol("center", (32,), flip=False))
    assert torch.equal(view, pictures)


def test_a_protocol_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"center, dense, got 'centre'.*did you mean 'center'"):
        make_protocol("centre", (256,))
    with pytest.raises(InputError, match="scale"):
        make_protocol("dense", ())


def test_a_protocol_says_what_it_does() -> None:
    assert str(make_protocol("dense", (256, 384))) == "dense at Q = 256, 384, with the mirror image"
    assert "mirror" not in str(make_protocol("center", (256,), flip=False))
