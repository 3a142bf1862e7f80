"""Output files of a test: tables for further statistics, and plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from verydeep.data.dataset import relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.decode import decode
from verydeep.data.images.member import ImageSource
from verydeep.data.layouts.coco import numbering
from verydeep.data.name_forms import nfc
from verydeep.evaluation.all_protocols import EvaluationTable
from verydeep.evaluation.calibration import BINS, Bin, reliability, temper
from verydeep.evaluation.confusion import ClassErrors, class_errors, confusion_matrix
from verydeep.evaluation.label_table import MultiLabelTable
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.result import Answers, EvaluationResult
from verydeep.localization.protocol import BoxProtocol
from verydeep.run.testing.bench import Bench
from verydeep.run.testing.label_files import write_labels
from verydeep.system.csv_text import digits, write_csv
from verydeep.system.files import write_json
from verydeep.visualization.plots.confusion import draw_confusion
from verydeep.visualization.plots.reliability import draw_reliability
from verydeep.visualization.plots.style import save_figure

if TYPE_CHECKING:
    from verydeep.localization.coco_export import Numbers
    from verydeep.localization.result import LocalizationResult


def write_result(result: EvaluationResult | MultiLabelResult, folder: Path) -> None:
    """Write the files of a test.

    These are ``result.json``; ``posteriors.csv``, one line per image; ``classes.csv``, per-class
    errors; ``confusion.csv`` and ``.png``; ``reliability.csv`` and ``.png``. For multi-label
    classifiers see :mod:`verydeep.run.testing.label_files`.
    """
    write_json(folder / "result.json", result.to_dict())
    if isinstance(result, MultiLabelResult):
        write_labels(result, folder)
        return
    answers = result.answers
    write_csv(folder / "posteriors.csv", _posterior_rows(answers))
    _write_classes(answers, folder)
    _write_reliability(result, folder)


def write_table(table: EvaluationTable | MultiLabelTable, folder: Path) -> None:
    """Write the table of all protocols, and each test to a folder named by its letter."""
    write_json(folder / "result.json", table.to_dict())
    for row in table.rows:
        write_result(row.result, folder / row.letter)


def write_localization(result: LocalizationResult, bench: Bench, folder: Path) -> None:
    """Write the files of a box test.

    These are ``result.json``; ``boxes.csv``, one line per image; ``coco_truth.json`` and
    ``coco_results.json`` for COCO's tools, with the original ids of a COCO data set;
    ``gallery.png``, the best and worst boxes; and, unless the true class was given,
    ``merging.png``, the merging of boxes for the image of median IoU.
    """
    from verydeep.localization.coco_export import coco_results, coco_truth
    from verydeep.visualization.plots.localization import draw_gallery

    net, places = bench.regressors[0], _places(bench)
    write_json(folder / "result.json", result.to_dict())
    write_csv(folder / "boxes.csv", _box_rows(result, net.classes))
    numbers = _numbers(result, bench, places)
    write_json(folder / "coco_truth.json", coco_truth(result.answers, net.classes, numbers))
    located = [answer.located for answer in result.answers]
    write_json(folder / "coco_results.json", coco_results(located, len(net.classes), numbers))
    gallery = draw_gallery(result.answers, lambda answer: decode(places[answer.name]), net.title)
    save_figure(gallery, folder / "gallery.png")
    if result.protocol != "center":
        ranked = sorted(result.answers, key=lambda answer: answer.overlap)
        chosen = ranked[len(ranked) // 2]
        picture = decode(places[chosen.name])
        _draw_merging(result, bench, picture, chosen.label, folder / "merging.png")


def _places(bench: Bench) -> dict[str, ImageSource]:
    """Return the locations of images by their names in a result."""
    return {relative_name(sample.path, bench.dataset.root): sample.path for sample in bench.samples}


def _numbers(
    result: LocalizationResult, bench: Bench, places: Mapping[str, ImageSource]
) -> Numbers | None:
    """Return the ids of images and classes in the COCO file of the data; None without one."""
    if bench.dataset.coco is None:
        return None
    pictures = [str(places[answer.name]) for answer in result.answers]
    found = numbering(bench.dataset.coco, pictures, bench.split)
    if found is None:
        return None
    from verydeep.localization.coco_export import Numbers

    labels = enumerate(map(nfc, bench.regressors[0].classes))
    categories = {
        label: found.categories[name] for label, name in labels if name in found.categories
    }
    return Numbers([found.images[picture] for picture in pictures], categories)


def _draw_merging(
    result: LocalizationResult, bench: Bench, picture: Image.Image, label: int, path: Path
) -> None:
    from verydeep.localization.detect import merging_of
    from verydeep.visualization.plots.localization import draw_merging

    grid = {"grid": result.grid} if result.grid else {}
    how = {"flip": result.flip, **grid, **result.merging}
    protocol = BoxProtocol(result.protocol, result.scales, **how)  # type: ignore[arg-type]
    steps = merging_of(bench.classifiers, bench.regressors, picture, protocol, label)
    save_figure(draw_merging(picture, steps), path)


def _box_rows(result: LocalizationResult, classes: Sequence[str]) -> Iterable[Sequence[Any]]:
    """Yield the true class's box and IoU, and the most likely classes with their boxes."""
    guessed = max((len(answer.located.guesses) for answer in result.answers), default=0)
    head = (*("class", "probability"), *Box._fields)
    numbered = (f"{name}_{place}" for place in range(1, guessed + 1) for name in head)
    yield ("file", "class", "iou", *Box._fields, *numbered)
    for answer in result.answers:
        given = answer.located.given
        row: list[Any] = [answer.name, classes[answer.label], digits(answer.overlap, ".6f")]
        row += _edges(given.box if given else None)
        for guess in answer.located.guesses:
            likely = guess.probability
            shown = "" if likely is None else digits(likely, ".9g")
            row += [classes[guess.label], shown, *_edges(guess.box)]
        yield row


def _edges(box: Box | None) -> list[str]:
    return [digits(edge, ".3f") for edge in box] if box else [""] * len(Box._fields)


def _posterior_rows(answers: Answers) -> Iterable[Sequence[Any]]:
    yield ("file", "class", "likeliest", *answers.classes)
    guesses = answers.guesses.tolist()
    for name, label, guess, likely in zip(
        answers.names, answers.labels.tolist(), guesses, answers.posteriors, strict=True
    ):
        # Nine digits represent a float32 exactly.
        shares = (digits(value, ".9g") for value in likely.tolist())
        yield (name, answers.classes[label], answers.classes[guess], *shares)


def _write_classes(answers: Answers, folder: Path) -> None:
    confusion = confusion_matrix(answers.posteriors, answers.labels)
    errors = class_errors(confusion, answers.classes)
    head = [*(part.name for part in fields(ClassErrors)), "of_them"]
    rows = ((*astuple(e)[:-1], *(e.mostly_taken_for or ("", ""))) for e in errors)
    write_csv(folder / "classes.csv", [head, *rows])
    counts = zip(answers.classes, confusion.tolist(), strict=True)
    table = [(name, *row) for name, row in counts]
    write_csv(folder / "confusion.csv", [("true class", *answers.classes), *table])
    save_figure(draw_confusion(confusion, answers.classes), folder / "confusion.png")


def _write_reliability(result: EvaluationResult, folder: Path) -> None:
    answers = result.answers
    curves = {"as measured": reliability(answers.posteriors, answers.labels, BINS)}
    if result.calibrated:
        temperature = result.calibrated["temperature"]
        tempered = temper(answers.posteriors, temperature)
        name = f"at temperature {temperature:.3f}"
        curves[name] = reliability(tempered, answers.labels, BINS)
    head = ("curve", *(part.name for part in fields(Bin)))
    rows = [(name, *astuple(part)) for name, bins in curves.items() for part in bins]
    write_csv(folder / "reliability.csv", [head, *rows])
    save_figure(draw_reliability(curves), folder / "reliability.png")
