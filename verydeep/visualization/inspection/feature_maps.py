"""Feature maps of an image: the strongest channels of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from verydeep.inspection.activations import LayerMap, Unit, activations, default_layers
from verydeep.inspection.subject import Subject
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, WIDTH, Tile, draw_tiles
from verydeep.visualization.plots.fonts import key_to_numbers, name_or_number
from verydeep.visualization.plots.style import BLUE, brief_number, plain_axes, shortened

LONGEST, LONGEST_BESIDE = 8, 24
"""Maximum length of a class name above its map, and beside its bar, in characters."""

STRONGEST = 16
"""Number of channels drawn per layer."""


def maps_section(subject: Subject, layers: Sequence[str] = ()) -> Section:
    """Draw the activations of layers.

    Args:
        subject: The image.
        layers: Layers in addition to the default ones.

    Raises:
        InputError: The net has no such layer.
    """
    maps = activations(subject, (*default_layers(subject.model), *layers))
    return Section(
        name="maps",
        title="Feature maps by depth",
        lead=f"Activations of the {STRONGEST} strongest channels of a layer at every position of "
        f"the image: {_places(subject)}. Channels are ranked by their maximum, numbered from 0, "
        f"and computed in {subject.model.machine.precision}.",
        panels=tuple(_panel(subject, layer_map) for layer_map in maps),
        facts={"precision": subject.model.machine.precision, "layers": [*map(_facts, maps)]},
    )


def _places(subject: Subject) -> str:
    """Return in words which layers are shown by default."""
    net, shown = subject.model.net, default_layers(subject.model)
    scores = [layer for layer in shown if layer in net.score_layer]
    others = {*shown} - {*net.block_ends, *scores}
    words = ["after each block of convolutions (section 2.1 of the paper)"]
    words += ["after the penultimate layer"] if others else []
    words += [f"the scores before the {subject.activation}"] if scores else []
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _facts(layer_map: LayerMap) -> dict[str, Any]:
    channels, height, width = layer_map.values.shape
    return {
        "layer": layer_map.layer,
        "channels": channels,
        "height": height,
        "width": width,
        "active_share": layer_map.active_share,
        "silent_channels": layer_map.silent_channels,
        "strongest": [unit.to_dict() for unit in layer_map.strongest(STRONGEST)],
    }


def _panel(subject: Subject, layer_map: LayerMap) -> Panel:
    channels, height, width = layer_map.values.shape
    units = layer_map.strongest(STRONGEST)
    spread = height * width > 1
    first = units[0]
    where = f" at row {first.row}, column {first.column}" if spread else ""
    return Panel(
        name=f"maps-{layer_map.layer.replace('_', '-')}",
        title=f"{layer_map.layer}: {channels} channels of {width}x{height}",
        alt=f"The {len(units)} strongest of {channels} channels of {layer_map.layer}: "
        f"{_name(subject, first)} reaches {first.value:.3g}{where}, the last of them, "
        f"{_name(subject, units[-1])}, {units[-1].value:.3g}. "
        f"{100 * layer_map.active_share:.0f} % of all values are above 0.",
        figure=_draw_maps(subject, layer_map, units) if spread else _draw_bars(subject, units),
        caption=f"{_caption(subject, layer_map, spread=spread)} {_key(subject, units)}".rstrip(),
    )


def _caption(subject: Subject, layer_map: LayerMap, *, spread: bool) -> str:
    channels = len(layer_map.values)
    marks = " Each title gives the channel and its maximum, which a ring marks." * spread
    if _has_scores(subject, layer_map.layer):
        return f"The scores before the {subject.activation}.{marks}"
    return (
        f"{100 * layer_map.active_share:.0f} % of the layer's values are above 0; silent channels: "
        f"{layer_map.silent_channels} of {channels}.{marks}"
    )


def _key(subject: Subject, units: Sequence[Unit]) -> str:
    return key_to_numbers({unit.channel + 1: _name(subject, unit) for unit in units})


def _draw_maps(subject: Subject, layer_map: LayerMap, units: Sequence[Unit]) -> Figure:
    tiles = [
        Tile(
            layer_map.values[unit.channel].numpy(),
            f"{_short(subject, unit)}: {brief_number(unit.value)}",
            (unit.row, unit.column),
        )
        for unit in units
    ]
    drawn = layer_map.values[[unit.channel for unit in units]]
    scale = (float(drawn.min()), float(drawn.max()))
    return draw_tiles(tiles, 4, scale=scale, unit=_unit(subject, layer_map.layer))


def _draw_bars(subject: Subject, units: Sequence[Unit]) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.5 + 0.22 * len(units)), dpi=DOTS, layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(units)), [unit.value for unit in units], color=BLUE)
    names = [shortened(_drawn(subject, unit), LONGEST_BESIDE) for unit in units]
    axes.set_yticks(range(len(units)), names, fontsize=9, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(_unit(subject, units[0].layer), fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    plain_axes(axes)
    return figure


def _has_scores(subject: Subject, layer: str) -> bool:
    return layer in subject.model.net.score_layer


def _unit(subject: Subject, layer: str) -> str:
    return "score" if _has_scores(subject, layer) else "activation"


def _short(subject: Subject, unit: Unit) -> str:
    """Return a name that fits above a small map."""
    name = _drawn(subject, unit) if _has_scores(subject, unit.layer) else str(unit.channel)
    return shortened(name, LONGEST)


def _drawn(subject: Subject, unit: Unit) -> str:
    return name_or_number(_name(subject, unit), unit.channel + 1)


def _name(subject: Subject, unit: Unit) -> str:
    """Return the name of a channel: the title of a class, else a number."""
    if _has_scores(subject, unit.layer):
        return subject.model.title(unit.channel)
    return f"channel {unit.channel}"
