"""Engines and quantization as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from verydeep.cli.text.columns import align

if TYPE_CHECKING:
    from verydeep.models.engines.verdicts import Verdict
    from verydeep.run.engines import EngineStates


def engines_as_text(states: EngineStates) -> str:
    """Return the engines as a table, and below it the verdicts for a model."""
    rows = [("engine", "version", "precisions", "install")]
    rows += [
        (
            one.name,
            one.version or "-",
            ", ".join(one.precisions),
            "" if one.version else f"pip install 'verydeep[{one.extra}]'",
        )
        for one in states.engines
    ]
    lines = [f"processor: {states.processor}", "", align(rows, left=4)]
    if states.model:
        lines += ["", f"on {states.model}:", *_verdict_lines(states)]
    return "\n".join(lines)


def _verdict_lines(states: EngineStates) -> Iterator[str]:
    for one in states.engines[1:]:
        for verdict in one.verdicts:
            yield f"  {one.name}, {verdict.precision}: {_in_words(verdict)}"
        if one.version and not one.verdicts:
            yield f"  {one.name}: not tried; --try tries it"


def _in_words(verdict: Verdict) -> str:
    if verdict.fault:
        return f"not used: {verdict.fault}"
    return (
        f"passed, {verdict.gain:.2f} times as fast as torch, posteriors differ by at most "
        f"{verdict.difference:.1e}"
    )


def quantization_as_text(value: dict[str, Any]) -> str:
    """Return the outcome of a quantization as text."""
    fp32, int8 = value["fp32"], value["int8"]
    rows = [
        ("", "top-1 error", "loss"),
        ("fp32", f"{fp32['top1_error']:.2f} %", f"{fp32['loss']:.4f}"),
        ("int8", f"{int8['top1_error']:.2f} %", f"{int8['loss']:.4f}"),
        (
            "difference",
            f"{value['error_difference']:+.2f} points",
            f"{value['loss_difference']:+.4f}",
        ),
        ("95 % interval", _interval(value["error_interval"], 2), _interval(value["loss_interval"])),
        ("bound", f"{value['error_bound']:+.2f} points", f"{value['loss_bound']:+.4f}"),
    ]
    return (
        f"{value['images']:,} images of {value['split']}, {value['protocol']}, engine "
        f"{value['engine']}\n{align(rows)}\n"
        f"only fp32 wrong: {value['only_fp32_wrong']}, only int8 wrong: "
        f"{value['only_int8_wrong']} (McNemar: p = {value['p_value']:.3f})\n{_end(value)}"
    )


def _interval(bounds: list[float], digits: int = 4) -> str:
    low, high = bounds
    return f"{low:+.{digits}f} to {high:+.{digits}f}"


def _end(value: dict[str, Any]) -> str:
    if value["within"]:
        return "kept: use it with --precision int8"
    if value["forced"]:
        return "worse than the bound, but kept as you forced it"
    return "not kept: worse than the bound; more --images may help, --force keeps it all the same"
