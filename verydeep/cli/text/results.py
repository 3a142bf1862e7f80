"""Test results as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.cli.text.abstention import abstention_rows
from verydeep.cli.text.columns import Cells, align
from verydeep.errors import plural
from verydeep.evaluation.metrics import has_top5, is_optimistic
from verydeep.localization.verdict import baseline_title, verdict

if TYPE_CHECKING:
    from verydeep.evaluation.walkthrough import Explanation, Glance, Stage

GLANCES = 12
"""Maximum number of views listed per stage of an explanation."""


def mirrors_as_text(result: Mapping[str, Any]) -> str:
    """Return whether the nets of a test had mirror images."""
    some = {True: "with", False: "without", None: "some nets with"}[result["flip"]]
    return f"{some} mirror images"


def result_as_text(result: dict[str, Any]) -> str:
    """Return the result of a test as text."""
    scales = ", ".join(str(scale) for scale in result["scales"])
    rows = [
        ("net", " + ".join(result["models"])),
        ("protocol", f"{result['protocol']}, Q = {scales}, {mirrors_as_text(result)}"),
        ("views", f"{result['views']} of each image"),
        ("split", result["split"]),
        ("images", f"{result['images']:,} counted, {len(result['unreadable'])} unreadable"),
        *_beware(result),
        ("top-1 error", _error(result, 1)),
        *([("top-5 error", _error(result, 5))] if has_top5(result) else []),
        *_accuracy(result),
        ("loss", f"{result['loss']:.4f}"),
        ("calibration error", _calibration_error(result)),
    ]
    if result["calibrated"]:
        at = result["calibrated"]
        rows += [
            (
                f"at temperature {at['temperature']:.3f}",
                f"loss {at['loss']:.4f}, calibration error {at['calibration_error']:.2f} %",
            )
        ]
    rows += abstention_rows(result.get("abstention"))
    rows += [("seconds", f"{result['seconds']:.1f}")]
    steps = "\n".join(f"  {place}. {step}" for place, step in enumerate(result["steps"], 1))
    return f"{align(rows, left=2)}\n\nHow:\n{steps}"


def _beware(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a warning if a test overstates the quality of the net."""
    reason = is_optimistic(result)
    if reason:
        yield "beware", reason


def _accuracy(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield accuracy and F1, which results of earlier versions lack."""
    if result.get("top1_accuracy") is None:
        return
    low, high = (100 - edge for edge in reversed(result["top1_interval"]))
    accuracy = result["top1_accuracy"]
    yield "accuracy", f"{accuracy:.2f} %  (95 % interval {low:.2f} to {high:.2f})"
    yield "macro F1", f"{result['macro_f1']:.2f} %"


def _calibration_error(result: Mapping[str, Any]) -> str:
    """Return the error beside that of a perfectly calibrated net, which few images inflate."""
    chance = result.get("calibration_error_by_chance")
    beside = "" if chance is None else f"  (a perfectly calibrated net: {chance:.2f} % on average)"
    return f"{result['calibration_error']:.2f} %{beside}"


def _error(result: dict[str, Any], k: int) -> str:
    low, high = result[f"top{k}_interval"]
    return f"{result[f'top{k}_error']:.2f} %  (95 % interval {low:.2f} to {high:.2f})"


def localization_as_text(result: dict[str, Any]) -> str:
    """Return the result of a box test, with baselines that ignore the image."""
    scales = ", ".join(str(scale) for scale in result["scales"])
    name, how = result["protocol"], ", true class"
    if name != "center":
        turns = "with" if result["flip"] else "without"
        how = f", {turns} mirror images, top {result['top']} classes"
    if result.get("grid"):  # results of earlier versions lack it
        name += " {}x{}".format(*result["grid"])
    rows = [
        ("box regressor", " + ".join(result["nets"])),
        ("classifier", " + ".join(result["models"]) or "none: the true class is told"),
        ("protocol", f"{name}, Q = {scales}{how}"),
        ("split", result["split"]),
        (
            "images",
            f"{result['images']:,} counted, {len(result['unreadable'])} unreadable, "
            f"{result['without_box']:,} without a box",
        ),
        *_beware(result),
        *_box_errors(result),
        ("mean IoU", f"{result['mean_iou']:.3f}  (box of the true class)"),
    ]
    for name, found in result["baselines"].items():
        rows += [
            (
                f"  {baseline_title(name)}",
                f"error {found['error']:.2f} %, mean IoU {found['mean_iou']:.3f}",
            ),
        ]
    rows += [("seconds", f"{result['seconds']:.1f}")]
    return f"{align(rows, left=2)}\n{_compared(result)}"


def _box_errors(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    errors = [("localization error", "localization_error", "localization_interval")]
    if result["protocol"] != "center":
        errors += [
            ("  likeliest class", "top1_localization_error", "top1_localization_interval"),
            ("  true class", "true_class_error", "true_class_interval"),
        ]
    for title, error, interval in errors:
        low, high = result[interval]
        yield title, f"{result[error]:.2f} %  (95 % interval {low:.2f} to {high:.2f})"


def table_as_text(table: dict[str, Any]) -> str:
    """Return the table of all protocols, with pairwise comparisons."""
    top5 = ("top-5", "95 %") if has_top5(table) else ()
    head = ("", "net", "protocol", "Q", "views", "top-1", "95 %", "F1", *top5, "seconds")
    cells = [head, *(_test_cells(test) for test in table["tests"])]
    lines = align(cells, left=4).splitlines()
    titles = groupby(
        zip(table["tests"], lines[1:], strict=True), key=lambda pair: str(pair[0]["table"])
    )
    body = [line for title, rows in titles for line in ("", title, *(line for _, line in rows))]
    unreadable = len(table["unreadable"])
    return "\n".join(
        [
            f"{table['images']:,} images of {table['split']}, {unreadable} unreadable; errors in "
            f"percent with 95 % intervals (Wilson); {table['seconds']:.1f} s in all",
            *(f"beware: {reason}" for _, reason in _beware(table)),
            "",
            lines[0],
            *body,
            "",
            "p-values of McNemar's test of the top-1 errors, row against column; below .05 the two "
            "differ by more than chance; few: they differ on too few images to tell",
            _comparisons(table),
        ]
    )


ENOUGH = 6
"""Minimum number of images on which two tests disagree for a p-value below .05."""


def _test_cells(test: dict[str, Any]) -> Cells:
    return (
        test["row"],
        "+".join(test["models"]),
        test["protocol"],
        ", ".join(str(scale) for scale in test["scales"]),
        str(test["views"]),
        f"{test['top1_error']:.2f}",
        "{:.1f}-{:.1f}".format(*test["top1_interval"]),
        f"{test['macro_f1']:.2f}",
        *_top5_cells(test),
        f"{test['seconds']:.1f}",
    )


def _top5_cells(test: dict[str, Any]) -> Cells:
    if not has_top5(test):
        return ()
    return f"{test['top5_error']:.2f}", "{:.1f}-{:.1f}".format(*test["top5_interval"])


def _comparisons(table: dict[str, Any]) -> str:
    names = [test["row"] for test in table["tests"]]
    compared = {(c["first"], c["second"]): c for c in table["comparisons"]}
    rows = [
        (second, *(_compared_cell(compared.get((first, second))) for first in names[:-1]))
        for second in names[1:]
    ]
    return align([("", *names[:-1]), *rows])


def _compared_cell(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return ""
    if comparison["only_first_wrong"] + comparison["only_second_wrong"] < ENOUGH:
        return "few"
    return _p_value(comparison["p_value"])


def _p_value(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def explanation_as_text(explanation: Explanation) -> str:
    """Return the steps of a test of one image."""
    lines = [str(explanation.source or "an image in memory"), ""]
    lines += [f"  {place}. {step}" for place, step in enumerate(explanation.steps, 1)]
    for stage in explanation.stages:
        lines += ["", *_stage_lines(explanation, stage)]
    name, probability = explanation.guess(explanation.likely)
    return "\n".join([*lines, "", f"averaged over all: {name} {100 * probability:.2f} %"])


def _stage_lines(explanation: Explanation, stage: Stage) -> Iterator[str]:
    height, width = stage.pixels.shape[:2]
    count = len(stage.glances)
    yield (
        f"net {stage.net + 1} ({stage.model}), Q = {stage.scale}: rescaled to {height}x{width} "
        f"(height x width), {stage.kind}, {_views(count)}"
    )
    times = Counter(glance.view for glance in stage.glances)
    distinct = {glance.view: glance for glance in stage.glances}
    rows: list[Cells] = [("top", "left", "height", "width", "", "", "map", "likeliest", "")]
    rows += [
        _glance_cells(explanation, glance, times[view])
        for view, glance in [*distinct.items()][:GLANCES]
    ]
    yield from ("  " + line for line in align(rows).splitlines())
    if len(distinct) > GLANCES:
        yield f"  ... and {len(distinct) - GLANCES} other views (all of them with --json)"
    name, probability = explanation.guess(stage.likely)
    yield f"  averaged over {_views(count)}: {name} {100 * probability:.2f} %"


def _views(count: int) -> str:
    return "1 view" if count == 1 else f"{count} views"


def _glance_cells(explanation: Explanation, glance: Glance, times: int) -> Cells:
    name, probability = explanation.guess(glance.likely)
    window, (h, w) = glance.view.window, glance.map_size
    resized = f" -> {glance.view.side}" if glance.view.side else ""
    return (
        *(str(number) for number in window[:3]),
        f"{window.width}{resized}",
        "mirrored" if glance.view.flip else "",
        f"{times} times" if times > 1 else "",
        f"{h}x{w}",
        name,
        f"{100 * probability:.2f} %",
    )


RUN_FIGURES = (
    ("top-1 error", "top1_error", "{:.2f} %"),
    ("95 %", "top1_interval", "{0[0]:.2f} to {0[1]:.2f}"),
    ("top-5 error", "top5_error", "{:.2f} %"),
    ("localization error", "localization_error", "{:.2f} %"),
    ("95 %", "localization_interval", "{0[0]:.2f} to {0[1]:.2f}"),
    ("mean IoU", "mean_iou", "{:.3f}"),
    ("mAP", "mean_average_precision", "{:.2f} %"),
    ("95 %", "mean_average_precision_interval", "{0[0]:.2f} to {0[1]:.2f}"),
    ("micro F1", "micro_f1", "{:.2f} %"),
    ("subset accuracy", "subset_accuracy", "{:.2f} %"),
    ("loss", "loss", "{:.4f}"),
    ("images", "images", "{:,}"),
)
"""Columns for the tests of a run, if measured: title, name in the metrics, format."""


def run_as_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the results of a run and the paths of its files."""
    first = metrics["tests"][0]
    shown = [(title, name, form) for title, name, form in RUN_FIGURES if _is_column(name, first)]
    rows: list[Cells] = [("test", "split", *(title for title, _, _ in shown))]
    for test in metrics["tests"]:
        name = f"{test['protocol']}, Q = {', '.join(str(q) for q in test['scales'])}"
        rows += [(name, test["split"], *_figures(test, shown))]
        rows += [
            (f"  {baseline_title(box)}", "", *_figures(_as_test(known), shown))
            for box, known in test.get("baselines", {}).items()
        ]
    compared = "".join(f"\n{_compared(test)}" for test in metrics["tests"] if "comparison" in test)
    return (
        f"{align(rows, left=2)}{compared}{_of_run(metrics)}\n\n"
        f"{plural(metrics['epochs'], 'epoch')}, {plural(metrics['drops'], 'drop')} of the learning "
        f"rate; training ended: {metrics['stopped_because']}.\n"
        f"model   {out / 'model'} ({_kept(metrics)})\n"
        f"report  {out / 'report.html'}"
    )


def _is_column(name: str, test: Mapping[str, Any]) -> bool:
    """Return whether a test has a measure; box regressors have no top-1 error."""
    if name == "top5_error" and not has_top5(test):
        return False
    needed = "top1_error" if name == "top1_interval" else name
    return test.get(needed) is not None


def _of_run(metrics: Mapping[str, Any]) -> str:
    """Return further lines on the test by the run's protocol: accuracy and warnings."""
    figures = ", ".join(" ".join(pair) for pair in _accuracy(metrics)).replace("%  (", "% (")
    by = f"{metrics['protocol']}: {figures}" if figures else None
    reason = is_optimistic(metrics) if "images" in metrics else None
    return "".join(f"\n{line}" for line in (by, reason and f"beware: {reason}") if line)


def _kept(metrics: Mapping[str, Any]) -> str:
    """Return the kept epoch and the reason; runs of earlier versions always kept the best."""
    epoch = metrics.get("kept_epoch", metrics["best_epoch"])
    last = epoch == metrics["epochs"] and metrics.get("selected_on", "val") is None
    return f"epoch {epoch}, {'the last' if last else 'the best on validation'}"


def _figures(measured: Mapping[str, Any], shown: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    for _, name, form in shown:
        value = measured.get(name)
        known = value is not None and not (isinstance(value, list) and None in value)
        yield form.format(value) if known else ""


def _as_test(baseline: Mapping[str, float]) -> dict[str, float]:
    return {"localization_error": baseline["error"], "mean_iou": baseline["mean_iou"]}


def _compared(test: Mapping[str, Any]) -> str:
    """Return one or two lines that compare a box regressor with its best baseline."""
    found = test["comparison"]
    compared = (
        f"with the true class, against the {baseline_title(found['baseline'])}: right where the "
        f"other is not on {found['only_net_right']:,} and {found['only_baseline_right']:,} "
        f"images, p-value {_p_value(found['p_value'])} (McNemar)"
    )
    said = verdict(found)
    return f"{said}\n{compared}" if said else compared


def calibration_as_text(calibration: dict[str, Any]) -> str:
    """Return the fitted temperature, its data, and whether it was kept."""
    gain = calibration["gain"]
    less = " (a gain of {:.4f} to {:.4f}, 95 % interval)".format(*gain) if gain else ""
    kept = (
        "kept with the model (--calibrate none removes it)"
        if calibration["kept"]
        else "not kept: too few images, or the probabilities are well calibrated already. The "
        "model stays as it was"
    )
    return (
        f"temperature {calibration['temperature']:.4f}, fitted on {calibration['images']:,} images "
        f"of {calibration['split']} ({calibration['protocol']}): loss there "
        f"{calibration['loss_before']:.4f} before, {calibration['loss_held_out']:.4f} after, each "
        f"image held out from the fit{less}; {kept}"
    )


def no_calibration_as_text(removed: bool) -> str:
    """Return a message that a model has no temperature."""
    return "the temperature was removed" if removed else "the model has no temperature"
