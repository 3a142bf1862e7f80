"""Predictions as text, plain values and CSV rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from verydeep.cli.text.columns import align
from verydeep.data.geometry import Box
from verydeep.errors import printable
from verydeep.system.csv_text import digits, in_one_cell

if TYPE_CHECKING:
    from verydeep.models.prediction import Prediction, Predictions


def predictions_as_text(
    predictions: Sequence[Prediction], sorted_into: Mapping[str, int] | None = None
) -> str:
    """Return a block of lines per image; for sorted images, one line per folder."""
    if sorted_into is not None:
        rows = [(name, f"{count:,}") for name, count in sorted_into.items()]
        return align([("folder", "images"), *rows])
    return "\n".join(line for prediction in predictions for line in _prediction_lines(prediction))


def _prediction_lines(prediction: Prediction) -> Iterator[str]:
    if prediction.fault:
        return
    labels = prediction.labels
    said = "" if labels is None else f": {', '.join(map(printable, labels)) or 'none'}"
    yield f"{printable(str(prediction.source))}{said}{_unknown(prediction)}"
    for (name, probability), box in _placed(prediction):
        where = "   from {:.0f},{:.0f} to {:.0f},{:.0f}".format(*box) if box else ""
        yield f"  {100 * probability:5.1f} %  {printable(name)}{where}"
    if prediction.class_set is not None:
        yield f"  one of    {', '.join(map(printable, prediction.class_set))}"


def _unknown(prediction: Prediction) -> str:
    """Return what is said after the name of a file about whether it is known."""
    return f"   I don't know: {prediction.reason}" if prediction.abstained else ""


def _placed(prediction: Prediction) -> Iterator[tuple[tuple[str, float], Box | None]]:
    """Yield the ranked classes with their boxes."""
    return zip_longest(prediction.ranking, prediction.boxes)


def predictions_as_json(
    predictions: Predictions, sorted_into: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the predictions as plain values; boxes as x0, y0, x1, y1 in pixels."""
    answered = {"engine": predictions.engine, "precision": predictions.precision}
    sorting = {} if sorted_into is None else {"sorted": dict(sorted_into)}
    return sorting | {
        "predictions": [
            {
                "file": str(prediction.source),
                "classes": [
                    {"class": k, "probability": p}
                    | ({"box": list(box) if box else None} if prediction.boxes else {})
                    for (k, p), box in _placed(prediction)
                ],
                **_decision(prediction),
            }
            | ({} if prediction.labels is None else {"labels": list(prediction.labels)})
            for prediction in predictions
            if not prediction.fault
        ],
        "unreadable": [str(p.source) for p in predictions if p.fault],
        **answered,
    }


def _decision(prediction: Prediction) -> dict[str, Any]:
    """Return what the model says of its own knowledge; None where it has learned nothing."""
    possible = prediction.class_set
    return {
        "abstained": prediction.abstained,
        "reason": prediction.reason,
        "set": None if possible is None else list(possible),
    }


def predictions_as_rows(predictions: Sequence[Prediction]) -> Iterator[list[str]]:
    """Yield rows for a CSV file: a header, then one row per image.

    Those of a multi-label model end with the predicted labels, separated by ``|``.
    """
    count = max((len(p.ranking) for p in predictions), default=0)
    edges = Box._fields if any(prediction.boxes for prediction in predictions) else ()
    columns = ("class", "probability", *edges)
    head = [f"{what}_{place}" for place in range(1, count + 1) for what in columns]
    several = any(prediction.labels is not None for prediction in predictions)
    decided = any(p.abstained is not None or p.class_set is not None for p in predictions)
    more = [*(["labels"] if several else []), *(_DECISION if decided else [])]
    yield ["file", *head, *more]
    for prediction in predictions:
        row = [str(prediction.source)]
        for (name, probability), box in _placed(prediction):
            row += [name, digits(probability, ".6f")]
            row += [digits(edge, ".2f") for edge in box] if box else [""] * len(edges)
        row += [""] * (1 + len(head) - len(row))
        row += [in_one_cell(prediction.labels or ())] if several else []
        yield row + (_decided(prediction) if decided else [])


_DECISION = ("abstained", "reason", "set")
"""Columns for what a model says of its own knowledge."""


def _decided(prediction: Prediction) -> list[str]:
    """Return the cells of an image for what the model says of its own knowledge."""
    said = {None: "", True: "yes", False: "no"}[prediction.abstained]
    return [said, prediction.reason or "", in_one_cell(prediction.class_set or ())]
