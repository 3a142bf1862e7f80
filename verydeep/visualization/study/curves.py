"""Error by depth, with the spread over seeds, and validation errors by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verydeep.study.conditions import TRAIN_SCALES, Condition, TrainScales
from verydeep.study.published import SINGLE, compared_error
from verydeep.study.results import Results
from verydeep.study.tables import mean_and_spread
from verydeep.study.wording import TRAINED, condition_title, tenths
from verydeep.visualization.plots.svg import Axis, Plot, finite, linear
from verydeep.visualization.study.cost import by_scale

DEPTHS = {"A": 11, "B": 13, "C": 16, "D": 16, "E": 19}
"""Nets by depth, with their layers with weights."""

Errors = Mapping[tuple[str, TrainScales], tuple[float, float | None]]
"""Mean error and spread by net and training scale, in percent."""


def depth_plots(results: Results) -> list[tuple[str, str]]:
    """Return (title, SVG) of the errors by depth, once there is one: study, then paper."""
    how = results.study.get("initialise", "staged")
    ours: dict[tuple[str, TrainScales], tuple[float, float | None]] = {}
    paper: dict[tuple[str, TrainScales], tuple[float, float | None]] = {}
    for net in DEPTHS:
        for train in TRAIN_SCALES:
            condition = Condition(net, train, how)
            errors = [one.top1_error for one in results.of(condition, SINGLE).values()]
            if errors:
                ours[net, train] = mean_and_spread(errors)
            if (known := compared_error(condition, SINGLE)) is not None:
                paper[net, train] = (known, None)
    plots = [("This study", ours), ("The paper (ILSVRC-2012)", paper)]
    return [(title, _by_depth(errors)) for title, errors in plots] if ours else []


def _by_depth(errors: Errors) -> str:
    places = dict(zip(DEPTHS, range(1, len(DEPTHS) + 1), strict=True))
    lows = [mean - (spread or 0) for mean, spread in errors.values()]
    highs = [mean + (spread or 0) for mean, spread in errors.values()]
    room = max(0.3, 0.08 * (max(highs) - min(lows)))
    y = linear(max(0.0, min(lows) - room), max(highs) + room, "top-1 error (%)")
    labels = tuple(f"{net} ({layers})" for net, layers in DEPTHS.items())
    x = Axis(
        0.6, len(DEPTHS) + 0.4, "net (layers with weights)", tuple(places.values()), False, labels
    )
    plot = Plot(x, y)
    said = []
    for train in TRAIN_SCALES:
        points = [(net, *errors[net, train]) for net in DEPTHS if (net, train) in errors]
        shift = 0.08 * (TRAIN_SCALES.index(train) - 1)
        plot.line([(places[net] + shift, mean) for net, mean, _ in points], train)
        for net, mean, spread in points:
            at = places[net] + shift
            plot.spot((at, mean), f"{train} solid")
            if spread:
                plot.segment((at, mean - spread), (at, mean + spread), f"{train} solid")
        if points:
            each = ", ".join(f"{net} {tenths(mean)}" for net, mean, _ in points)
            said.append(f"{TRAINED[train]}: {each}")
    return plot.svg(f"Top-1 error in percent by net. {'; '.join(said)}.")


def training_curves(results: Results) -> list[tuple[str, str]]:
    """Return (title, SVG) of the validation error by epoch for every trained condition."""
    found: dict[Condition, list[list[tuple[float, float]]]] = {}
    for (condition, _), record in results.trainings.items():
        if record.errors:
            curve = [(float(epoch), error) for epoch, error in enumerate(record.errors, 1)]
            found.setdefault(condition, []).append(curve)
    highest = max((y for curves in found.values() for curve in curves for _, y in curve), default=1)
    return [
        (condition_title(condition), _curves(curves, highest, condition.head != "classes"))
        for condition, curves in sorted(found.items(), key=lambda item: by_scale(item[0]))
    ]


def _curves(curves: Sequence[Sequence[tuple[float, float]]], highest: float, boxes: bool) -> str:
    error = "localization error" if boxes else "top-1 error"
    last = max(curve[-1][0] for curve in curves)
    x = linear(1, last, "epoch", whole=True, most=6)
    plot = Plot(x, linear(0, highest, f"validation {error} (%)"))
    for curve in curves:
        plot.line(curve, "validation thin")
    ends = finite([curve[-1][1] for curve in curves])
    seeds = f"{len(curves)} seed" + ("" if len(curves) == 1 else "s")
    return plot.svg(
        f"Validation {error} by epoch, {seeds}; after the last epoch "
        + ", ".join(f"{tenths(end)} %" for end in ends)
    )
