"""Images without a map, in a group of processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from groups import together
from tiny import write_class_folders

from verydeep.errors import DataError
from verydeep.run.training.missing_maps import MissingMaps
from verydeep.system.group.distributed import joined
from verydeep.system.progress import Progress
from verydeep.training.map_store import MapStore
from verydeep.training.unreadable import UnreadableImages

pytestmark = pytest.mark.slow  # processes of their own


def noted(folder: Path, images: list[Path], limit: float) -> list[list[str]]:
    """Return the faults after each of two views; the last is the error, if any."""
    found: list[list[str]] = []
    with joined() as group:
        store = MapStore(folder, len(images), (1, 1, 1))
        missing = MissingMaps(store, images, UnreadableImages(group, limit, Progress()))
        for view in ("a", "b"):
            try:
                missing.note(view)
                found.append(list(missing.faults))
            except DataError as error:
                found.append([str(error)])
        group.wait_for_all()
    return found


@pytest.mark.parametrize("limit", [0.5, 0.3])
def test_all_processes_know_of_them_and_stop_together(limit: float, tmp_path: Path) -> None:
    images = sorted(write_class_folders(tmp_path / "data", 2).rglob("*.png"))
    assert len(images) == 6
    images[1].write_bytes(b"")
    store = MapStore(tmp_path / "maps", 6, (1, 1, 1))
    for view, absent in {"a": {1}, "b": {1, 4}}.items():
        there = [index for index in range(6) if index not in absent]
        store.write(view, [(torch.tensor(there), torch.zeros(len(there), 1, 1, 1))])
    one, other = together(partial(noted, store.folder, images, limit), 2, tmp_path)
    assert one == other
    ((first,), after_b) = one
    assert str(images[1]) in first
    second = f"{images[4]}: could not be read when its map was computed"
    if limit == 0.5:
        assert after_b == [first, second]
        assert store.has("b")
    else:
        assert "2 of 6 training images cannot be read" in after_b[0]
        assert not store.has("b")
    assert store.has("a")
