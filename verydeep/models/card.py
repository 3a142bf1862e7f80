"""Model card: a description of a model, its measured errors and its use, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from verydeep.errors import plural
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.metrics import TITLES
from verydeep.nets.norm import norm_name
from verydeep.nets.registry import family_of
from verydeep.system.markdown import escape_markdown

if TYPE_CHECKING:
    from verydeep.models.trained_net import TrainedNet

IN_A_TABLE = 60
"""Maximum number of classes listed in a table, one per row."""

PERCENT = (
    *("top1_accuracy", "macro_f1", "calibration_error", "calibration_error_by_chance"),
    *("mean_average_precision", "micro_average_precision", "voc2007_mean_average_precision"),
    *("micro_f1", "micro_precision", "micro_recall", "subset_accuracy", "hamming_loss"),
)
"""Measures in percent, in addition to all errors."""

PLAIN = ("coverage_error",)
"""Errors that are not in percent."""

HOW = (
    *("images", "unreadable", "split", "protocol", "scales", "flip", "grid", "average", "views"),
    *("steps", "models", "nets", "seconds", "classes", "baselines", "calibrated", "top", "merging"),
    *("trained_on", "validated_on", "engine", "precision", "unlabelled", "thresholds_fitted_on"),
)
"""Keys that describe the test; all other keys are measures."""


def model_card(model: TrainedNet, use: Sequence[str], answers: str = "classes") -> str:
    """Return the model card in Markdown, with names of classes and files escaped.

    Args:
        model: Trained net.
        use: Example code, as lines of Python.
        answers: Text after the number of classes in the heading.
    """
    sections = {
        "Use": ["```python", "import verydeep", "", *use, "```"],
        "Measured": [*_measured(model)],
        "When it does not know": [*_promises(getattr(model, "abstention", None))],
        "Preprocessing": [*_preprocessing(model)],
        "Classes": [*_classes(model)],
        "Limits": [*_limits(model)],
    }
    if not model.classes:
        answers = "convolutions only"
        sections = {"Use": sections["Use"], "Preprocessing": sections["Preprocessing"]}
    else:
        answers = f"{len(model.classes)} {answers}"
    kind = "VGG net" if family_of(model.net.name).adaptable else "Net"
    lines = [f"# {kind} {model.net.name}, {answers}", "", *_what_it_is(model)]
    for heading, body in sections.items():
        if not body:
            continue
        lines += ["", f"## {heading}", "", *body]
    return "\n".join(lines) + "\n"


def _what_it_is(model: TrainedNet) -> Iterator[str]:
    net, settings = model.net, model.net.settings()
    norm = norm_name(settings.get("batch_norm", False)) or "none"
    colours = "RGB" if net.channels == 3 else "grey"
    paper = family_of(net.name).paper
    yield (
        f"Net {net.name} of {paper}, made for {net.input_size}x{net.input_size}"
        f" {colours} crops, width {settings['width']:g}, norm {norm}; "
        f"{sum(p.numel() for p in net.parameters()):,} parameters. {_origin(model)}"
    )


def _origin(model: TrainedNet) -> str:
    """Return where the weights come from, as a sentence or two."""
    source = model.source
    if source is None:
        return (
            "Trained with verydeep on photographs of the classes below; the run's `recipe.yaml` "
            "and `data.json` say how and on which."
        )
    name = escape_markdown(str(source.get("name") or source["file"]))
    licence = source.get("licence")
    stated = f" Licence of the weights: {escape_markdown(str(licence))}." if licence else ""
    return f"Weights of {name} ({escape_markdown(source['format'])}), imported.{stated}"


def _measured(model: TrainedNet) -> Iterator[str]:
    measured = model.measured
    if not measured:
        yield "Nothing yet: `verydeep evaluate` measures it."
        return
    yield from ("| measure | value | 95 % interval |", "|---|---|---|")
    for key, value in measured.items():
        if not _is_measure(key, value) or (key.startswith("top5") and len(model.classes) <= 5):
            continue
        interval = measured.get(_interval_key(key))
        between = "{:.1f} to {:.1f} %".format(*interval) if interval else ""
        yield f"| {_title(key)} | {_value(key, value)} | {between} |"
    for name, baseline in (measured.get("baselines") or {}).items():
        for key, value in baseline.items():
            what = f"to compare: {name.replace('_', ' ')}, {_title(key)}"
            yield f"| {escape_markdown(what)} | {_value(key, value)} | |"
    yield from _how_measured(measured)


def _interval_key(measure: str) -> str:
    if "_error" in measure:
        return measure.replace("_error", "_interval")
    return f"{measure}_interval"


def _is_measure(key: str, value: Any) -> bool:
    plain = value is not None and isinstance(value, int | float | str)
    return plain and key not in HOW and not key.endswith("_interval")


def _title(key: str) -> str:
    words = key.replace("top1_", "top-1 ").replace("top5_", "top-5 ").replace("_", " ")
    return escape_markdown(TITLES.get(key, words))


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        error = (key.endswith("error") and key not in PLAIN) or key in PERCENT
        return f"{value:.2f} %" if error else f"{value:,}" if type(value) is int else f"{value:.4g}"
    return escape_markdown(str(value))


def _how_measured(measured: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences about the test images and the test protocol."""
    said = []
    if "images" in measured:
        split = escape_markdown(str(measured.get("split", "")))
        on = f" of the split {split}" * bool(split)
        said.append(f"Measured on {plural(measured['images'], 'image')}{on}.")
    if "protocol" in measured:
        scales = ", ".join(map(str, measured.get("scales") or ()))
        at = f" at scales Q = {scales} pixels" * bool(scales)
        mirrored = "with" if measured.get("flip") else "without"
        protocol = escape_markdown(str(measured["protocol"]))
        said.append(f"Test protocol: {protocol}{at}, {mirrored} mirror images.")
    if measured.get("unreadable"):
        said.append(f"Not counted, as they cannot be read: {len(measured['unreadable']):,}.")
    if measured.get("trained_on"):
        seen = plural(measured["trained_on"], "of these images", "of these images")
        said.append(f"The net was trained on {seen}: its error on new ones is larger.")
    if said:
        yield from ("", " ".join(said))
    if measured.get("steps"):
        yield ""
        for number, step in enumerate(measured["steps"], start=1):
            yield f"{number}. {escape_markdown(str(step))}"


def _promises(learned: Abstention | None) -> Iterator[str]:
    """Yield what the model promises of its answers; nothing if it has not learned that."""
    if learned is None:
        return
    if kept := learned.threshold:
        share = 100 * kept.answered / kept.images
        yield (
            f"- It answers from {100 * kept.least:.1f} % on for the likeliest class. With "
            f"{kept.confidence:g} % confidence, at most {kept.error:g} % of its answers are wrong; "
            f"tested on {plural(kept.images, 'image')}, of which {share:.1f} % were answered."
        )
    if sets := learned.sets:
        yield (
            f"- Its sets of classes contain the true class for {sets.coverage:g} % of images, on "
            f"average over calibrations; learned on {plural(sets.images, 'image')}, with "
            f"{sets.mean_size:.2f} classes on average."
        )
    if familiar := learned.familiar:
        yield (
            f"- It refuses images whose {familiar.layer} features lie far from those of "
            f"{plural(familiar.reference, 'training image')}, and at most {familiar.refused:g} % "
            "of familiar images on average."
        )
    split, protocol = escape_markdown(learned.split), escape_markdown(learned.protocol)
    yield f"- All this holds for images like those of the split {split}, in the test {protocol}."


def _preprocessing(model: TrainedNet) -> Iterator[str]:
    low_high = sorted(set(model.train_scale))
    mean = ", ".join(f"{value:.2f}" for value in model.preprocessing.mean)
    grey = ", averaged to grey" if model.preprocessing.channels == 1 else ""
    divisor = f"{model.preprocessing.divisor:g}"
    yield f"- RGB from 0 to 255, minus the mean {mean}, divided by {divisor}{grey}."
    yield f"- Trained at S = {' to '.join(map(str, low_high))} pixels (smallest side)."
    scales = ", ".join(map(str, model.test_scales))
    mirrored = "with" if model.test_flip else "without"
    yield f"- Used at Q = {scales} pixels (smallest side), {mirrored} mirror images by default."


def _classes(model: TrainedNet) -> Iterator[str]:
    titles = [escape_markdown(model.title(label)) for label in range(len(model.classes))]
    if len(titles) > IN_A_TABLE:
        yield f"By number, from 0: {', '.join(titles)}"
        return
    limits = getattr(model, "thresholds", None)
    named = any(model.title(k) != name for k, name in enumerate(model.classes))
    head = ("number", "class", *["name in the data"] * named, *["threshold"] * bool(limits))
    yield from (f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
    for label, title in enumerate(titles):
        more = f" {escape_markdown(model.classes[label])} |" if named else ""
        more += f" {limits.values[label]:.3f} |" if limits else ""
        yield f"| {label} | {title} |{more}"


def _limits(model: TrainedNet) -> Iterator[str]:
    if getattr(model, "multi_label", False):
        yield (
            f"It knows these {plural(len(model.classes), 'class', 'classes')} alone. An image may "
            "have several of them, or none: each class has a probability of its own, and those "
            "that reach their threshold are predicted. What was measured holds for images like "
            f"those of the test. {_licences(model)}"
        )
        return
    yield (
        f"It knows these {plural(len(model.classes), 'class', 'classes')} alone: an image of "
        "anything else gets one of them, too, often with a high probability. What was measured "
        f"holds for images like those of the test; expect more errors on others. {_licences(model)}"
    )


def _licences(model: TrainedNet) -> str:
    if (model.source or {}).get("licence"):
        return "The licence of the training images is not recorded here."
    return "The licences of the training images and of this model are not recorded here."
