"""Top activations against a plain search over all images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transfer.made import classifier, noise

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError
from verydeep.inspection.receptive_field import theoretical_field
from verydeep.inspection.subject import make_subject
from verydeep.inspection.top_activations import (
    Channel,
    strongest_channels,
    strongest_patches,
    thumbnail,
)
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.registry import build
from verydeep.system.device import choose_machine

SIZES = ((70, 64), (64, 90), (64, 64), (80, 64), (64, 64), (64, 90), (64, 64), (66, 66))
CHANNELS = [Channel("conv1_1", 3), Channel("pool3", 5), Channel("pool5", 40), Channel("fc8", 1)]


def naive(images: list[Image.Image], channel: Channel, top: int) -> list[tuple[int, float]]:
    """Return index and maximum of the images with the strongest activations of a channel."""
    model = classifier()
    answers = []
    for index, image in enumerate(images):
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        values = model.maps(pixels, [channel.layer])[channel.layer][0, channel.number]
        answers.append((-float(values.max()), index))
    return [(index, -value) for value, index in sorted(answers)[:top]]


@pytest.mark.parametrize("top", [1, 3, 20])
def test_the_patches_are_those_of_a_plain_search(top: int) -> None:
    images = [*noise(SIZES)]
    at = TestPictures(images, (64,))
    found = strongest_patches(classifier(), at, CHANNELS, top=top)
    shown = [Image.fromarray(picture.pixels[0]) for picture in at]
    for channel in CHANNELS:
        expected = naive(shown, channel, top)
        assert [patch.index for patch in found[channel]] == [index for index, _ in expected]
        for patch, (index, value) in zip(found[channel], expected, strict=True):
            assert patch.unit.value == pytest.approx(value, rel=1e-4)
            assert (patch.unit.layer, patch.unit.channel) == tuple(channel)
            pixels = np.array(shown[index])
            size = pixels.shape[:2]
            place = (patch.unit.row, patch.unit.column)
            assert patch.field == theoretical_field(classifier().net, channel.layer, *place, size)
            y, x, height, width = patch.field.visible
            part = pixels[y : y + height, x : x + width]
            assert np.array_equal(patch.pixels.permute(1, 2, 0).numpy(), part)
            assert patch.size == size
            assert np.array_equal(patch.thumbnail.permute(1, 2, 0).numpy(), pixels)


def test_large_pictures_are_kept_small() -> None:
    picture = Image.radial_gradient("L").resize((500, 250)).convert("RGB")
    small = thumbnail(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    assert small.shape == (3, 96, 192)
    expected = np.array(picture.resize((192, 96), Image.Resampling.BILINEAR), int)
    assert np.abs(small.permute(1, 2, 0).numpy() - expected).max() <= 1


def test_of_equal_pictures_the_first_counts() -> None:
    one, other = (image.resize((64, 64)) for image in noise(SIZES)[:2])
    channel = CHANNELS[1]

    def ranked(images: list[Image.Image], top: int) -> list[int]:
        pictures = TestPictures(images, (64,))
        found = strongest_patches(classifier(), pictures, [channel], top=top)
        return [patch.index for patch in found[channel]]

    best = ranked([one, other], 1)[0]
    expected = [best, best + 2, 1 - best, 3 - best]
    for top in (1, 2, 3, 4):
        assert ranked([one, other, one, other], top) == expected[:top]


def test_broken_and_huge_pictures_are_listed_and_the_others_found(tmp_path: Path) -> None:
    for number, image in enumerate(noise(SIZES[:3])):
        image.save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no image")
    Image.new("RGB", (17000, 64)).save(tmp_path / "4.png")
    pictures = TestPictures(sorted(tmp_path.iterdir()), (64,))
    found = strongest_patches(classifier(), pictures, [CHANNELS[0]])
    assert sorted(patch.index for patch in found[CHANNELS[0]]) == [0, 1, 2]
    assert sorted(pictures.unreadable) == [3, 4]
    assert "4.png: 17000x64" in pictures.unreadable[4]


def test_the_strongest_channel_of_each_block() -> None:
    image = torch.from_numpy(np.array(noise(((64, 80),))[0])).permute(2, 0, 1)
    subject = make_subject(classifier(), "x", image)
    found = strongest_channels(subject)
    assert [channel.layer for channel in found] == [f"pool{block}" for block in range(1, 6)]
    for channel in found:
        values = classifier().maps(image[None], [channel.layer])[channel.layer][0]
        assert int(values.amax((1, 2)).argmax()) == channel.number


def test_a_net_of_one_size_sees_the_centre() -> None:
    torch.manual_seed(0)
    net = build("lecun1989", 3).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    machine = choose_machine("cpu", "fp32")
    model = Classifier(
        net, tuple("abc"), Preprocessing((0, 0, 0), 255, 1), (16, 16), (16,), machine=machine
    )
    (wide,) = noise(((16, 31),))
    wide.paste((255, 255, 255), (0, 0, 7, 16))
    (found,) = strongest_patches(model, TestPictures([wide], (16,)), [Channel("conv1", 2)])[
        Channel("conv1", 2)
    ]
    pixels = torch.from_numpy(np.array(wide)).permute(2, 0, 1)[None, :, :, 7:23]
    expected = model.maps(pixels.contiguous(), ["conv1"])["conv1"][0, 2].max()
    assert found.unit.value == pytest.approx(float(expected), rel=1e-5)
    assert found.size == (16, 16)
    assert torch.equal(found.thumbnail, pixels[0])


def test_there_is_no_top_below_1() -> None:
    with pytest.raises(InputError, match=r"^top must be at least 1, got 0 instead$"):
        strongest_patches(classifier(), TestPictures([*noise()], (64,)), CHANNELS, top=0)


def test_a_channel_that_is_not_there_is_refused() -> None:
    pictures = TestPictures(noise(SIZES[:1]), (64,))
    with pytest.raises(InputError, match="channels 0 to 7, got 64 instead"):
        strongest_patches(classifier(), pictures, [Channel("conv1_1", 64)])
