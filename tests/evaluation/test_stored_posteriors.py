"""Files of posteriors: what is read back, and damage as one message."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from verydeep.errors import DataError
from verydeep.evaluation.result import Answers
from verydeep.evaluation.stored_posteriors import StoredPosteriors, read_stored, stored


def written(path: Path, names: tuple[str, ...], fold: int) -> Path:
    likely = np.random.default_rng(fold).dirichlet((1, 1), len(names)).astype(np.float32)
    answers = Answers(names, np.arange(len(names)) % 2, likely, ("cat", "dog"))
    stored(answers, fold).write(path)
    return path


def test_several_files_are_read_together_in_the_order_of_names(tmp_path: Path) -> None:
    paths = [written(tmp_path / "1.npz", ("b", "d"), 1), written(tmp_path / "2.npz", ("a", "c"), 2)]
    whole, parts = read_stored(paths), [StoredPosteriors.read(path) for path in paths]
    assert whole.answers.names == ("a", "b", "c", "d")
    assert whole.folds.tolist() == [2, 1, 2, 1]
    np.testing.assert_array_equal(whole.answers.posteriors[1::2], parts[0].answers.posteriors)
    with pytest.raises(DataError, match="the folds share images"):
        read_stored([paths[0], paths[0]])


def test_any_damage_is_one_message(tmp_path: Path) -> None:
    path = written(tmp_path / "posteriors.npz", ("a", "b", "c"), 1)
    whole, messages = path.read_bytes(), []
    entry = whole.index(b"PK\x01\x02")  # the first one of the central directory
    for place in (*range(4), *range(entry, entry + 46)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_stored([path])
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(f"{path}: cannot be read (") for message in messages)
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (array.getvalue(), b"", whole[:100]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_stored([path])
