"""ImageNet's classes, compared with torchvision's and timm's lists."""

from __future__ import annotations

import random
import re

import pytest

from verydeep.models.weights.imagenet import ilsvrc_classes, ilsvrc_names, ilsvrc_numbers


def test_the_classes_are_in_the_order_of_their_wordnet_ids() -> None:
    ids = [one.wnid for one in ilsvrc_classes()]
    assert len(ids) == 1000
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in ids)


def test_the_names_are_torchvisions() -> None:
    from torchvision.models import VGG16_Weights

    assert list(ilsvrc_names()) == VGG16_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(set(ilsvrc_names())) == 1000


def test_ids_and_words_are_timms() -> None:
    data = pytest.importorskip("timm.data", reason="needs timm")
    theirs = data.ImageNetInfo("imagenet-1k")
    for number, one in enumerate(ilsvrc_classes()):
        assert theirs.index_to_label_name(number) == one.wnid
        assert theirs.index_to_description(number) == one.words


def test_any_order_of_the_classes_is_recognized() -> None:
    order = list(range(1000))
    random.Random(0).shuffle(order)
    classes = [ilsvrc_classes()[number] for number in order]
    for names in (
        [one.wnid for one in classes],
        [one.name.replace(" ", "_") for one in classes],
        [f"{one.wnid} {one.words}" for one in classes],
        [one.words if one.words != "crane" else one.name for one in classes],
    ):
        assert ilsvrc_numbers(names) == tuple(order)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["cat", "dog"],
        [*ilsvrc_names()[:-1], "tench"],
        [*ilsvrc_names(), "tench"],
        [*ilsvrc_names()[:-1], ""],
        [str(number) for number in range(1000)],
    ],
    ids=["none", "two", "one twice", "one too many", "one empty", "numbers"],
)
def test_other_classes_are_not(names: list[str]) -> None:
    assert ilsvrc_numbers(names) is None
