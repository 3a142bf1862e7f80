"""Sections of a recipe: every setting with its default, range and help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from verydeep.data.fold import Fold
from verydeep.data.group_rule import GroupRule
from verydeep.errors import InputError
from verydeep.evaluation.protocol import (
    USUAL_GRID,
    Average,
    ProtocolName,
    TestProtocol,
)
from verydeep.nets import registry
from verydeep.nets.norm import Norm, to_batch_norm, to_norm
from verydeep.system.settings import Compute, help_of


def _is_a_net(name: str) -> str:
    if name not in registry.NAMES:
        raise PydanticCustomError("net", "Input should be {names}", {"names": registry.in_words()})
    return name


def _is_a_column(name: str) -> str:
    if name not in registry.PAPER_NETS:
        names = f"{', '.join(registry.PAPER_NETS[:-1])} or {registry.PAPER_NETS[-1]}"
        raise PydanticCustomError("net", "Input should be {names}", {"names": names})
    return name


NetName = Annotated[str, AfterValidator(_is_a_net)]
ColumnName = Annotated[str, AfterValidator(_is_a_column)]


def _understood(parse: Callable[[str], object], text: str | None) -> str | None:
    """Return a text that can be parsed; turn the error of another one into a fault."""
    try:
        if text is not None:
            parse(text)
    except InputError as error:
        why = str(error).removesuffix(f", got {text!r} instead")
        raise PydanticCustomError("text", "{why}", {"why": why}) from error
    return text


class Section(BaseModel):
    """A group of settings, frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject true and false for other types, although Python takes True for 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation not in (bool, bool | None):
            raise PydanticCustomError("truth", "must not be true or false")
        return value


class Net(Section):
    """A net and its size: one of the paper's (Table 1), or a neighbour of them."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, values: Any) -> Any:
        """Accept ``vgg16`` for D, ``vgg16_bn`` for D with batch normalisation; fill in a family.

        A neighbour of the paper's nets has defaults of its own.
        """
        name = values.get("name") if isinstance(values, dict) else None
        known = registry.known_as(name)
        if known is None:
            return values
        batch = {"norm": "batch"} if known.batch_norm else {}
        return {**_own_defaults(known.name), **values, **batch, "name": known.name}

    name: NetName = Field("D", description="column of Table 1, B-5x5, or another net")
    input_size: int = Field(224, description="side of a crop, pixels")
    width: float = Field(1.0, gt=0, description="factor on all channels and hidden units")
    hidden: int | None = Field(
        registry.HIDDEN, ge=0, description="units of fc6 and fc7, before width; 0: fc8 alone"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of fc6's and fc7's units dropped")
    norm: Norm = Field(None, description="normalisation (not in the paper)")
    dimensions: Literal[2, 3] = Field(
        2, description="2 for images; volumes take 3 of their own accord (not in the paper)"
    )
    activation: Literal["tanh", "relu"] | None = Field(
        None, description="of hidden units, lecun1989 only"
    )
    output: Literal["tanh", "linear"] | None = Field(
        None, description="of the last layer, lecun1989 only; linear with a softmax"
    )

    auxiliary: bool | None = Field(None, description="two more heads in training, googlenet only")

    @field_validator("input_size")
    @classmethod
    def _large_enough(cls, value: int, info: ValidationInfo) -> int:
        name = info.data.get("name")
        least = registry.family_of(name).smallest_input if name else 1
        if value < least:
            words = "Input should be greater than or equal to {ge}"
            raise PydanticCustomError("greater_than_equal", words, {"ge": least})
        return value

    @property
    def family(self) -> registry.Family:
        """Family of the net."""
        return registry.family_of(self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings for building the net, except the number of classes."""
        own = {"name", *to_norm(self.family.settings)}
        return to_batch_norm({key: v for key, v in self.model_dump().items() if key in own})


def _own_defaults(name: str) -> dict[str, Any]:
    """Return the defaults of a neighbour of the paper's nets; None for what it does not have."""
    if name in registry.PAPER_NETS:
        return {}
    own = to_norm(registry.family_of(name).settings)
    return {"hidden": None, **{key: v for key, v in own.items() if key != "channels"}}


class Initialize(Section):
    """Initial weights (section 3.1)."""

    scheme: Literal["he", "glorot", "normal", "uniform"] = Field(
        "he", description="for layers not copied"
    )
    variance: float = Field(1e-2, gt=0, description="of scheme normal; the paper's is 1e-2")
    source: str | None = Field(None, description="model or run folder to copy layers from")
    layers: Literal["paper", "all"] = Field("paper", description="which layers are copied")
    inflate: Literal["repeat", "center"] = Field(
        "repeat",
        description="volumes from a net for images: kernels in all slices of the cubes, divided "
        "by their number, or in the middle ones (not in the paper)",
    )
    balance: bool = Field(
        False,
        description="rescale copied convolutions, so that each gives values of unit size; the "
        "scores stay the same",
    )
    stages: tuple[ColumnName, ...] = Field(
        (), description="nets trained first, each initialised from the one before"
    )

    @field_validator("stages", mode="before")
    @classmethod
    def _other_names(cls, value: Any) -> Any:
        """Accept ``vgg16`` for D."""
        if not isinstance(value, list | tuple):
            return value
        known = [(name, registry.known_as(name)) for name in value]
        return tuple(
            found.name if found and not found.batch_norm else name for name, found in known
        )


class Data(Section):
    """Image loading, training crops and augmentation (sections 2.1 and 3.1)."""

    task: Literal["classification", "multi-label"] | None = Field(
        None,
        description="multi-label: several classes per image, or none; null: the data decide (not "
        "in the paper)",
    )
    train_scale: tuple[int, int] = Field(
        (256, 256), description="S, smallest side after rescaling, pixels; [low, high] jitters"
    )
    crop: Literal["random", "center", "area"] = Field(
        "random",
        description="where a crop is cut; area: 8 to 100 % of the image at a ratio of 3/4 to 4/3, "
        "whatever the scale (not in the paper)",
    )
    flip: bool = Field(True, description="mirror half of the crops")
    colour_shift: float | None = Field(
        0.1, gt=0, description="deviation of the RGB shift along the pixels' principal axes"
    )
    mean: float | None = Field(
        None, description="grey level taken for the mean; null: the training images' mean RGB"
    )
    divisor: float = Field(64.0, gt=0, description="inputs are (RGB - mean) / divisor; paper: 1")
    decode: Literal["cpu", "device"] = Field(
        "cpu",
        description="where ordinary JPEGs are decoded for training; device: on the GPU (nvJPEG), "
        "whose pixels differ a little",
    )
    cache: Literal["none", "ram", "device"] = Field("none", description="where images are kept")
    workers: int | None = Field(None, ge=0, description=help_of(Compute, "workers"))
    stream: bool | None = Field(
        None,
        description="read shards from front to back instead of by index; null: if they are "
        "elsewhere, or more than two million images",
    )
    shuffle_buffer: int = Field(
        1000, ge=1, description="images that each reading process of a stream holds"
    )
    reduced_decoding: bool = Field(
        True, description="decode large JPEGs at 1/2 to 1/8 of their size, at least twice S"
    )
    balance: Literal["none", "weights", "sampling"] = Field(
        "none",
        description="for classes of unequal size: weights in the loss, or every class drawn as "
        "often; multi-label: weights alone, of presence against absence (not in the paper)",
    )
    unreadable_limit: float = Field(
        0.01, ge=0, le=1, description="share of broken images that stops a training"
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="cut off where no split is given")
    test_share: float = Field(0.1, ge=0, lt=1, description="likewise, from a folder of classes")
    group_by: str | None = Field(
        None,
        description="groups that no drawn split divides: column:NAME of a table, name:REGEX on the "
        "path, or folder",
    )
    fold: str | None = Field(
        None, description="fold of a cross-validation that is the test, like 2/5"
    )

    @field_validator("group_by")
    @classmethod
    def _a_rule(cls, value: str | None) -> str | None:
        return _understood(GroupRule.parse, value)

    @field_validator("fold")
    @classmethod
    def _a_fold(cls, value: str | None) -> str | None:
        return _understood(Fold.parse, value)

    @field_validator("train_scale", mode="before")
    @classmethod
    def _one_scale_is_a_range(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value, value)

    @field_serializer("train_scale")
    def _a_range_of_one_is_a_scale(self, value: tuple[int, int]) -> int | list[int]:
        return value[0] if value[0] == value[1] else list(value)


class Plateau(Section):
    """Drops of the learning rate on a plateau (section 3.1)."""

    monitor: Literal["loss", "accuracy"] = Field(
        "loss",
        description="of the validation set; multi-label: accuracy is the mean average precision",
    )
    patience: int = Field(5, ge=1, description="epochs without improvement before a drop")
    factor: float = Field(10.0, gt=1, description="the rate is divided by this")
    drops: int = Field(3, ge=0, description="drops, after which the next plateau ends training")
    min_improvement: float = Field(0.0, ge=0, description="smaller steps count as none")


class Training(Section):
    """Optimisation (section 3.1)."""

    batch: int = Field(256, ge=1, description="images an update, of all processes")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="images at once in a process (batch norm: in all), accumulated to a batch; "
        "null: what fits",
    )
    learning_rate: float = Field(1e-2, gt=0, description="the highest, for any schedule")
    loss: Literal["cross-entropy", "squared-error"] = Field(
        "cross-entropy", description="squared-error: of the scores, to 1 and -1 (not in the paper)"
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="the paper's is sgd")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step in the next")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty multiplier")
    schedule: Literal["plateau", "one-cycle", "cosine", "polynomial", "constant"] = Field(
        "plateau", description="of the learning rate; the paper's is plateau"
    )
    power: float = Field(
        0.5, gt=0, description="of polynomial: rate (1 - share of the training done)^power"
    )
    warmup: float = Field(0.25, ge=0, lt=1, description="share of one-cycle that rises")
    epochs: int = Field(74, ge=1, description="ceiling; schedules other than plateau end here")
    restarts: tuple[int, ...] = Field(
        (), description="epochs after which a one-cycle, cosine or polynomial begins again"
    )
    keep: Literal["auto", "best", "last"] = Field(
        "auto",
        description="the model: of the best epoch on val, or of the last; auto: best with "
        "plateau, else last",
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="rate of each block of convolutions, relative to the layers above it",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="not in the paper")
    compile: Literal["auto", "never", "always"] = Field(
        "auto",
        description="torch.compile for training; auto: on a GPU, for 10^18 operations or more",
    )
    tensorboard: bool = Field(False, description="log for TensorBoard too (an extra)")
    checkpoint_minutes: float = Field(10.0, gt=0, description="between checkpoints in an epoch")
    seed: int = Field(0, ge=0, lt=2**63, description="of all randomness")
    device: str | None = Field(None, description=help_of(Compute, "device"))
    precision: Literal["bf16", "fp32"] | None = Field(
        None, description=help_of(Compute, "precision")
    )


class Test(Section):
    """Final test of the trained net (section 3.2)."""

    __test__ = False  # not a test for pytest to collect

    protocol: ProtocolName = Field("dense", description=help_of(TestProtocol, "name"))
    scales: tuple[int, ...] | Literal["single", "multi"] | None = Field(
        None,
        description="Q, pixels, or the paper's: single (the middle of S) or multi; null: the "
        "protocol's own, else single",
    )
    flip: bool = Field(True, description="average with mirror images")
    engine: Literal["auto", "torch", "compile", "openvino", "onnxruntime"] = Field(
        "auto", description=help_of(Compute, "engine")
    )
    grid: tuple[int, int] = Field(USUAL_GRID, description=help_of(TestProtocol, "grid"))
    average: Average = Field("paper", description=help_of(TestProtocol, "average"))


class Localization(Section):
    """Training of a box regressor (appendix A); without this section a classifier is trained."""

    per_class: bool = Field(True, description="a box for each class (PCR), else one for all (SCR)")
    loss: Literal["euclidean", "smooth-l1"] = Field("euclidean", description="on a box; paper's")
    visible: float = Field(
        0.5, ge=0, le=1, description="least share of the object's box on a training crop"
    )
    fine_tune: Literal["all", "fc"] = Field(
        "all", description="what learns: all layers, or the fully connected ones alone"
    )


class Transfer(Section):
    """Training on the maps of convolutions that stay as they are (not in the paper)."""

    frozen: Literal["pool2", "pool3", "pool4", "pool5"] = Field(
        "pool4", description="last layer that stays as it is, whose maps are computed once"
    )
    views: int = Field(4, ge=1, description="augmented views of each image whose maps are kept")
    disk: float = Field(8.0, gt=0, description="most GB for the maps; they take fewer views then")
    strengths: tuple[float, ...] = Field(
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
        min_length=1,
        description="penalties that cross-validation chooses from, of a head of one layer",
    )
    folds: int = Field(5, ge=2, description="of the cross-validation")
    fine_tune: Literal["auto", "always", "never"] = Field(
        "auto",
        description="train the layers above, too; auto: with 2,000 images or more, and keep that "
        "if the loss on val is lower",
    )
