"""Every engine on net D, beside torchvision, torch.compile, OpenVINO and ONNX Runtime by hand.

    python benchmarks/engines.py PHOTOS --out docs/results/engines.json

Each side runs in a process of its own, one after the other, on the same random weights (He; the
last layer is scaled so that scores spread as those of a trained net). It answers for

- one photograph, from the start of the process: imports, weights, graph, compilation and answer;
- all photographs from files, central crop of 224 pixels at Q = 256, decoding included;
- a few photographs densely at Q = 256 with mirror images, decoding included.

Rates are per second of wall time and per second of processor time; only the second is fair on a
machine that is busy with other work. ``difference`` is the largest difference of posteriors from
eager PyTorch in fp32: from ours for our engines, from torchvision's for the others. The nets of
others are written as a careful user writes them: static shapes, batches, decoding in threads ahead
of the computation, graph converted beforehand, precision fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float32]
Net = Callable[[Pixels], Scores]
"""Function from images (N, H, W, 3) to posteriors (N, K)."""

OURS = {
    "verydeep torch": ("torch", "fp32"),
    "verydeep compile": ("compile", "fp32"),
    "verydeep onnxruntime": ("onnxruntime", "fp32"),
    "verydeep openvino": ("openvino", "fp32"),
    "verydeep auto": ("auto", "fp32"),
    "verydeep torch bf16": ("torch", "bf16"),
    "verydeep openvino bf16": ("openvino", "bf16"),
    "verydeep auto bf16": ("auto", "bf16"),
    "verydeep onnxruntime int8": ("onnxruntime", "int8"),
    "verydeep openvino int8": ("openvino", "int8"),
}
THEIRS = ("torchvision eager", "torchvision compile", "openvino by hand", "onnxruntime by hand")
SCALE, CROP, BATCH = 256, 224, 8
MEAN, DIVISOR = (123.7, 116.8, 103.9), 58.0
REFERENCES = ("verydeep torch", "torchvision eager")


# ---- nets of others ----


def torchvision_net(folder: Path, *, compiled: bool) -> Net:
    """Return torchvision's vgg16, eager or compiled, with dense answers as convolutions."""
    import torch
    from torch import nn

    net = dense_vgg(folder)
    call: Any = torch.compile(net, dynamic=True) if compiled else net
    mean = torch.tensor(MEAN).view(3, 1, 1)

    def answer(images: Pixels) -> Scores:
        with torch.inference_mode():
            x = torch.from_numpy(images).permute(0, 3, 1, 2).float().sub_(mean).div_(DIVISOR)
            scores = call(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
            found: Scores = nn.functional.softmax(scores, 1).numpy()
        return found

    return answer


def dense_vgg(folder: Path) -> Any:
    """Return torchvision's vgg16 with its fully connected layers as convolutions."""
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from torchvision.models import vgg16

    from verydeep.nets.vgg import VGG

    with torch.device("meta"):
        net, ours = vgg16(), VGG("D")
    values = load_file(folder / "model.safetensors")
    named = zip(net.state_dict(), ours.state_dict(), strict=True)
    net.load_state_dict({theirs: values[name] for theirs, name in named}, assign=True)
    layers: list[nn.Module] = list(net.features)
    side = 7
    for layer in net.classifier:
        if isinstance(layer, nn.Linear):
            convolution = nn.Conv2d(1, 1, 1)
            weight = layer.weight.view(layer.out_features, -1, side, side)
            convolution.weight, convolution.bias = nn.Parameter(weight), layer.bias
            layers, side = [*layers, convolution], 1
        elif isinstance(layer, nn.ReLU):
            layers.append(layer)
    return nn.Sequential(*layers).eval().requires_grad_(False).to(memory_format=torch.channels_last)


def openvino_by_hand(folder: Path) -> Net:
    """Return OpenVINO with one compiled model for each shape."""
    import openvino

    core = openvino.Core()
    graph = core.read_model(folder / "by_hand.xml")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled: dict[tuple[int, ...], Any] = {}

    def answer(images: Pixels) -> Scores:
        shape = images.shape
        if shape not in compiled:
            static = graph.clone()
            static.reshape(list(shape))
            compiled[shape] = core.compile_model(static, "CPU", settings)
        found: Scores = compiled[shape]([images])["probabilities"].copy()
        return found

    return answer


def onnxruntime_by_hand(folder: Path) -> Net:
    """Return ONNX Runtime with all cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    file = str(folder / "by_hand.onnx")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def answer(images: Pixels) -> Scores:
        found: Scores = session.run(["probabilities"], {"images": images})[0]
        return found

    return answer


def their_net(side: str, folder: Path) -> Net:
    """Return the net of a side."""
    if side.startswith("torchvision"):
        return torchvision_net(folder, compiled=side.endswith("compile"))
    return (openvino_by_hand if side.startswith("openvino") else onnxruntime_by_hand)(folder)


def rescaled(path: Path) -> Pixels:
    """Return a photograph with the smallest side Q, uint8 (H, W, 3)."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    factor = SCALE / min(image.size)
    size = [SCALE if side == min(image.size) else round(side * factor) for side in image.size]
    return np.asarray(image.resize((size[0], size[1]), Image.Resampling.BILINEAR))


def central(path: Path) -> Pixels:
    """Return the central crop of a photograph, uint8 (224, 224, 3)."""
    pixels = rescaled(path)
    top, left = ((side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[top : top + CROP, left : left + CROP]


def their_crops(net: Net, files: Sequence[Path]) -> Scores:
    """Return posteriors (N, K) of central crops, decoded ahead in threads, in batches."""
    with ThreadPoolExecutor(2) as pool:
        crops = list(_batches(pool.map(central, files), BATCH))
        return np.concatenate([net(np.stack(batch)) for batch in crops])


def _batches(each: Iterator[Pixels], size: int) -> Iterator[list[Pixels]]:
    batch: list[Pixels] = []
    for one in each:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def their_dense(net: Net, files: Sequence[Path]) -> Scores:
    """Return posteriors (N, K) of whole photographs and their mirror images."""
    with ThreadPoolExecutor(2) as pool:
        pairs = (np.stack([one, one[:, ::-1]]) for one in pool.map(rescaled, files))
        return np.stack([net(np.ascontiguousarray(pair)).mean(0) for pair in pairs])


# ---- one side, in its own process ----


def run_side(side: str, folder: Path, files: Sequence[Path], dense: int, started: float) -> None:
    """Measure a side, and print the figures as JSON."""
    crops, whole = _ours(side, folder) if side in OURS else _theirs(side, folder)
    crops(files[:1])
    row: dict[str, Any] = {"side": side, "first_answer_seconds": time.time() - started}
    row["one_photograph"], _ = _timed(crops, files[:1], repeats=2)
    crops(files[:BATCH])  # compiles for batches where that is needed
    row["photographs"], likely = _timed(crops, files)
    whole(files[:1])
    row["dense"], dense_likely = _timed(whole, files[:dense])
    row["peak_mib"] = peak_mib()
    np.savez(folder / f"{side}.npz", crops=likely, dense=dense_likely)
    print(json.dumps(row))


def peak_mib() -> float:
    """Return the peak memory of this process, without that of the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


Answer = Callable[[Sequence[Path]], Scores]


def _theirs(side: str, folder: Path) -> tuple[Answer, Answer]:
    net = their_net(side, folder)
    return lambda files: their_crops(net, files), lambda files: their_dense(net, files)


def _ours(side: str, folder: Path) -> tuple[Answer, Answer]:
    import verydeep
    from verydeep.data.samples import Sample
    from verydeep.evaluation.evaluate import evaluate_samples
    from verydeep.evaluation.protocol import TestProtocol
    from verydeep.evaluation.workload import pixels_to_see

    engine, precision = OURS[side]
    model = verydeep.load(folder, verydeep.Compute("cpu", precision, engine=engine))

    def answer(files: Sequence[Path], protocol: TestProtocol) -> Scores:
        job = pixels_to_see([protocol], max(len(files), 64), CROP)
        model.prepare(job)
        result = evaluate_samples([model], [Sample(file, 0) for file in files], protocol)
        found: Scores = np.asarray(result.answers.posteriors, np.float32)
        return found

    center, dense = TestProtocol("center", (SCALE,), flip=False), TestProtocol("dense", (SCALE,))
    return lambda files: answer(files, center), lambda files: answer(files, dense.for_model(model))


def _timed(
    work: Answer, files: Sequence[Path], repeats: int = 1
) -> tuple[dict[str, float], Scores]:
    best: dict[str, float] = {}
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        found = work(files)
        rate = len(files) / (time.perf_counter() - wall)
        if not best or rate > best["per_second"]:
            per_processor = len(files) / (time.process_time() - processor)
            best = {"per_second": rate, "per_processor_second": per_processor}
    return best, found


# ---- all sides ----


def prepare(folder: Path, files: Sequence[Path]) -> None:
    """Write the model, its int8 variant, and the graphs that others read."""
    import openvino
    import torch

    from verydeep.models.classifier import Classifier
    from verydeep.models.engines.net_files import weights_key
    from verydeep.models.engines.quantization import write_int8
    from verydeep.models.export.graph import onnx_graph
    from verydeep.models.preprocessing import Preprocessing
    from verydeep.nets.vgg import vgg
    from verydeep.system.device import choose_machine

    torch.manual_seed(0)
    model = Classifier(
        net=vgg("D").eval(),
        classes=tuple(str(label) for label in range(1000)),
        preprocessing=Preprocessing(MEAN, DIVISOR),
        train_scale=(SCALE, SCALE),
        test_scales=(SCALE,),
        machine=choose_machine("cpu", "fp32"),
    )
    crops = np.stack([central(file) for file in files[:8]])
    with torch.no_grad():
        spread = model.answers(torch.from_numpy(crops).permute(0, 3, 1, 2)).std()
        model.net.classifier.fc8.weight.mul_(3 / spread)  # type: ignore[union-attr, operator]
    model = Classifier(**vars_of(model))
    model.save(folder)
    write_int8(model, (crop[None] for crop in crops), folder / "int8.onnx")
    record = {"net": weights_key(model), "within": True}
    (folder / "int8.json").write_text(json.dumps(record))
    graph = onnx_graph(model, dense=True, outputs=["probabilities"])
    (folder / "by_hand.onnx").write_bytes(graph.SerializeToString())
    converted = openvino.Core().read_model(folder / "by_hand.onnx")
    openvino.save_model(converted, folder / "by_hand.xml", compress_to_fp16=False)


def vars_of(model: Any) -> dict[str, Any]:
    """Return the attributes of a dataclass, to make it anew without its engine."""
    from dataclasses import fields

    return {one.name: getattr(model, one.name) for one in fields(model)}


def try_engines(folder: Path) -> list[dict[str, Any]]:
    """Try every engine once, as the first use on a machine does, and return the verdicts."""
    import verydeep
    from verydeep.errors import VeryDeepError
    from verydeep.models.engines.choice import verdict_on

    verdicts = []
    for engine, precision in dict.fromkeys(OURS.values()):
        if engine in ("auto", "torch", "compile"):  # compile: part of its first answer
            continue
        model = verydeep.load(folder, verydeep.Compute("cpu", precision, engine=engine))
        try:
            verdicts.append(verdict_on(model, engine, precision).to_dict())
        except VeryDeepError as error:
            verdicts.append({"engine": engine, "precision": precision, "fault": str(error)})
    return verdicts


def measure(side: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run a side in its own process, and return its figures or the reason why there are none."""
    command = [sys.executable, __file__, str(options.photos), "--side", side]
    command += ["--folder", str(folder), "--count", str(options.count)]
    command += ["--dense", str(options.dense), "--started", str(time.time())]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=options.limit
        )
    except subprocess.TimeoutExpired:
        return {"side": side, "fault": f"not done within {options.limit:g} s"}
    if done.returncode:
        return {"side": side, "fault": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def add_differences(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Add the largest difference of posteriors from the eager side of its kind."""
    for row in rows:
        path = folder / f"{row['side']}.npz"
        reference = folder / f"{REFERENCES[row['side'] not in OURS]}.npz"
        if path.exists() and reference.exists():
            with np.load(path) as found, np.load(reference) as wanted:
                row["difference"] = {
                    name: float(np.abs(found[name] - wanted[name]).max()) for name in wanted.files
                }


def main() -> None:
    """Measure all sides, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=64, help="photographs to answer for")
    parser.add_argument("--dense", type=int, default=6, help="photographs of the dense test")
    parser.add_argument("--limit", type=float, default=400.0, help="seconds of a side")
    parser.add_argument("--sides", help="comma-separated; default: all")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files = sorted(file for file in options.photos.iterdir() if file.is_file())
    files = files[: options.count]
    if options.side:
        run_side(options.side, options.folder, files, options.dense, options.started)
        return
    from verydeep.system.device import choose_machine, describe_environment

    sides = options.sides.split(",") if options.sides else [*THEIRS, *OURS]
    rows = []
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        folder = Path(name)
        os.environ["VERYDEEP_CACHE"] = str(folder / "cache")
        prepare(folder, files)
        verdicts = try_engines(folder)
        for side in sides:
            rows.append(measure(side, folder, options))
            print(json.dumps(rows[-1]), flush=True)
        add_differences(rows, folder)
    environment = describe_environment(choose_machine("cpu", "fp32"))
    result = {
        "what": "engines on net D, random weights, fp32 unless named otherwise",
        "photographs": len(files),
        "dense_photographs": options.dense,
        "load_average": os.getloadavg(),
        "rows": rows,
        "trials": verdicts,
        "environment": environment,
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
