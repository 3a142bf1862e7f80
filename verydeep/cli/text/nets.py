"""All nets, and one net layer by layer, as text and plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.nets.anatomy import Anatomy, LayerAnatomy
from verydeep.nets.families import NEIGHBOURS
from verydeep.nets.table import COLUMNS, weight_layers


def nets_as_text(nets: Sequence[Anatomy]) -> str:
    """Return Tables 1 and 2: kernels by block, depth, parameters, multiply-adds."""
    head = ("net", "64", "128", "256", "512", "512")
    numbers = ("layers", "parameters", "in FC layers", "multiply-adds", "receptive field")
    rows: list[Cells] = [(*head, *numbers)]
    for net in nets:
        blocks = (" ".join(str(kernel) for kernel in block) for block in COLUMNS[net.name])
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
        f"{size}x{size} RGB. B-5x5 is the\n"
        "shallow net of section 4.1: B with one 5x5 in place of each pair of 3x3.\n"
        "Layer by layer: verydeep nets D\n\n"
        f"Neighbours, each with a recipe of its name:\n{align(_neighbours(), left=2)}"
    )


def _neighbours() -> list[Cells]:
    return [(name, f"{one.paper}: {one.known_for}") for one in NEIGHBOURS for name in one.names]


def nets_as_json(nets: Sequence[Anatomy]) -> dict[str, Any]:
    """Return Tables 1 and 2 as plain values."""
    return {
        "nets": [
            {
                "name": net.name,
                "blocks": [list(block) for block in COLUMNS[net.name]],
                "weight_layers": weight_layers(net.name),
                **_sums(net),
            }
            for net in nets
        ],
        "neighbours": [
            {"name": name, "paper": one.paper, "known_for": one.known_for, "recipe": one.recipe}
            for one in NEIGHBOURS
            for name in one.names
        ],
    }


def layers_as_text(net: Anatomy) -> str:
    """Return a net as a table with one line per layer."""
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
        "Memory of the outputs in float32 for one image; sees: side of the receptive field, and\n"
        "stride: distance of neighbouring outputs, both in pixels of the input."
    )


def layers_as_json(net: Anatomy) -> dict[str, Any]:
    """Return a net by layer; memory in bytes, receptive field and stride in pixels."""
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


def _layer_cells(part: LayerAnatomy, net: Anatomy) -> Cells:
    # Layers after the first fully connected one have features, not maps.
    kinds = [one.layer.kind for one in net.parts[: net.parts.index(part) + 1]]
    flat = "fc" in kinds
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
