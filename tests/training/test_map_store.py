"""Stored maps, and epochs read from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from verydeep.data.pipeline.sampling import plan_epoch
from verydeep.training.map_store import MapBatches, MapStore, remove_maps


def test_maps_come_back_in_bfloat16_whatever_the_order(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps", 5, (2, 3, 3))
    maps = torch.randn(5, 2, 3, 3)
    assert not store.has("a")
    store.write("a", iter([(torch.tensor([4, 0]), maps[[4, 0]]), (torch.tensor([2]), maps[[2]])]))
    assert store.has("a")
    found = store.read("a")
    assert torch.equal(found[[0, 2, 4]], maps[[0, 2, 4]].bfloat16())
    assert found[[1, 3]].isnan().all()
    assert (tmp_path / "maps" / "a.npy").stat().st_size == store.bytes_per_view + 128
    remove_maps(store.folder)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("indices", [[0, 5], [-1], [1, 1]])
def test_a_row_beyond_the_images_or_twice_is_never_written(
    indices: list[int], tmp_path: Path
) -> None:
    store = MapStore(tmp_path, 5, (1, 1, 1))
    rows = (torch.tensor(indices), torch.zeros(len(indices), 1, 1, 1))
    with pytest.raises(AssertionError, match="no image, or comes twice"):
        store.write("a", [rows])
    assert list(tmp_path.iterdir()) == []


def test_a_view_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = MapStore(tmp_path, 2, (1, 1, 1))

    def broken():  # type: ignore[no-untyped-def]
        yield torch.tensor([0]), torch.zeros(1, 1, 1, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write("a", broken())
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_has_every_image_once_from_its_view(tmp_path: Path) -> None:
    views = [torch.full((10, 1, 2, 2), float(v)).bfloat16() for v in range(2)]
    for view in views:
        view += torch.arange(10).view(10, 1, 1, 1) * 4
    batches = MapBatches(views, torch.arange(10), batch=4, micro_batch=3, seed=5)
    for epoch in range(3):
        parts = list(batches.epoch(epoch))
        labels = torch.cat([part.labels for part in parts])
        values = torch.cat([part.pictures[:, 0, 0, 0] for part in parts]).float()
        assert sorted(labels.tolist()) == list(range(10))
        assert torch.equal(values, labels * 4.0 + epoch % 2)
        plan = plan_epoch(10, 4, 5, epoch)
        for step, indices in enumerate(plan):
            assert {part.images for part in parts if part.step == step} == {len(indices)}
            assert sum(len(part.labels) for part in parts if part.step == step) == len(indices)
    assert next(part.step for part in batches.epoch(0, start=1)) == 1


def test_missing_maps_are_left_out() -> None:
    view = torch.zeros(4, 1, 1, 1)
    view[2] = float("nan")
    batches = MapBatches([view], torch.arange(4), batch=4, micro_batch=4, seed=0)
    (part,) = batches.epoch(0)
    assert sorted(part.labels.tolist()) == [0, 1, 3]
