"""Every test protocol with net D on full-size photographs, against a plain torchvision loop.

    python benchmarks/evaluate.py PHOTOS --out docs/results/evaluate.json

Ours is the whole way from files to errors. The loop is what people write: open, resize, crop,
normalise with torchvision's transforms, and show vgg16 one view after the other in fp32 (as a
convolution, for dense tests). It is timed on a few views, turn about with ours, and its rate for
all views of a protocol follows from the time of one. Multiply-adds are counted by PyTorch on the
very shapes that the nets are shown; the matrix rate is the best of a large product in our
precision, measured in every round.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg16
from torchvision.transforms import v2

from verydeep.data.geometry import View, rescaled_size
from verydeep.data.samples import Sample
from verydeep.evaluation.description import views_a_picture
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine, describe_environment

PROTOCOLS = (
    TestProtocol("center", (256,), flip=False),
    TestProtocol("dense", (256,)),
    TestProtocol("dense", (256, 384, 512)),
    TestProtocol("crops", (256,)),
    TestProtocol("crops", (256, 384, 512)),
    TestProtocol("both", (256, 384, 512)),
    TestProtocol("ten-crop", (256,)),
    TestProtocol("googlenet", (256, 288, 320, 352)),
)


def measure(
    protocol: TestProtocol, files: Sequence[Path], budget: int, rounds: int, model: Classifier
) -> dict[str, Any]:
    """Return the rates of both sides for one protocol."""
    views = views_a_picture([protocol])
    chosen = files[: min(len(files), max(2, budget // views))]
    samples = [Sample(file, 0) for file in chosen]
    loop = Loop()
    ours, theirs, rates = [], [], []
    for _ in range(rounds):
        rates.append(matrix_rate(model.machine.precision))
        ours.append(evaluate_samples([model], samples, protocol).seconds / len(chosen))
        theirs.append(loop.seconds_a_picture(protocol, chosen))
    macs = statistics.mean(multiply_adds(protocol, file) for file in chosen)
    mine, loops = statistics.median(ours), statistics.median(theirs)
    return {
        "protocol": str(protocol),
        "views": views,
        "pictures": len(chosen),
        "multiply_adds_a_picture": macs,
        "images_per_second": {
            "verydeep": [1 / seconds for seconds in ours],
            "torchvision loop": [1 / seconds for seconds in theirs],
        },
        "median": {"verydeep": 1 / mine, "torchvision loop": 1 / loops},
        "ratio": loops / mine,
        "multiply_adds_per_second": macs / mine,
        "matrix_rates": rates,
    }


class Loop:
    """A test as people write it with torchvision: one view after the other, in fp32."""

    def __init__(self) -> None:
        self.net = vgg16().eval()
        # Dense evaluation as it is usually done: the fully connected layers made convolutions.
        layers: list[nn.Module] = []
        for layer in self.net.classifier:
            if isinstance(layer, nn.Linear):
                channels, side = (512, 7) if not layers else (layer.in_features, 1)
                convolution = nn.Conv2d(channels, layer.out_features, side)
                convolution.weight.data = layer.weight.data.view(-1, channels, side, side)
                convolution.bias = layer.bias
                layers.append(convolution)
            elif isinstance(layer, nn.ReLU):
                layers.append(nn.ReLU())
        self.dense = nn.Sequential(self.net.features, *layers).eval()
        self.ready = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    @torch.inference_mode()
    def seconds_a_picture(
        self, protocol: TestProtocol, files: Sequence[Path], least: int = 6
    ) -> float:
        """Return the time of one image, from that of ``least`` or more views."""
        kinds: dict[tuple[int, Any], float] = {}
        for scale in protocol.used_scales:
            for kind in protocol.kinds:
                started, seen, asked = time.perf_counter(), 0, 0
                for file in files:
                    views = kind(*rescaled_size(*size_of(file), scale), 224)
                    picture = v2.functional.resize(
                        Image.open(file).convert("RGB"), list(rescaled_size(*size_of(file), scale))
                    )
                    shown = views[: max(1, least - seen)]
                    for view in shown:
                        self._answer(picture, view)
                    seen, asked = seen + len(shown), asked + 1
                    if seen >= least:
                        break
                each = (time.perf_counter() - started) / seen
                kinds[scale, kind] = each * len(views)
        return sum(kinds.values())

    def _answer(self, picture: Image.Image, view: View) -> torch.Tensor:
        top, left, height, width = view.window
        part = v2.functional.crop(picture, top, left, height, width)
        if view.side:
            part = v2.functional.resize(part, [view.side, view.side])
        if view.flip:
            part = v2.functional.horizontal_flip(part)
        x = self.ready(part)[None]
        if view.shown == (224, 224):
            return torch.as_tensor(self.net(x).softmax(1))
        return torch.as_tensor(self.dense(x).mean((2, 3)).softmax(1))


@cache
def size_of(file: Path) -> tuple[int, int]:
    """Return height and width of an image."""
    with Image.open(file) as picture:
        return picture.height, picture.width


def multiply_adds(protocol: TestProtocol, file: Path) -> float:
    """Return the products that a protocol takes for one image, equal views counted once."""
    return float(
        sum(
            products(*view.shown)
            for scale in protocol.used_scales
            for kind in protocol.kinds
            for view in dict.fromkeys(kind(*rescaled_size(*size_of(file), scale), 224))
        )
    )


@cache
def products(height: int, width: int) -> int:
    """Return the multiply-adds of net D on an image of that size, counted by PyTorch."""
    with torch.device("meta"):
        net = VGG("D")
        counter = FlopCounterMode(display=False)
        with counter:
            net.score_map(torch.empty(1, 3, height, width))
    return counter.get_total_flops() // 2


def matrix_rate(precision: str, size: int = 4096, rounds: int = 5) -> float:
    """Return the multiply-adds a second of a large matrix product, the best of a few."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = torch.randn(2, size, size).to(kind)
    return max(size**3 / seconds for seconds in _times(lambda: first @ second, rounds))


def _times(call: Callable[[], Any], rounds: int) -> Iterator[float]:
    call()
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        yield time.perf_counter() - started


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--budget", type=int, default=600, help="views of a protocol and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", help="of our side; default: bf16 where it is native")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(file for file in options.photos.iterdir() if file.is_file())
    machine = choose_machine("cpu", options.precision)
    torch.manual_seed(0)
    model = Classifier(
        net=vgg("D").eval(),
        classes=tuple(str(label) for label in range(1000)),
        preprocessing=Preprocessing((123.7, 116.8, 103.9)),
        train_scale=(256, 512),
        test_scales=(384,),
        machine=machine,
    )
    rows: list[dict[str, Any]] = []
    for protocol in PROTOCOLS:
        row = measure(protocol, files, options.budget, options.rounds, model)
        rows.append(row)
        print(
            f"{row['protocol']}: {row['median']['verydeep']:.3f} images/s, "
            f"{row['multiply_adds_a_picture'] / 1e9:.1f} G multiply-adds each, "
            f"{row['multiply_adds_per_second'] / 1e9:.0f} G/s, "
            f"{row['ratio']:.1f} times the loop",
            flush=True,
        )
    rate = max(rate for row in rows for rate in row["matrix_rates"])
    for row in rows:
        row["share_of_matrix_rate"] = row["multiply_adds_per_second"] / rate
        print(f"{row['protocol']}: {100 * row['share_of_matrix_rate']:.0f} % of the matrix rate")
    result = {
        "what": "test protocols, net D / vgg16, full-size photographs",
        "photographs": len(files),
        "rounds": options.rounds,
        "matrix_rate_multiply_adds_per_second": rate,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "protocols": rows,
        "environment": describe_environment(machine),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
