"""Predictions in bulk: the answers of :meth:`verydeep.Classifier.predict`, as rows of a table.

N images of a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verydeep.data.images.member import ImageSource
from verydeep.evaluation.protocol import Scales, TestProtocol
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.loading import load_any_classifier
from verydeep.models.prediction import Prediction
from verydeep.run.bulk.ahead import read_ahead
from verydeep.run.bulk.table import errors_of, model_id, table_of
from verydeep.run.bulk.work import LoadedModel, Work

if TYPE_CHECKING:
    from verydeep.models.loading import AnyClassifier


@dataclass(frozen=True)
class PredictWork(Work):
    """Naming of images.

    Attributes:
        top: Maximum number of classes per image.
        scales: Test scales.
        flip: Whether to average with the mirror image.
    """

    top: int
    scales: Scales
    flip: bool | None

    verb = "predict"

    def load(self, images: int) -> LoadedPredictor:
        """Load the model, and choose its engine for the whole job."""
        model = load_any_classifier(self.place, self.compute, multi_label=None)
        model.check_images("bulk")
        how = model.test_protocol(self.scales, self.flip)
        pixels = pixels_to_see([how], images, model.input_size)
        model.prepare(pixels, shapes_vary=shapes_vary([how]))
        return LoadedPredictor(model, self, how)


@dataclass
class LoadedPredictor(LoadedModel):
    """A loaded classifier."""

    model: AnyClassifier
    work: PredictWork
    how: TestProtocol

    def settings(self) -> dict[str, Any]:
        """Return the settings of the results, with engine and precision."""
        return {
            "top": self.work.top,
            "scales": list(self.how.used_scales),
            "flip": self.how.mirrors,
            **self.model.answered_by,
        }

    def table(self, first: int, names: Sequence[str], sources: Sequence[ImageSource]) -> Any:
        """Return an Arrow table with the predictions for a part."""
        with read_ahead(sources) as ahead:
            found = self.model.predict_sources(ahead, self.how, top=self.work.top, workers=0)
        model = model_id(self.work.model, self.model_hash)
        decided = self.model.abstention_for(self.how) is not None
        labelled = self.model.multi_label
        return prediction_table(
            first, names, sources, found, model, decided=decided, labelled=labelled
        )


def prediction_table(
    first: int,
    names: Sequence[str],
    sources: Sequence[ImageSource],
    found: Sequence[Prediction],
    model: str,
    *,
    decided: bool = False,
    labelled: bool = False,
) -> Any:
    """Return predictions as an Arrow table.

    Args:
        first: Row number of the first image.
        names: Names of N images.
        sources: Their locations.
        found: Their predictions.
        model: Model, for a column.
        decided: The model may abstain, which takes three more columns.
        labelled: The model is multi-label, which takes a column for the labels.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.float32()
    columns = {
        "class": pa.array([one.label for one in found], text),
        "class_name": pa.array([one.class_name for one in found], text),
        "probability": pa.array([one.probability for one in found], number),
        "classes": pa.array([_ranked(one, 0) for one in found], pa.list_(text)),
        "probabilities": pa.array([_ranked(one, 1) for one in found], pa.list_(number)),
    }
    if labelled:
        sets = [None if one.labels is None else list(one.labels) for one in found]
        columns["labels"] = pa.array(sets, pa.list_(text))
    if decided:
        sets = [None if one.class_set is None else list(one.class_set) for one in found]
        columns |= {
            "abstained": pa.array([one.abstained for one in found], pa.bool_()),
            "reason": pa.array([one.reason for one in found], text),
            "set": pa.array(sets, pa.list_(text)),
        }
    errors = errors_of(sources, [one.fault for one in found])
    return table_of(first, names, columns, errors, model)


def _ranked(prediction: Prediction, place: int) -> list[Any] | None:
    return None if prediction.fault else [entry[place] for entry in prediction.ranking]
