"""Names of splits: words, case and combinations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.data.split_names import (
    SPLITS,
    last_split,
    meaning_of_eval,
    resolve_eval,
    split_name,
    whole_split,
)

WORDS = st.sampled_from(sorted(SPLITS))
SEPARATORS = st.sampled_from(["_", "-", " ", ".", "__", " - "])
FILLERS = st.sampled_from(["set", "data", "images", "dataset", "imgs", "2017", "1"])
LETTERS = st.text("abcdefghijklmnopqrstuvwxyzäéß", min_size=1, max_size=5)
GLUED = ("set", "sets", "data", "dataset", "images", "imgs", "split")


def in_case(word: str, case: int) -> str:
    return (word.lower(), word.upper(), word.capitalize())[case]


@given(WORDS, st.integers(0, 2), SEPARATORS, FILLERS, st.booleans())
def test_a_word_means_the_same_in_any_case_and_beside_fillers(
    word: str, case: int, separator: str, filler: str, before: bool
) -> None:
    parts = [in_case(word, case), filler]
    name = separator.join(parts[::-1] if before else parts)
    assert whole_split(name) == whole_split(in_case(word, case)) == SPLITS[word]


@given(WORDS, st.integers(0, 2), SEPARATORS, st.sampled_from(["pets", "seg", "mri", "bär"]))
def test_a_word_beside_another_tells_a_split_and_a_rest(
    word: str, case: int, separator: str, other: str
) -> None:
    found = split_name(f"{other}{separator}{in_case(word, case)}")
    assert found == (SPLITS[word], (other.casefold(),))
    assert whole_split(f"{other}{separator}{in_case(word, case)}") is None


@given(WORDS, LETTERS, st.booleans())
def test_a_word_within_a_longer_one_means_nothing(word: str, more: str, before: bool) -> None:
    longer = more + word if before else word + more
    known = longer in SPLITS or any(
        longer == known + ending for known in SPLITS for ending in GLUED
    )
    assert known or split_name(longer) is None
    assert known or last_split(longer) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("trn", "TrainSet", "trainval", "train_val", "2-Training")],
        *[(name, "val") for name in ("Valid", "validationSet", "DEV", "development")],
        *[(name, "test") for name in ("hold-out", "Held Out", "holdout", "tst", "TESTING set")],
        ("test-dev2017", "test"),
        *[(name, None) for name in ("trainer", "contest", "protest", "testudo", "valley")],
        *[(name, None) for name in ("train-test", "invalid", "medieval", "validated", "")],
    ],
)
def test_names_as_people_write_them(name: str, split: str | None) -> None:
    assert whole_split(name) == split


@pytest.mark.parametrize(
    ("splits", "meaning"), [([], "val"), (["train", "test"], "val"), (["train", "val"], "test")]
)
def test_eval_is_what_is_missing(splits: list[str], meaning: str) -> None:
    assert meaning_of_eval(splits) == meaning
    told = {"evaluation": "eval"} | {name: name for name in splits}
    assert resolve_eval(told)["evaluation"] == meaning


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_Val2017", "val"),
        ("dev-images-train-0001.tar", "train"),
        ("Testing/part-3.tar", "test"),
        ("bullettrain-3.tar", None),
    ],
)
def test_a_files_last_word_counts(name: str, split: str | None) -> None:
    assert last_split(name) == split
