"""Lines of another process, shown here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from progresses import Listening

from verydeep.system.relay import FileProgress, followed

PATIENCE = 30


def test_lines_are_shown_as_they_come_and_all_of_them_at_the_end(tmp_path: Path) -> None:
    heard, written = Listening(), FileProgress(tmp_path / "progress.log")
    with followed(written.path, heard):
        time.sleep(0.1)  # the file is not there yet
        written.log("epoch 1")
        deadline = time.monotonic() + PATIENCE
        while not heard.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heard.lines == ["epoch 1"]
        with written.path.open("a") as file:
            file.write("half a ")
            file.flush()
            time.sleep(0.6)
            assert heard.lines == ["epoch 1"]
            file.write("line\n\n")
        FileProgress(written.path).log("naïve: epoch 2")
    assert heard.lines == ["epoch 1", "half a line", "", "naïve: epoch 2"]


def test_an_error_inside_passes_and_nothing_was_written(tmp_path: Path) -> None:
    heard = Listening()
    with pytest.raises(KeyError), followed(tmp_path / "none.log", heard):
        raise KeyError
    assert heard.lines == []


def test_a_file_that_cannot_be_written_stops_no_training(tmp_path: Path) -> None:
    FileProgress(tmp_path / "no" / "folder").log("lost")
