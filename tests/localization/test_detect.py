"""Classes with boxes, against one view at a time through the nets and arithmetic of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from naive import reference
from PIL import Image

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, ModelError, PictureError
from verydeep.evaluation import view_batching as together
from verydeep.evaluation.calibration import Calibration
from verydeep.localization import dense_outputs as sighting
from verydeep.localization.detect import Located, locate, merging_of
from verydeep.localization.localizer import Localizer
from verydeep.localization.merge import Merging
from verydeep.localization.predict import localize
from verydeep.localization.protocol import (
    BoxProtocol,
    unseen_notice,
    whole_scales,
)
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.googlenet import googlenet
from verydeep.nets.senet import senet154
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine

K = 4
SIZES = ((41, 60), (90, 70), (44, 44), (64, 64), (200, 90))
COMMON = {
    "classes": tuple("abcd"),
    "preprocessing": Preprocessing((120.0, 110.0, 100.0), 50.0),
    "train_scale": (40, 40),
    "test_scales": (40,),
    "machine": choose_machine("cpu", "fp32"),
}


def net(seed: int, outputs: int, spread: float, input_size: int = 32) -> VGG:
    torch.manual_seed(seed)
    made = vgg("A", outputs, input_size=input_size, width=0.125, hidden=64)
    torch.nn.init.normal_(made.classifier.fc8.weight, 0, spread)
    return made.eval()


@cache
def classifier(seed: int) -> Classifier:
    return Classifier(net=net(seed, K, 0.5), **COMMON)


@cache
def localizer(seed: int, *, per_class: bool, input_size: int = 32) -> Localizer:
    made = net(seed, 4 * (K if per_class else 1), 0.02, input_size)
    torch.nn.init.constant_(made.classifier.fc8.bias, 0.5)
    return Localizer(net=made, per_class=per_class, **COMMON)


@cache
def images() -> tuple[Image.Image, ...]:
    generator = np.random.default_rng(0)
    noise = (generator.normal(128, 80, (h // 8 + 1, w // 8 + 1, 3)) for h, w in SIZES)
    small = (Image.fromarray(pixels.clip(0, 255).astype(np.uint8)) for pixels in noise)
    return tuple(picture.resize(size[::-1]) for picture, size in zip(small, SIZES, strict=True))


def parts(pixels: np.ndarray, protocol: BoxProtocol) -> list[tuple[int, int, np.ndarray]]:
    """What the nets are shown: all, or crops that are cut here, and where they begin."""
    if protocol.name == "dense":
        return [(0, 0, pixels)]
    rows, columns = protocol.grid
    height, width = (side - 32 for side in pixels.shape[:2])
    found = []
    for row in range(rows):
        top = height // 2 if rows == 1 else math.ceil(height * row / (rows - 1) - 0.5)
        for column in range(columns):
            left = width // 2 if columns == 1 else math.ceil(width * column / (columns - 1) - 0.5)
            found.append((left, top, pixels[top : top + 32, left : left + 32]))
    return found


def by_hand(
    models: Sequence[Classifier],
    nets: Sequence[Localizer],
    picture: Image.Image,
    protocol: BoxProtocol,
    label: int,
) -> Located:
    """Find one class on one image; windows, boxes and sums are computed in plain numbers."""
    height, width = picture.height, picture.width
    posterior = np.zeros(K)
    seen = []  # of every position and box regressor: posteriors, boxes of all classes on the image
    views = 0
    for scale in protocol.scales:
        short = min(height, width)
        size = [max(scale, round(side * scale / short)) for side in (width, height)]
        pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        for (x_from, y_from, part), flip in product(
            parts(pixels, protocol), (False, True) if protocol.flip else (False,)
        ):
            views += 1
            shown = part[:, ::-1] if flip else part
            x = torch.from_numpy(shown.copy()).permute(2, 0, 1)[None]
            maps = [model.score_map(x)[0].double().numpy() for model in models]
            for scores in maps:
                mean = np.exp(scores.mean((1, 2)))
                posterior += mean / mean.sum() / len(models)
            local = np.mean([np.exp(s) / np.exp(s).sum(0) for s in maps], 0)
            for boxes in (each.outputs(x)[0].double().numpy() for each in nets):
                for row in range(boxes.shape[2]):
                    for column in range(boxes.shape[3]):
                        found = []
                        for cx, cy, w, h in boxes[:, :, row, column]:
                            left = 32 * column + 32 * (cx - w / 2)
                            right = 32 * column + 32 * (cx + w / 2)
                            top = 32 * row + 32 * (cy - h / 2)
                            bottom = 32 * row + 32 * (cy + h / 2)
                            if flip:
                                left, right = part.shape[1] - right, part.shape[1] - left
                            left, right = left + x_from, right + x_from
                            top, bottom = top + y_from, bottom + y_from
                            sx, sy = width / size[0], height / size[1]
                            x0, x1 = (min(max(v * sx, 0), width) for v in (left, right))
                            y0, y1 = (min(max(v * sy, 0), height) for v in (top, bottom))
                            found.append((x0, y0, x1, y1))
                        seen.append((local[:, row, column], found * (K // len(found))))
    posterior /= views
    order = sorted(range(K), key=lambda k: -posterior[k])[: protocol.top]
    answers = {}
    for k in {*order, label}:
        own = [(found[k], likely[k]) for likely, found in seen]
        own = [(b, s) for b, s in own if b[0] < b[2] and b[1] < b[3]]
        merged = reference(*map(list, zip(*own, strict=True)), protocol.merging.threshold)
        answers[k] = (k, posterior[k], *max(merged, key=lambda one: one[1]))
    return Located((height, width), tuple(answers[k] for k in order), answers[label])


def flat(located: Located) -> list[float]:
    every = (*located.guesses, located.given)
    return [x for label, p, box, score in every for x in (label, p, *box, score)]


ENSEMBLES = {
    "SCR": ((1,), ((3, False),)),
    "PCR": ((1,), ((4, True),)),
    "two of each": ((1, 2), ((3, False), (4, True))),
}


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize(
    "protocol",
    [
        BoxProtocol("dense", (40,), flip=False),
        BoxProtocol("dense", (40, 97), top=2, threshold=0.0, flip=True),
        BoxProtocol("dense", (32, 64), top=9, threshold=0.2, flip=True),
        BoxProtocol("crops", (40,), flip=False, grid=(2, 3)),
        BoxProtocol("crops", (32, 57), top=2, threshold=0.0, grid=(3, 1), flip=True),
    ],
    ids=str,
)
def test_as_every_view_by_itself(ensemble: str, protocol: BoxProtocol) -> None:
    seeds, boxes = ENSEMBLES[ensemble]
    models = [classifier(seed) for seed in seeds]
    nets = [localizer(seed, per_class=per_class) for seed, per_class in boxes]
    labels = {row: row % K for row in range(len(SIZES))}
    pictures = TestPictures(images(), protocol.scales, 0)
    found = locate(models, nets, pictures, protocol, labels=labels)
    assert list(found) == list(labels)
    for row, picture in enumerate(images()):
        expected = by_hand(models, nets, picture, protocol, labels[row])
        assert found[row].size == expected.size
        assert len(found[row].guesses) == min(protocol.top, K)
        assert flat(found[row]) == pytest.approx(flat(expected), rel=1e-3, abs=2e-3)


@pytest.mark.parametrize("neighbour", ["googlenet", "senet154"])
def test_nets_that_round_up_rate_the_boxes_at_the_positions_they_share(neighbour: str) -> None:
    """They halve 50 and 63 pixels to two positions, where the box regressor has one."""
    torch.manual_seed(6)
    made = {
        "googlenet": lambda: googlenet(K, input_size=32, width=0.1, batch_norm=True),
        "senet154": lambda: senet154(K, input_size=32, width=0.02),
    }[neighbour]()
    rough = Classifier(net=made.eval(), **COMMON)
    shown = [np.array(picture).transpose(2, 0, 1)[None] for picture in images()]
    with torch.no_grad():
        made.classifier.fc.weight.div_(max(np.abs(rough.score_map(x)).max() for x in shown) / 2)
    model = Classifier(net=made, **COMMON)
    assert model.score_map(torch.zeros(1, 3, 50, 63).byte()).shape == (1, K, 2, 2)
    protocol = BoxProtocol("dense", (50, 63), flip=True)
    regressor = localizer(4, per_class=True)
    labels = dict.fromkeys(range(len(SIZES)), 2)
    pictures = TestPictures(images(), protocol.scales, 0)
    found = locate([model], [regressor], pictures, protocol, labels=labels)
    for row, picture in enumerate(images()):
        expected = by_hand([model], [regressor], picture, protocol, 2)
        assert flat(found[row]) == pytest.approx(flat(expected), rel=1e-3, abs=2e-3)


def test_boxes_differ_between_pictures_and_classes() -> None:
    """What the test above compares is not one box all over."""
    protocol = BoxProtocol("dense", (40, 97), flip=True)
    pictures = TestPictures(images(), protocol.scales, 0)
    found = locate([classifier(1)], [localizer(4, per_class=True)], pictures, protocol)
    boxes = {guess.box for located in found.values() for guess in located.guesses}
    assert len(boxes) == K * len(SIZES)
    assert all(located.given is None for located in found.values())


@pytest.mark.parametrize(
    ("at_once", "waiting", "kept", "block"),
    [(1, 1, 1, 1), (5000, 10**9, 10**9, 256), (10**9, 10**9, 2000, 256), (10**9, 10**5, 10**9, 3)],
)
def test_what_goes_together_does_not_matter(
    at_once: int, waiting: int, kept: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = BoxProtocol("dense", (40, 64), flip=True)
    models, nets = [classifier(1)], [localizer(4, per_class=True)]
    many = 2 * images()
    before = locate(models, nets, TestPictures(many, protocol.scales, 0), protocol)
    for kind in (Classifier, Localizer):
        monkeypatch.setattr(kind, "pixels_at_once", at_once)
    monkeypatch.setattr(together, "PENDING_BYTES", waiting)
    monkeypatch.setattr(sighting, "KEPT_BYTES", kept)
    pictures = TestPictures(many, protocol.scales, 0)
    after = locate(models, nets, pictures, protocol, block=block)
    assert sorted(after) == list(range(len(many)))
    for row, located in before.items():
        mine, theirs = ([guess.box for guess in o.guesses] for o in (located, after[row]))
        assert np.allclose(mine, theirs, rtol=0, atol=1e-3)


def test_the_centre_is_the_net_on_the_central_crop() -> None:
    protocol = BoxProtocol("center", (56, 40), flip=True)
    box_regressor = localizer(4, per_class=True)
    pictures = TestPictures(images(), protocol.used_scales, 0)
    found = locate([], [box_regressor], pictures, protocol, labels=dict.fromkeys(range(5), 2))
    for row, picture in enumerate(images()):
        height, width = picture.height, picture.width
        size = [max(40, round(side * 40 / min(height, width))) for side in (width, height)]
        left, top = ((side - 32) // 2 for side in size)
        shown = picture.resize(size, Image.Resampling.BILINEAR)
        crop = np.asarray(shown.crop((left, top, left + 32, top + 32)))
        x = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None]
        cx, cy, w, h = box_regressor.outputs(x)[0, 2, :, 0, 0].tolist()
        expected = [
            (left + 32 * (cx - w / 2)) * width / size[0],
            (top + 32 * (cy - h / 2)) * height / size[1],
            (left + 32 * (cx + w / 2)) * width / size[0],
            (top + 32 * (cy + h / 2)) * height / size[1],
        ]
        bounds = [width, height, width, height]
        clipped = [min(max(x, 0), most) for x, most in zip(expected, bounds, strict=True)]
        given = found[row].given
        assert given is not None
        assert given.box == pytest.approx(clipped, abs=1e-3)
        assert (given.label, given.probability, given.score) == (2, None, 1)
        assert found[row].guesses == ()


def test_crops_of_a_picture_of_the_input_size_are_the_central_one() -> None:
    square = [picture.resize((32, 32)) for picture in images()]
    models, nets = [classifier(1)], [localizer(4, per_class=True)]
    labels = dict.fromkeys(range(len(square)), 2)
    found = [
        locate(models, nets, TestPictures(square, (32,), 0), protocol, labels=labels)
        for protocol in (
            BoxProtocol("center", (32,), flip=True),
            BoxProtocol("crops", (32,), flip=False, grid=(3, 2)),
        )
    ]
    for row in range(len(square)):
        center, crops = (each[row].given for each in found)
        assert center
        assert center.box
        assert crops
        assert crops.box
        assert crops.box == pytest.approx(center.box, abs=1e-4)
        assert crops.probability == pytest.approx(center.probability, rel=1e-5)
        assert crops.score == pytest.approx(6 * center.score, rel=1e-5)


def test_a_crop_that_stands_for_several_is_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    regressor, views = localizer(4, per_class=True), 0
    outputs = Localizer.outputs

    def counted(self: Localizer, shown: torch.Tensor) -> torch.Tensor:
        nonlocal views
        views += len(shown)
        return outputs(self, shown)

    monkeypatch.setattr(Localizer, "outputs", counted)
    protocol = BoxProtocol("crops", (32, 40), flip=True, grid=(3, 2))
    pictures = TestPictures([images()[3]], protocol.scales, 0)  # square
    locate([classifier(1)], [regressor], pictures, protocol)
    assert views == 2 + 2 * 6


@pytest.mark.parametrize("calibrated", [False, True])
def test_probabilities_are_calibrated_where_asked_for(calibrated: bool) -> None:
    protocol, tempered = BoxProtocol("dense", (40, 64), flip=True), 2.5
    fitted = Calibration(tempered, "val", "dense", 10, 1.0, 0.9)
    model = dataclasses.replace(classifier(1), calibration=fitted)
    nets, label = [localizer(4, per_class=True)], {0: 3}

    def found(*models: Classifier) -> Located:
        pictures = TestPictures(images()[:1], protocol.scales, 0)
        return locate(models, nets, pictures, protocol, labels=label, calibrated=calibrated)[0]

    raw, ours, fused = found(classifier(1)), found(model), found(model, classifier(2))
    (alone,) = model.predict(images()[0], scales=(40, 64), flip=True, top=K)
    before, after = (
        np.array([guess.probability for guess in each.guesses]) for each in (raw, ours)
    )
    expected = before ** (1 / tempered) / (before ** (1 / tempered)).sum()
    assert after == pytest.approx(expected if calibrated else before, rel=1e-5)
    if calibrated:
        assert after == pytest.approx([p for _, p in alone.ranking], rel=1e-4)
    assert ours.given
    assert ours.given.probability == after[[guess.label for guess in ours.guesses].index(3)]
    assert [guess.box for guess in ours.guesses] == [guess.box for guess in raw.guesses]
    assert fused == found(classifier(1), classifier(2))


def test_classifiers_of_other_kinds_are_refused() -> None:
    several = dataclasses.replace(classifier(1), multi_label=True)
    solid = vgg("A", K, input_size=32, width=0.125, hidden=16, dimensions=3).eval()
    for model, match in (
        (several, "net A: holds .* one class per image is needed"),
        (Classifier(net=solid, **COMMON), "the net is for volumes, and a box regressor is for"),
    ):
        with pytest.raises(ModelError, match=match):
            localize(model, localizer(4, per_class=True), images()[0])


def test_damaged_nets_are_told_from_sound_ones() -> None:
    damaged = Classifier(net=net(1, K, 0.5), **COMMON)
    with torch.no_grad():
        damaged.net.classifier.fc8.weight[0] = math.nan
    protocol = BoxProtocol("dense", (40,), flip=True)
    for models in ([damaged], [classifier(1), damaged]):
        pictures = TestPictures(images(), protocol.scales, 0)
        with pytest.raises(ModelError, match="scores are not finite"):
            locate(models, [localizer(4, per_class=True)], pictures, protocol)


def test_a_box_of_infinite_width_is_none() -> None:
    corners = torch.tensor([[-math.inf, 1.0, math.inf, 5.0], [1.0, 1, 5, math.nan], [1, 1, 5, 5]])
    _, good = sighting.on_picture(corners, (10, 10))
    assert good.tolist() == [False, False, True]


def test_a_net_whose_boxes_have_no_area_finds_nothing() -> None:
    box_regressor = localizer(7, per_class=False)
    with torch.no_grad():
        box_regressor.net.classifier.fc8.bias[2:] = -5.0
    protocol = BoxProtocol("dense", (40,), flip=True)
    pictures = TestPictures(images()[:1], protocol.scales, 0)
    found = locate([classifier(1)], [box_regressor], pictures, protocol, labels={0: 0})
    guesses = found[0].guesses
    assert [(guess.box, guess.score) for guess in guesses] == [(None, 0.0)] * K
    assert sum(guess.probability or 0 for guess in guesses) == pytest.approx(1)


def test_the_steps_of_merging_end_with_the_box_that_is_found() -> None:
    protocol = BoxProtocol("dense", (40, 64), threshold=0.2, flip=True)
    models, nets, picture = [classifier(1)], [localizer(4, per_class=True)], images()[1]
    steps = merging_of(models, nets, picture, protocol, 2)
    assert len(steps) > 2
    assert len(steps[0].boxes) > len(steps[-1].boxes)
    found = locate(models, nets, TestPictures([picture], (40, 64), 0), protocol, labels={0: 2})
    given = found[0].given
    assert given is not None
    best = int(steps[-1].scores.argmax())
    assert steps[-1].boxes[best].tolist() == pytest.approx(given.box, abs=1e-3)
    assert steps[-1].scores[best].item() == pytest.approx(given.score, rel=1e-5)
    with pytest.raises(PictureError, match="1:32"):
        merging_of(models, nets, Image.new("RGB", (10**6, 1)), protocol, 2)


def test_pictures_that_cannot_be_read_are_left_out() -> None:
    protocol = BoxProtocol("dense", (40,), flip=True)
    pictures = TestPictures([images()[0], Image.new("RGB", (10**6, 1)), images()[1]], (40,), 0)
    found = locate([classifier(1)], [localizer(3, per_class=False)], pictures, protocol)
    assert list(found) == [0, 2]
    assert list(pictures.unreadable) == [1]


def test_nets_that_do_not_fit_are_refused() -> None:
    dense, center = BoxProtocol("dense", (40,), flip=True), BoxProtocol("center", (40,), flip=True)
    good, pictures = localizer(3, per_class=False), TestPictures(images(), (40,), 0)
    other = Localizer(net=good.net, **COMMON | {"classes": tuple("abce")})
    large = localizer(3, per_class=False, input_size=64)
    for models, nets, protocol, match in (
        ([classifier(1)], [], dense, "at least one box regressor"),
        ([], [good], dense, "dense boxes .* name a classification net too"),
        (
            [],
            [good],
            BoxProtocol("crops", (40,), flip=True),
            "crops boxes .* name a classification net too",
        ),
        ([], [good, other], center, "same classes in the same order"),
        ([classifier(1)], [other], center, "same classes in the same order"),
        (
            [classifier(1)],
            [large],
            BoxProtocol("dense", (64,), flip=True),
            "32 pixels, A 64|64 pixels, A 32",
        ),
        ([classifier(1)], [good], BoxProtocol("dense", (40, 31), flip=True), "at least 32"),
    ):
        with pytest.raises(InputError, match=match):
            locate(models, nets, pictures, protocol)


# ---- protocols ----


def test_a_protocol_says_what_it_does() -> None:
    assert str(BoxProtocol("center", (72, 64), flip=True)) == "center at Q = 64, true class"
    assert str(BoxProtocol("dense", (64, 72), flip=False, top=3)) == (
        "dense at Q = 64, 72, without mirror images, top 3 classes"
    )
    assert str(BoxProtocol("crops", (64, 96), flip=False, grid=(2, 3))) == (
        "crops 2x3 at Q = 64, 96, without mirror images, top 5 classes"
    )
    made = BoxProtocol("dense", [64], threshold=-0.5, most=50, flip=True)
    assert made == BoxProtocol("dense", (64,), threshold=-0.5, most=50, flip=True)
    assert BoxProtocol("dense", [64], flip=True).merging == Merging()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"name": "grid"}, "one of center, dense, crops, got 'grid'"),
        ({"name": "crops", "grid": (0, 3)}, "1 to 100 rows and columns, got 0x3"),
        ({"name": "centre"}, "did you mean 'center'"),
        ({"scales": ()}, "at least one test scale"),
        ({"scales": (64, 64)}, "each test scale once"),
        ({"top": 0}, "at least 1 class, got 0"),
        ({"threshold": float("nan")}, "got nan"),
        ({"threshold": float("inf")}, "a finite number as threshold .* got inf"),
        ({"most": 0}, "at least 1 box"),
    ],
)
def test_protocols_that_cannot_be_are_refused(arguments: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        BoxProtocol(**{"flip": True, **{"name": "dense", "scales": (64,)} | arguments})


def unseen_by_hand(side: int, input_size: int) -> int:
    """Pixels of a line that no window meets: they begin at 0 and are 32 apart, as far as fit."""
    seen = {
        pixel
        for start in range(0, side - input_size + 1, 32)
        for pixel in range(start, start + input_size)
    }
    return side - len(seen)


@pytest.mark.parametrize("input_size", [48, 80])
def test_windows_between_multiples_of_the_stride_are_those_of_the_net(input_size: int) -> None:
    regressor = localizer(3, per_class=False, input_size=input_size)
    for scale in (input_size, 96, 100, 112, 120, 127):
        positions = regressor.outputs(torch.zeros(1, 3, scale, scale).byte()).shape[-1]
        end = 32 * (positions - 1) + input_size
        found = BoxProtocol("dense", (scale,), flip=True).unseen(input_size, 32)
        assert found.get(scale, 0) == max(0, scale - end), scale


@pytest.mark.parametrize("input_size", [32, 64, 224])
def test_pixels_that_no_window_sees_are_counted(input_size: int) -> None:
    scales = tuple(range(input_size, input_size + 70))
    found = BoxProtocol("dense", scales, flip=True).unseen(input_size, 32)
    for scale in scales:
        assert found.get(scale, 0) == unseen_by_hand(scale, input_size)
    assert not BoxProtocol("crops", scales, flip=True).unseen(input_size, 32)
    assert not BoxProtocol("center", scales, flip=True).unseen(input_size, 32)


def test_what_is_not_seen_is_said() -> None:
    said = unseen_notice(BoxProtocol("dense", (64, 72, 80), flip=True), 64, 32)
    assert said
    for words in ("Q = 72, 80: ", "8, 16 pixels", "at the bottom", "Q = 64, 96, 128, …", "crops"):
        assert words in said
    assert "on the right" not in said  # the mirror image begins there
    assert "on the right" in str(unseen_notice(BoxProtocol("dense", (72,), flip=False), 64, 32))
    assert unseen_notice(BoxProtocol("dense", (64, 96), flip=True), 64, 32) is None
    assert unseen_notice(BoxProtocol("crops", (72,), flip=True), 64, 32) is None


@pytest.mark.parametrize(
    ("scales", "input_size", "whole"),
    [
        ((224, 256, 288), 224, (224, 256, 288)),
        ((256, 384, 512), 224, (256, 384, 512)),
        ((64, 73), 64, (64,)),
        ((96, 110, 123), 96, (96, 128)),
        ((64, 97, 129), 64, (64, 96, 128)),
    ],
)
def test_whole_scales_are_the_nearest_that_leave_nothing_out(
    scales: tuple[int, ...], input_size: int, whole: tuple[int, ...]
) -> None:
    assert whole_scales(scales, input_size, 32) == whole
    assert not any(unseen_by_hand(scale, input_size) for scale in whole)


@pytest.mark.parametrize(
    "protocol",
    [
        BoxProtocol("center", (96, 64), flip=True),
        BoxProtocol("dense", (64, 96), flip=True),
        BoxProtocol("crops", (64, 96), flip=False, grid=(2, 3)),
    ],
    ids=str,
)
def test_the_work_of_a_protocol_is_counted_by_the_views_it_shows(protocol: BoxProtocol) -> None:
    as_test = protocol.as_test
    assert as_test.kinds == (protocol.views,)
    assert as_test.used_scales == protocol.used_scales
