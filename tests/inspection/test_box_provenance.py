"""Box provenance against the results of localization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from asked import K, as_read, classifier, pixels, tiny_net
from PIL import Image

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.inspection.box_provenance import coordinate_gradients, merged_from, provenance
from verydeep.localization.box_geometry import from_view, to_corners
from verydeep.localization.detect import locate, merging_of
from verydeep.localization.localizer import Localizer
from verydeep.localization.merge import Merging, merge_steps
from verydeep.localization.predict import localize
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier
from verydeep.nets.vgg import vgg

DENSE = BoxProtocol("dense", (64, 100), flip=True)


def models() -> tuple[Classifier, Localizer]:
    net = tiny_net(seed=3)
    net.classifier.fc8.weight.data.mul_(20)
    return classifier(net), localizer(per_class=True)


def localizer(*, per_class: bool, seed: int = 5) -> Localizer:
    torch.manual_seed(seed)
    made = vgg("A", 4 * (K if per_class else 1), input_size=64, width=0.125, hidden=64).eval()
    torch.nn.init.normal_(made.classifier.fc8.weight, 0, 0.02)
    torch.nn.init.constant_(made.classifier.fc8.bias, 0.5)
    like = classifier(tiny_net())
    return Localizer(
        net=made,
        classes=like.classes,
        preprocessing=like.preprocessing,
        train_scale=(64, 64),
        test_scales=(64, 100),
        machine=like.machine,
        per_class=per_class,
    )


def picture(size: tuple[int, int] = (90, 160), seed: int = 0) -> Image.Image:
    return Image.fromarray(pixels(size, seed).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize(
    "protocol",
    [
        DENSE,
        BoxProtocol("dense", (64,), flip=False),
        BoxProtocol("crops", (70,), grid=(2, 1), flip=True),
    ],
)
def test_the_answer_is_that_of_localization(*, per_class: bool, protocol: BoxProtocol) -> None:
    model, _ = models()
    nets = [localizer(per_class=per_class, seed=seed) for seed in (5, 6)]
    for seed in range(3):
        image = picture(seed=seed)
        for label in range(K):
            found = provenance([model], nets, image, protocol, label)
            pictures = TestPictures([image], protocol.used_scales, 0)
            given = locate([model], nets, pictures, protocol, labels={0: label})[0].given
            assert given is not None
            assert found.box is not None
            assert found.box == pytest.approx(given.box)
            assert found.score == pytest.approx(given.score)
            steps = merging_of([model], nets, image, protocol, label)
            assert len(steps) == len(found.steps)
            assert found.score == pytest.approx(sum(found.origins[n].score for n in found.used))


def test_predicting_a_picture_gives_the_same_box() -> None:
    model, net = models()
    image = picture()
    (prediction,) = localize(model, net, image, BoxProtocol("dense", top=1))
    label = model.classes.index(prediction.label or "")
    assert provenance([model], [net], image, DENSE, label).box == pytest.approx(prediction.boxes[0])


def test_used_boxes_span_the_answer_and_the_strongest_is_first() -> None:
    model, net = models()
    found = provenance([model], [net], picture(), DENSE, 1)
    boxes = np.array([found.origins[number].box for number in found.used])
    assert 1 < len(found.used) <= len(found.origins)
    assert found.box is not None
    assert (boxes.min(0) <= np.array(found.box) + 1e-9).all()
    assert (boxes.max(0) >= np.array(found.box) - 1e-9).all()
    scores = [found.origins[number].score for number in found.used]
    assert scores == sorted(scores, reverse=True)
    assert found.strongest is found.origins[found.used[0]]


@pytest.mark.parametrize("threshold", [-0.9, -0.5, 0.3])
def test_members_are_those_of_a_merging_that_counts_in_powers_of_two(threshold: float) -> None:
    """With score 2ⁿ for box n, a sum of scores identifies its boxes."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(14, 2, generator=generator, dtype=torch.float64) * 20
    boxes = torch.cat([corners, corners + 8], 1)
    boxes[5] = boxes[11]
    scores = 2.0 ** torch.arange(14, dtype=torch.float64)
    steps = [*merge_steps(boxes, scores, Merging(threshold))]
    expected = [[n for n in range(14) if int(s) >> n & 1] for s in steps[-1].scores]
    assert [sorted(each) for each in merged_from(boxes, steps)] == expected


def test_origins_say_where_the_net_looked() -> None:
    model, net = models()
    found = provenance([model], [net], picture((90, 160)), DENSE, 1)
    assert {origin.scale for origin in found.origins} == {64, 100}
    for origin in found.origins:
        side = 64 * 90 / origin.scale
        window = origin.window
        assert window.y1 - window.y0 == pytest.approx(side)
        assert window.y0 == pytest.approx(32 * origin.row * 90 / origin.scale)
        left = window.x0 if not origin.view.flip else 160 - window.x1
        assert left == pytest.approx(32 * origin.column * 160 / origin.view.rescaled[1])


def test_a_class_without_boxes_has_no_answer() -> None:
    model, net = models()
    torch.nn.init.zeros_(net.net.classifier.fc8.weight)
    torch.nn.init.constant_(net.net.classifier.fc8.bias, -1.0)
    found = provenance([model], [net], picture(), DENSE, 1)
    assert (found.box, found.score, found.used, found.origins) == (None, 0.0, (), ())
    assert found.strongest is None


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("flip", [True, False])
def test_the_pull_is_the_slope_of_the_box_on_the_picture(*, per_class: bool, flip: bool) -> None:
    """Finite differences in double precision at the pixels with the largest gradients."""
    model, _ = models()
    net = localizer(per_class=per_class)
    found = provenance([model], [net], picture(), DENSE, 3)
    origin = next(o for o in found.origins if o.view.flip == flip and o.column == 1)
    pulled = coordinate_gradients(net, picture(), origin, 3)
    assert pulled.gradients.shape == (4, *pulled.pixels.shape[1:])
    corners = to_corners(torch.tensor(pulled.box, dtype=torch.float64))
    height, width = 90, 160
    clipped = [min(max(v, 0), m) for v, m in zip(corners, (width, height) * 2, strict=True)]
    assert clipped == pytest.approx(origin.box, abs=0.01)
    net.net.double()

    def box(shown: torch.Tensor) -> torch.Tensor:
        x = as_read(shown.flip(2) if flip else shown).double()
        with torch.no_grad():
            answers = net.net.score_map(x).reshape(-1, 4, *net.net.score_map(x).shape[2:])
        own = answers[3 if per_class else 0, :, origin.row, origin.column]
        found = from_view(own, origin.view)
        return torch.cat([(found[:2] + found[2:]) / 2, found[2:] - found[:2]])

    assert box(pulled.pixels.double()).tolist() == pytest.approx(pulled.box, abs=0.01)
    for coordinate, heat in enumerate(pulled.gradients):
        y, x = divmod(int(heat.argmax()), heat.shape[1])
        slopes = []
        for colour in range(3):
            up, down = pulled.pixels.double(), pulled.pixels.double()
            up[colour, y, x] += 1e-4
            down[colour, y, x] -= 1e-4
            slopes.append(abs(float((box(up) - box(down))[coordinate])) / 2e-4)
        assert float(heat[y, x]) == pytest.approx(max(slopes), rel=0.02)
        assert max(slopes) > 0


def test_pixels_outside_a_crop_do_not_pull() -> None:
    """Pixels inside act as if the crop were a whole image."""
    model, net = models()
    image = picture((90, 160))
    found = provenance(
        [model], [net], image, BoxProtocol("crops", (90,), grid=(2, 3), flip=True), 1
    )
    assert len(found.origins) == 12
    for origin in found.origins[2:6]:
        top, left, height, width = origin.view.window
        pulled = coordinate_gradients(net, image, origin, 1)
        crop = image.crop((left, top, left + width, top + height))
        alone = provenance([model], [net], crop, BoxProtocol("dense", (64,), flip=True), 1)
        like = next(one for one in alone.origins if one.view.flip == origin.view.flip)
        expected = coordinate_gradients(net, crop, like, 1)
        inside = pulled.gradients[:, top : top + height, left : left + width]
        assert torch.allclose(inside, expected.gradients, rtol=1e-4, atol=1e-7)
        assert float(pulled.gradients.sum()) == pytest.approx(float(inside.sum()), rel=1e-5)
        assert inside.max() > 0
        moved = (expected.box[0] + left, expected.box[1] + top, *expected.box[2:])
        assert pulled.box == pytest.approx(moved, abs=1e-3)
        assert origin.score == pytest.approx(like.score, rel=1e-3)
