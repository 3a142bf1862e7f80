"""Training crops a second from full-size photographs, against torchvision's and timm's pipelines.

    python benchmarks/feed.py PHOTOS --out docs/results/feed.json

Every side decodes the files, makes crops of 224 at random places with mirror images, and hands over
batches from the same number of worker processes, turn about. torchvision's pipeline is that of its
reference training script with the paper's crop (resize the smallest side to 256, random crop), once
with PIL and once with tensors; it hands over normalised floats, as the script does. timm's is its
``create_loader`` with its own crop (random area and aspect), which is less work, as small areas are
resized: once as it is, with the prefetcher that normalises in the receiving process, and once
without what that adds, so that uint8 is handed over. Ours hands over uint8, which the device
normalises.

That all of them make the same image is seen first: one window of every photograph, cut by each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from verydeep.data.geometry import Window
from verydeep.data.images.decode import decode, opened, to_tensor
from verydeep.data.images.fast_jpeg import pixels_of_plain_jpeg
from verydeep.data.pipeline.augment import Augmentation, Crop, cut, draw_crop, sample_generator
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.read_crop import read_crop
from verydeep.data.samples import Sample
from verydeep.system.device import choose_machine, describe_environment

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Batches = Callable[[int], Iterable[Any]]
"""From the number of workers to one pass of batches."""


class Photographs(Dataset[torch.Tensor]):
    """Files through a transform, as a reference script reads them."""

    def __init__(self, files: Sequence[Path], read: Callable[[Path], Any], transform: Any) -> None:
        self.files, self.read, self.transform = files, read, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.as_tensor(self.transform(self.read(self.files[index])))


def read_pil(file: Path) -> Image.Image:
    """Read an image as torchvision's ImageFolder does."""
    with file.open("rb") as stream:
        return Image.open(stream).convert("RGB")


def read_tensor(file: Path) -> torch.Tensor:
    """Read an image by torchvision's own decoder."""
    picture: torch.Tensor = decode_image(str(file), mode=ImageReadMode.RGB)
    return picture


def torchvision_batches(files: Sequence[Path], batch: int, *, pil: bool) -> Batches:
    """Return torchvision's pipeline with one of its backends."""
    steps = [v2.Resize(256, antialias=True), v2.RandomCrop(224), v2.RandomHorizontalFlip()]
    ready = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]
    transform = v2.Compose([*steps, *([v2.PILToTensor()] if pil else []), *ready])
    pictures = Photographs(files, read_pil if pil else read_tensor, transform)
    return lambda workers: DataLoader(pictures, batch, shuffle=True, num_workers=workers)


class TimmReader:
    """Files and their classes, as timm's own readers of folders give them."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[BinaryIO, int]:
        return self.files[index].open("rb"), 0


def timm_batches(files: Sequence[Path], batch: int, *, prefetcher: bool) -> Batches | None:
    """Return timm's loader, perhaps without its prefetcher; None if timm is not installed."""
    try:
        from timm.data import ImageDataset, create_loader
    except ImportError:
        return None

    def make(workers: int) -> Iterable[Any]:
        loader = create_loader(
            ImageDataset(None, reader=TimmReader(files)),
            input_size=(3, 224, 224),
            batch_size=batch,
            is_training=True,
            color_jitter=0.0,
            interpolation="bilinear",
            num_workers=workers,
            device=torch.device("cpu"),
        )
        return cast(Iterable[Any], loader if prefetcher else loader.loader)

    return make


def our_batches(files: Sequence[Path], batch: int) -> Batches:
    """Return the batches that our training reads, from files."""

    def make(workers: int) -> Iterable[Any]:
        batches = TrainingBatches(
            [Sample(file, 0) for file in files],
            Augmentation(size=224, scale=(256, 256)),
            batch=batch,
            micro_batch=batch,
            seed=0,
            workers=workers,
        )
        return batches.epoch(0)

    return make


def differences(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return how far our crop of a window is from that of each other pipeline, in grey levels.

    Raises:
        AssertionError: They do not make the same image within rounding.
    """
    resize = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    to_pixels = v2.PILToTensor()
    others: dict[str, tuple[int, Callable[[Path], Any]]] = {
        "torchvision, PIL": (256, lambda file: to_pixels(resize(read_pil(file)))),
        "torchvision, tensors": (256, lambda file: resize(read_tensor(file))),
    }
    with contextlib.suppress(ImportError):
        from timm.data import create_transform

        middle = create_transform(
            224, is_training=True, no_aug=True, interpolation="bilinear", use_prefetcher=True
        )
        others["timm"] = 224, lambda file: middle(read_pil(file))
    found = {}
    for name, (scale, make) in others.items():
        levels = np.concatenate([_levels_apart(file, scale, make(file)) for file in files])
        beyond = float((levels > 1).mean())
        found[name] = {"most": int(levels.max()), "share_beyond_1": beyond}
        assert levels.max() <= 2, f"{name}: {levels.max()} grey levels from ours"
        assert beyond <= 1e-5, f"{name}: {beyond:.1e} of the values over one grey level from ours"
    return found


def _levels_apart(file: Path, scale: int, theirs: Any) -> NDArray[np.int64]:
    """Return how far the values of the same crop in the middle are from ours."""

    def draw(height: int, width: int) -> Crop:
        # The others round the long side down, and the window's corner to the nearest even number.
        long = scale * max(height, width) // min(height, width)
        rescaled = (scale, long) if height < width else (long, scale)
        top, left = (round((side - 224) / 2) for side in rescaled)
        return Crop(rescaled, Window(top, left, 224, 224), False, (0.0, 0.0, 0.0))

    ours = read_crop(file, draw, reduced=False)[0].numpy().astype(np.int64)
    levels: NDArray[np.int64] = np.abs(ours - np.asarray(theirs)).ravel()
    return levels


def rate(batches: Batches, workers: int, count: int) -> float:
    """Return the crops a second of one pass, from the first batch on."""
    iterator = iter(batches(workers))
    next(iterator)
    started, passed = time.perf_counter(), 0
    for _ in iterator:
        passed += 1
    seconds = time.perf_counter() - started
    return count * passed / seconds


def stages(files: Sequence[Path]) -> dict[str, float]:
    """Return the milliseconds an image of each of our steps, in one process."""
    torch.set_num_threads(1)
    augmentation = Augmentation(size=224, scale=(256, 256))
    pictures = [to_tensor(decode(file)) for file in files]
    sizes = [pixels.shape for pixels in pictures]
    crops = [
        draw_crop(augmentation, height, width, sample_generator(0, 0, index))
        for index, (_, height, width) in enumerate(sizes)
    ]
    place = torch.empty(3, 224, 224, dtype=torch.uint8)

    def header() -> None:
        for file in files:
            with opened(file):
                pass

    def header_and_pixels() -> None:
        for file in files:
            with opened(file) as picture:
                pixels_of_plain_jpeg(picture)

    def whole() -> None:
        for file, crop in zip(files, crops, strict=True):
            place.copy_(read_crop(file, lambda *size, crop=crop: crop)[0])

    steps: dict[str, Callable[[], Any]] = {
        "header": header,
        "header and pixels": header_and_pixels,
        "draw": lambda: [
            draw_crop(augmentation, height, width, sample_generator(0, 0, index))
            for index, (_, height, width) in enumerate(sizes)
        ],
        "cut": lambda: [cut(pixels, crop) for pixels, crop in zip(pictures, crops, strict=True)],
        "all but draw": whole,
    }
    return {name: 1000 * min(_times(step)) / len(files) for name, step in steps.items()}


def large_photographs(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return the milliseconds a crop from photographs of 4000x3000, reduced and not, by scale S."""
    contents = [_enlarged(file) for file in files]
    found: dict[str, dict[str, float]] = {}
    for scale in (256, 512):
        augmentation = Augmentation(size=224, scale=(scale, scale))
        crop = draw_crop(augmentation, 3000, 4000, sample_generator(0, 0, 0))

        def read(reduced: bool, crop: Crop = crop) -> None:
            for content in contents:
                read_crop(content, lambda *size: crop, reduced=reduced)

        times = {
            name: min(_times(partial(read, reduced), 3))
            for name, reduced in (("reduced", True), ("whole", False))
        }
        found[str(scale)] = {name: 1000 * time / len(files) for name, time in times.items()}
    return found


def _enlarged(file: Path) -> bytes:
    """Return a JPEG of 4000x3000 made of a smaller one, with noise as cameras have it."""
    with Image.open(file) as picture:
        large = picture.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 4, (3000, 4000, 3))
    stream = io.BytesIO()
    pixels = (np.asarray(large) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _times(step: Callable[[], Any], rounds: int = 5) -> list[float]:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return times


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--repeat", type=int, default=12, help="times a file is read in a pass")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(file for file in options.photos.iterdir() if file.is_file())
    passed = files * options.repeat
    sides = {
        "verydeep": our_batches(passed, options.batch),
        "torchvision, PIL": torchvision_batches(passed, options.batch, pil=True),
        "torchvision, tensors": torchvision_batches(passed, options.batch, pil=False),
        "timm": timm_batches(passed, options.batch, prefetcher=True),
        "timm, uint8": timm_batches(passed, options.batch, prefetcher=False),
    }
    apart = differences(files)
    for name, levels in apart.items():
        print(f"{name}: {levels['most']} grey levels from ours at the most")
    rates: dict[str, dict[str, list[float]]] = {}
    for workers in options.workers:
        found = rates[str(workers)] = {name: [] for name, side in sides.items() if side}
        for _ in range(options.rounds):
            for name, side in sides.items():
                if side:
                    found[name].append(rate(side, workers, options.batch))
        for name, values in found.items():
            # Round by round: what else the machine does slows both down.
            ratios = [a / b for a, b in zip(found["verydeep"], values, strict=True)]
            print(
                f"{workers} workers, {name}: {statistics.median(values):.0f} crops/s, "
                f"ours / it {statistics.median(ratios):.2f}"
            )
    split = stages(files)
    print(", ".join(f"{name} {value:.2f} ms" for name, value in split.items()))
    large = large_photographs(files[:6])
    for scale, times in large.items():
        print(f"4000x3000 at S={scale}:", {name: round(time, 1) for name, time in times.items()})
    result = {
        "what": "training crops of 224 a second from files",
        "photographs": len(files),
        "batch": options.batch,
        "grey_levels_from_ours": apart,
        "crops_per_second": rates,
        "milliseconds_a_picture": split,
        "milliseconds_a_photograph_of_4000x3000": large,
        "timm": version("timm") if sides["timm"] else None,
        "environment": describe_environment(choose_machine("cpu", "fp32")),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
