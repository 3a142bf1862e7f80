"""A net that reads digits hangs its scores on the digits, not on what lies around them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from verydeep.classifier import Classifier
from verydeep.data.digits import Digit, make_digits
from verydeep.inside.attribution import grad_cam, guided_backpropagation, occlusion, saliency
from verydeep.inside.heat import share_inside
from verydeep.inside.subject import Subject
from verydeep.nets.vgg import vgg
from verydeep.runtime import choose_machine
from verydeep.trained_net import Preprocessing

METHODS: dict[str, Callable[[Subject], Tensor]] = {
    "saliency": saliency,
    "guided backpropagation": lambda asked: guided_backpropagation(asked).abs().amax(0),
    "Grad-CAM": lambda asked: grad_cam(asked, "conv4_2").heat,
    "occlusion": lambda asked: occlusion(asked).heat,
}


def picture(digit: Digit) -> Tensor:
    return torch.from_numpy(digit.pixels.copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def asked() -> list[tuple[Digit, Subject]]:
    """Test digits that a small net, trained here for a few rounds, reads rightly."""
    digits = [*make_digits(0, {"train": 1500, "val": 10, "test": 60})]
    train = [digit for digit in digits if digit.split == "train"]
    test = [digit for digit in digits if digit.split == "test"]
    torch.manual_seed(0)
    net = vgg("A", 10, input_size=64, width=0.125, hidden=256, dropout=0.2, norm="batch")
    preprocessing = Preprocessing((120.0, 115.0, 105.0))
    x = preprocessing(torch.stack([*map(picture, train)]))
    y = torch.tensor([digit.label for digit in train])
    epochs, batch = 10, 50
    optimizer = torch.optim.SGD(net.parameters(), 0.03, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(y) // batch)
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    model = Classifier(
        net=net.eval(),
        classes=tuple("0123456789"),
        preprocessing=preprocessing,
        train_scale=(64, 64),
        test_scales=(64,),
        machine=choose_machine("cpu", "fp32"),
    )
    likely = model.score_map(torch.stack([*map(picture, test)])).mean((2, 3)).softmax(1)
    right = [
        (digit, Subject(model, "digit", picture(digit), p, digit.label))
        for digit, p in zip(test, likely, strict=True)
        if int(p.argmax()) == digit.label
    ]
    assert len(right) > len(test) / 2, "the net has not learned to read"
    return right[:25]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_true_box_holds_more_than_its_share(
    asked: list[tuple[Digit, Subject]], name: str
) -> None:
    gains = []
    for digit, subject in asked:
        box = digit.box
        area = (box.x1 - box.x0) * (box.y1 - box.y0) / 64**2
        gains.append(share_inside(METHODS[name](subject), box) / area)
    assert np.mean(gains) > 1.3
    assert np.mean(np.array(gains) > 1) > 0.8
