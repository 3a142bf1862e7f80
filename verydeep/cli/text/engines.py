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
    several = "precision_difference" in value
    title, key, kind, sign = (
        ("mean average precision", "mean_average_precision", "precision", -1)
        if several
        else ("top-1 error", "top1_error", "error", 1)
    )
    rows = [
        ("", title, "loss"),
        *((name, f"{value[name][key]:.2f} %", f"{value[name]['loss']:.4f}") for name in _VARIANTS),
        (
            "difference",
            f"{value[f'{kind}_difference']:+.2f} points",
            f"{value['loss_difference']:+.4f}",
        ),
        (
            "95 % interval",
            _interval(value[f"{kind}_interval"], 2),
            _interval(value["loss_interval"]),
        ),
        ("bound", f"{sign * value[f'{kind}_bound']:+.2f} points", f"{value['loss_bound']:+.4f}"),
    ]
    more = _labels if several else _errors
    return (
        f"{value['images']:,} images of {value['split']}, {value['protocol']}, engine "
        f"{value['engine']}\n{align(rows)}\n{more(value)}\n{_end(value)}"
    )


_VARIANTS = ("fp32", "int8")


def _labels(value: dict[str, Any]) -> str:
    fp32, int8 = (value[name]["micro_f1"] for name in _VARIANTS)
    return f"micro F1 at the model's thresholds: fp32 {fp32:.2f} %, int8 {int8:.2f} %"


def _errors(value: dict[str, Any]) -> str:
    return (
        f"only fp32 wrong: {value['only_fp32_wrong']}, only int8 wrong: "
        f"{value['only_int8_wrong']} (McNemar: p = {value['p_value']:.3f})"
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
