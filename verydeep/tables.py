"""Results as text for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.nets.anatomy import Anatomy, Part
from verydeep.nets.table import TABLE_1, weight_layers

if TYPE_CHECKING:
    from verydeep.classifier import Prediction

Cells = Sequence[str]


def align(rows: Sequence[Cells], left: int = 1) -> str:
    """Return rows as columns: the first ``left`` flush left, numbers flush right.

    >>> print(align([("net", "layers"), ("A", "11")]))
    net  layers
    A        11
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def nets_as_text(nets: Sequence[Anatomy]) -> str:
    """Return Tables 1 and 2: kernels block by block, depth, weights, work."""
    head = ("net", "64", "128", "256", "512", "512")
    numbers = ("layers", "parameters", "in FC layers", "multiply-adds", "receptive field")
    rows: list[Cells] = [(*head, *numbers)]
    for net in nets:
        blocks = (" ".join(str(kernel) for kernel in block) for block in TABLE_1[net.name])
        in_fc = net.parameters - net.convolution_parameters
        rows.append(
            (
                net.name,
                *blocks,
                str(weight_layers(net.name)),
                f"{net.parameters:,}",
                f"{100 * in_fc / net.parameters:.1f} %",
                f"{net.multiply_adds / 1e9:.3f} G",
                f"{net.receptive_field} px",
            )
        )
    size = nets[0].input_size
    return (
        f"{align(rows, left=6)}\n\n"
        "Sides of the kernels in the five blocks of convolutions, named by their channels; a 2x2\n"
        f"max-pool follows each block, then FC-{4096}, FC-{4096} and the classes. Counted for "
        f"{size}x{size} RGB.\nLayer by layer: verydeep nets D"
    )


def nets_as_json(nets: Sequence[Anatomy]) -> dict[str, Any]:
    """Return the same as plain values."""
    return {
        "nets": [
            {
                "name": net.name,
                "blocks": [list(block) for block in TABLE_1[net.name]],
                "weight_layers": weight_layers(net.name),
                **_sums(net),
            }
            for net in nets
        ]
    }


def layers_as_text(net: Anatomy) -> str:
    """Return a net layer by layer."""
    head = ("layer", "output", "parameters", "share", "multiply-adds", "memory", "sees", "stride")
    rows: list[Cells] = [head, *(_layer_cells(part, net) for part in net.parts)]
    total = (
        "all",
        "",
        f"{net.parameters:,}",
        "100.0 %",
        f"{net.multiply_adds:,}",
        _megabytes(net.memory),
        "",
        "",
    )
    return (
        f"net {net.name}, input {net.input_size}x{net.input_size}\n\n{align([*rows, total])}\n\n"
        "Memory of the outputs in float32 for one picture; sees: side of the receptive field, and\n"
        "stride: distance of neighbouring outputs, both in pixels of the input."
    )


def layers_as_json(net: Anatomy) -> dict[str, Any]:
    """Return the same as plain values; memory in bytes, receptive field and stride in pixels."""
    layers = [
        {
            "name": part.layer.name,
            "kind": part.layer.kind,
            "output": [part.channels, part.size, part.size],
            "parameters": part.parameters,
            "multiply_adds": part.multiply_adds,
            "memory": part.memory,
            "receptive_field": part.receptive_field,
            "stride": part.stride,
        }
        for part in net.parts
    ]
    return {"name": net.name, "input_size": net.input_size, **_sums(net), "layers": layers}


def _sums(net: Anatomy) -> dict[str, int]:
    return {
        "parameters": net.parameters,
        "convolution_parameters": net.convolution_parameters,
        "multiply_adds": net.multiply_adds,
        "memory": net.memory,
        "receptive_field": net.receptive_field,
    }


def _layer_cells(part: Part, net: Anatomy) -> Cells:
    flat = part.layer.name[-1] in "678" and part.layer.kind != "pool" and part.size == 1
    output = f"{part.channels}" if flat else f"{part.channels}x{part.size}x{part.size}"
    return (
        part.layer.name,
        output,
        f"{part.parameters:,}" if part.parameters else "",
        f"{100 * part.parameters / net.parameters:.1f} %" if part.parameters else "",
        f"{part.multiply_adds:,}" if part.multiply_adds else "",
        _megabytes(part.memory),
        f"{part.receptive_field}",
        f"{part.stride}",
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def result_as_text(result: dict[str, Any]) -> str:
    """Return the result of a test."""
    scales = ", ".join(str(scale) for scale in result["scales"])
    mirror = "with" if result["flip"] else "without"
    return align(
        [
            ("net", " + ".join(result["models"])),
            ("protocol", f"{result['protocol']}, Q = {scales}, {mirror} mirror image"),
            ("split", result["split"]),
            ("images", f"{result['images']:,} counted, {len(result['unreadable'])} unreadable"),
            ("top-1 error", f"{result['top1_error']:.2f} %"),
            ("top-5 error", f"{result['top5_error']:.2f} %"),
            ("loss", f"{result['loss']:.4f}"),
            ("seconds", f"{result['seconds']:.1f}"),
        ],
        left=2,
    )


def run_as_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the end of a run: what was measured and where things are."""
    rows: list[Cells] = [("test", "split", "top-1 error", "top-5 error", "loss", "images")]
    rows += [
        (
            f"{test['protocol']}, Q = {', '.join(str(q) for q in test['scales'])}",
            test["split"],
            f"{test['top1_error']:.2f} %",
            f"{test['top5_error']:.2f} %",
            f"{test['loss']:.4f}",
            f"{test['images']:,}",
        )
        for test in metrics["tests"]
    ]
    return (
        f"{align(rows, left=2)}\n\n"
        f"{metrics['epochs']} epochs, {metrics['drops']} drops of the learning rate; ended because "
        f"of {metrics['stopped_because']}.\n"
        f"model   {out / 'model'} (epoch {metrics['best_epoch']}, the best on validation)\n"
        f"report  {out / 'report.html'}"
    )


def predictions_as_text(predictions: Sequence[Prediction]) -> str:
    """Return a block of lines a picture."""
    return "\n".join(line for prediction in predictions for line in _prediction_lines(prediction))


def _prediction_lines(prediction: Prediction) -> Iterator[str]:
    if prediction.fault:
        return
    yield str(prediction.source)
    for name, probability in prediction.ranking:
        yield f"  {100 * probability:5.1f} %  {name}"


def predictions_as_json(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the predictions as plain values."""
    return {
        "predictions": [
            {
                "file": str(prediction.source),
                "classes": [{"class": k, "probability": p} for k, p in prediction.ranking],
            }
            for prediction in predictions
            if not prediction.fault
        ],
        "unreadable": [str(p.source) for p in predictions if p.fault],
    }


def predictions_as_rows(predictions: Sequence[Prediction]) -> Iterator[list[str]]:
    """Yield rows for a CSV file: a head, then a line a picture."""
    count = max((len(p.ranking) for p in predictions), default=0)
    head = (f"{what}_{place}" for place in range(1, count + 1) for what in ("class", "probability"))
    yield ["file", *head]
    for prediction in predictions:
        cells = (cell for name, p in prediction.ranking for cell in (name, f"{p:.6f}"))
        row = [str(prediction.source), *cells]
        yield row + [""] * (1 + 2 * count - len(row))
