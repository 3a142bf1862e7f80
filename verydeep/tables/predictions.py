"""What a model sees on pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from verydeep.data.decode import shown

if TYPE_CHECKING:
    from verydeep.classifier import Prediction


def predictions_as_text(predictions: Sequence[Prediction]) -> str:
    """Return a block of lines a picture."""
    return "\n".join(line for prediction in predictions for line in _prediction_lines(prediction))


def _prediction_lines(prediction: Prediction) -> Iterator[str]:
    if prediction.fault:
        return
    yield shown(str(prediction.source))
    for name, probability in prediction.ranking:
        yield f"  {100 * probability:5.1f} %  {name}"


def predictions_as_json(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the predictions as plain values."""
    return {
        "predictions": [
            {
                "file": str(prediction.source),
                "classes": [{"class": k, "probability": p} for k, p in prediction.ranking],
            }
            for prediction in predictions
            if not prediction.fault
        ],
        "unreadable": [str(p.source) for p in predictions if p.fault],
    }


def predictions_as_rows(predictions: Sequence[Prediction]) -> Iterator[list[str]]:
    """Yield rows for a CSV file: a head, then a line a picture."""
    count = max((len(p.ranking) for p in predictions), default=0)
    head = (f"{what}_{place}" for place in range(1, count + 1) for what in ("class", "probability"))
    yield ["file", *head]
    for prediction in predictions:
        cells = (cell for name, p in prediction.ranking for cell in (name, f"{p:.6f}"))
        row = [str(prediction.source), *cells]
        yield row + [""] * (1 + 2 * count - len(row))
