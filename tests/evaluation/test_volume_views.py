"""Views of volumes: how many, where, and that they weigh what they should."""

from __future__ import annotations

import numpy as np
import pytest

from verydeep.data.volumes.geometry import CubeView
from verydeep.errors import InputError
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop
from verydeep.evaluation.volume_views import views_of


def test_a_grid_covers_the_corners_and_has_every_mirror_image() -> None:
    views = views_of(Grid(3, 4), (40, 36, 50), 32)
    assert len(views) == 2 * 3 * 3 * 4
    corners = {view.window.corner for view in views}
    assert len(corners) == 36
    assert {(0, 0, 0), (8, 4, 18)} <= corners
    assert sum(view.flip for view in views) == 36


def test_the_whole_and_the_centre() -> None:
    (whole,) = views_of(Dense(flip=False), (33, 34, 35), 32)
    assert whole.window == (0, 0, 0, 33, 34, 35)
    (center,) = views_of(Center(flip=False), (33, 36, 40), 32)
    assert center.window == (0, 2, 4, 32, 32, 32)


def test_a_view_shows_its_voxels_mirrored_left_to_right() -> None:
    voxels = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
    (plain, turned) = views_of(Center(), (5, 4, 6), 4)
    assert isinstance(plain, CubeView)
    assert np.array_equal(show(voxels, plain), voxels[0:4, 0:4, 1:5])
    assert np.array_equal(show(voxels, turned), voxels[0:4, 0:4, 1:5][:, :, ::-1])


@pytest.mark.parametrize("kind", [TenCrop(), GoogLeNetCrops()])
def test_protocols_of_images_are_refused(kind: object) -> None:
    with pytest.raises(InputError, match="of images"):
        views_of(kind, (40, 40, 40), 32)  # type: ignore[arg-type]


def test_images_have_the_views_they_had() -> None:
    kind = Grid(2, 3)
    assert views_of(kind, (40, 50), 32) == kind(40, 50, 32)
