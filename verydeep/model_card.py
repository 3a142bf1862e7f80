"""The model card: what a model is, what was measured, how to use it; for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from verydeep.evaluation.titles import has_top5

if TYPE_CHECKING:
    from verydeep.trained_net import TrainedNet


def model_card(model: TrainedNet, use: Sequence[str], answers: str = "classes") -> str:
    """Return the model card: what the model is, what was measured, how to use it.

    Args:
        model: The trained net.
        use: Lines of Python that use it.
        answers: What it was trained to tell of its classes.
    """
    net, low_high = model.net, sorted(set(model.train_scale))
    lines = [
        f"# VGG net {net.name}, {len(model.classes)} {answers}",
        "",
        f"Net {net.name} of Simonyan & Zisserman (2014), made for {net.input_size}x{net.input_size}"
        f" RGB crops, width {net.width:g}, norm {net.norm or 'none'}; "
        f"{sum(p.numel() for p in net.parameters()):,} parameters.",
        f"Trained at S = {' to '.join(str(s) for s in low_high)} pixels (smallest side).",
        "",
        "## Measured",
        "",
        *_measured(model.measured),
        "",
        "## Classes",
        "",
        ", ".join(model.title(label) for label in range(len(model.classes))),
        "",
        "## Use",
        "",
        "```python",
        "import verydeep",
        "",
        *use,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _measured(measured: Mapping[str, Any] | None) -> list[str]:
    if not measured:
        return ["Nothing yet."]
    return ["| what | value |", "|---|---|"] + [
        f"| {key} | {value:.4g} |" if isinstance(value, float) else f"| {key} | {value} |"
        for key, value in _flat(measured)
    ]


def _flat(measured: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what there is to say: a box net's test has no top-1 error, nor a classifier beside."""
    for key, value in measured.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}: {inner}", what) for inner, what in _flat(value))
        elif key.startswith("top5") and not has_top5(measured):
            continue
        elif key.endswith("_interval") and value:
            yield f"{key} (95 %)", "{:.2f} to {:.2f}".format(*value)
        elif value is not None and value not in ((), []):
            yield key, value
