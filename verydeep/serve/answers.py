"""Answers of the service. These types are also its documentation in OpenAPI.

K classes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)


class ModelInfo(Answer):
    """A model, as answers name it."""

    name: str = Field(description="Name for the parameter model.")
    net: str = Field(description="Name of the net, such as D.")
    version: str = Field(description="Hash of weights, classes, preprocessing and calibration.")
    classes: int = Field(description="Number K of classes.")
    engine: str = Field(description="What computes the answers, such as torch.")
    precision: str = Field(description="Number format of the computation, such as fp32.")
    calibrated: bool = Field(description="Whether the probabilities are calibrated.")


class ServedModelInfo(ModelInfo):
    """A model with what may be asked of it."""

    input_size: int = Field(description="Side of the smallest image the net sees, in pixels.")
    scales: list[int] = Field(description="Smallest sides that images are rescaled to, in pixels.")
    boxes: bool = Field(description="Whether answers have boxes.")
    explains: bool = Field(description="Whether /v1/explain answers for this model.")
    multi_label: bool = Field(description="Whether an image may have several classes, or none.")


class ClassName(Answer):
    """A class."""

    class_name: str = Field(alias="class", description="Name of the class.")
    title: str = Field(description="Display name of the class.")


class NamedModel(ServedModelInfo):
    """A model with all its classes."""

    class_names: list[ClassName] = Field(description="The K classes, in the model's order.")


class RankedClass(ClassName):
    """A class with its probability."""

    probability: float = Field(ge=0, le=1, description="Posterior probability.")
    threshold: float | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Of a multi-label model, the probability from which the class is a label; "
        "absent of others.",
    )


class ClassBox(Answer):
    """The box of a class."""

    class_name: str = Field(alias="class", description="Name of the class.")
    box: tuple[float, float, float, float] = Field(
        description="Corners x0, y0, x1, y1, in pixels of the upright image."
    )


class ImageAnswer(Answer):
    """The answer for one image."""

    name: str | None = Field(None, description="File name, as it was sent.")
    width: int | None = Field(None, description="Width of the upright image, in pixels.")
    height: int | None = Field(None, description="Height of the upright image, in pixels.")
    ranking: list[RankedClass] = Field(
        [],
        description="Most likely classes, in descending order; at most 20 of a model with boxes.",
    )
    labels: list[str] | None = Field(
        None,
        description="Of a multi-label model, the classes that reach their thresholds, most likely "
        "first; null of others.",
    )
    abstained: bool | None = Field(
        None,
        description="Whether the model declines to answer; null if it never does, and of a model "
        "with boxes.",
    )
    reason: str | None = Field(None, description="Why the model declines to answer.")
    class_set: list[str] | None = Field(
        None, alias="set", description="Set of classes with a promised coverage."
    )
    coverage: float | None = Field(
        None,
        description="Share of images whose set contains the true class, in percent, on average "
        "over images like those of the calibration, refused ones included; null without sets.",
    )
    boxes: list[ClassBox] = Field([], description="Boxes of ranked classes.")
    fault: str | None = Field(None, description="Why the image cannot be read.")


class PredictAnswer(Answer):
    """The answer of /v1/predict: one entry per image, in the order they were sent."""

    model: ModelInfo
    images: list[ImageAnswer]
    seconds: float = Field(description="Seconds from the request to the answer.")


class LimitsInfo(Answer):
    """Limits of a request."""

    max_bytes: int = Field(description="Bytes of the body.")
    max_pixels: int = Field(description="Pixels of an image before rescaling.")
    max_images: int = Field(description="Images of a request.")
    max_seconds: float = Field(description="Seconds until the answer.")


class ModelsAnswer(Answer):
    """The answer of /v1/models."""

    models: list[ServedModelInfo]
    default: str = Field(description="Name of the model that answers unless another is named.")
    limits: LimitsInfo


class ErrorDetail(Answer):
    """Why a request is refused."""

    status: int = Field(description="The HTTP status.")
    code: str = Field(description="Word for programs.")
    message: str = Field(description="What is wrong and what to do, for people.")


class ErrorAnswer(Answer):
    """A refusal."""

    error: ErrorDetail


class StateAnswer(Answer):
    """State of the server: ok, ready, loading or stopping."""

    state: str
