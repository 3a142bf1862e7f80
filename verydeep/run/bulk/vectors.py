"""Features in bulk: the vectors of :func:`verydeep.features`, as rows of a table.

N images of a part, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.run.bulk.ahead import read_ahead
from verydeep.run.bulk.table import errors_of, model_id, table_of
from verydeep.run.bulk.work import LoadedModel, Work
from verydeep.transfer.describe import describe_pictures
from verydeep.transfer.descriptor import Descriptor


@dataclass(frozen=True)
class FeaturesWork(Work):
    """Description of images by vectors.

    Attributes:
        descriptor: Layer, scales, mirror image and aggregation.
    """

    descriptor: Descriptor

    verb = "features"

    def load(self, images: int) -> LoadedDescriber:
        """Load the model, and choose its engine for the whole job."""
        model = load_classifier(self.place, self.compute, multi_label=None)
        model.check_images("bulk")
        how = self.descriptor.for_model(model)
        pixels = pixels_to_see([how.views], images, model.input_size)
        model.prepare(pixels, shapes_vary=shapes_vary([how.views]))
        return LoadedDescriber(model, self, how)


@dataclass
class LoadedDescriber(LoadedModel):
    """A loaded classifier whose activations are taken."""

    model: Classifier
    work: FeaturesWork
    how: Descriptor

    def settings(self) -> dict[str, Any]:
        """Return the settings of the results, with engine and precision."""
        return {
            "layer": self.how.used_layer,
            "scales": list(self.how.used_scales),
            "flip": self.how.views.mirrors,
            "aggregate": self.how.aggregate,
            "dimension": self.how.dimension(self.model),
            **self.model.engine.engine_of(self.how.used_layer).to_dict(),
        }

    def table(self, first: int, names: Sequence[str], sources: Sequence[ImageSource]) -> Any:
        """Return an Arrow table with the vectors of a part."""
        with read_ahead(sources) as ahead:
            pictures = TestPictures(ahead, self.how.used_scales, workers=0)
            vectors = describe_pictures(self.model, pictures, self.how).numpy()
        faults = [pictures.unreadable.get(row) for row in range(len(sources))]
        columns = {"vector": vector_column(vectors, [*pictures.unreadable])}
        model = model_id(self.work.model, self.model_hash)
        return table_of(first, names, columns, errors_of(sources, faults), model)


def vector_column(vectors: NDArray[np.float32], missing: Sequence[int]) -> Any:
    """Return vectors (N, D) as an Arrow array of lists of D numbers, null where missing."""
    import pyarrow as pa

    mask = np.zeros(len(vectors), np.bool_)
    mask[list(missing)] = True
    flat = pa.array(np.ascontiguousarray(vectors).ravel(), pa.float32())
    size = vectors.shape[1]
    return pa.FixedSizeListArray.from_arrays(flat, list_size=size, mask=pa.array(mask))
