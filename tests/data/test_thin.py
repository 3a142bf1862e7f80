"""Images too thin to rescale are refused before using memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verydeep.checks.file_facts import examine
from verydeep.data.images.decode import decode, upright_size
from verydeep.data.images.limits import LONGEST
from verydeep.data.pipeline.read_crop import read_crop
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import PictureTooLarge

THIN = [(1, 20_000), (20_000, 1), (3, 50_000), (LONGEST + 1, 1)]


def encoded(size: tuple[int, int], kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, "red").save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", THIN)
def test_they_are_refused_wherever_files_are_read(size: tuple[int, int], kind: str) -> None:
    data = encoded(size, kind)

    def draw(height: int, width: int) -> None:
        pytest.fail("a crop was drawn")

    for read in (decode, upright_size, lambda data: read_crop(data, draw)):  # type: ignore[arg-type]
        with pytest.raises(PictureTooLarge, match=f"{size[0]}x{size[1]}: its aspect ratio is 1:"):
            read(data)


@pytest.mark.parametrize("size", [(1, LONGEST), (20 * 64, 64), (1, 1)])
def test_long_ones_within_the_bound_are_read(size: tuple[int, int]) -> None:
    assert decode(encoded(size, "PNG")).size == size


def test_each_is_a_fault_of_its_own_among_others(tmp_path: Path) -> None:
    good, thin = tmp_path / "good.png", tmp_path / "thin.png"
    good.write_bytes(encoded((40, 30), "PNG"))
    thin.write_bytes(encoded((1, 2000), "PNG"))
    in_memory = Image.fromarray(np.zeros((2000, 1, 3), np.uint8))
    pictures = TestPictures([thin, good, in_memory], (32,), workers=0)
    assert [picture.index for picture in pictures] == [1]
    assert {*pictures.unreadable} == {0, 2}
    assert all("1:2,000" in reason for reason in pictures.unreadable.values())


def test_check_says_so(tmp_path: Path) -> None:
    thin = tmp_path / "thin.png"
    thin.write_bytes(encoded((1, 2000), "PNG"))
    facts, _ = examine(thin, colours=True)
    assert facts.fault == "too-large"
    assert "1:2,000" in facts.reason
