"""A recipe: every setting of a training, frozen, with the paper's values as defaults.

A recipe file is YAML and holds only what differs from the paper. Faults are collected and raised
once: each with its dotted path, what was found, and the nearest known key.
"""

from __future__ import annotations

import copy
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from verydeep.errors import RecipeError, did_you_mean
from verydeep.evaluation.protocol import (
    USUAL_GRID,
    Average,
    ProtocolName,
    TestProtocol,
    multiple_scales,
    single_scale,
)
from verydeep.nets import registry
from verydeep.recipe.aliases import other_word
from verydeep.recipe.rules import impossible_combinations
from verydeep.system.option_names import in_program
from verydeep.system.settings import Compute, help_of
from verydeep.system.yaml import dump_yaml, parse_yaml

NetName = Annotated[str, AfterValidator(registry.check_name)]


class Section(BaseModel):
    """A group of settings; unknown keys are errors and nothing changes after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes True for 1; a reader of a recipe does not."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation not in (bool, bool | None):
            raise PydanticCustomError("truth", "must not be true or false")
        return value


class Net(Section):
    """Which of the six nets, and how large (Table 1)."""

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, values: Any) -> Any:
        """Take ``vgg16`` for D, and ``vgg16_bn`` for D with batch normalisation."""
        name = values.get("name") if isinstance(values, dict) else None
        known = registry.known_as(name)
        if known is None:
            return values
        batch = {"norm": "batch"} if known.batch_norm else {}
        return {**values, **batch, "name": known.name}

    name: NetName = Field("D", description="column of Table 1")
    input_size: int = Field(224, ge=registry.SMALLEST_INPUT, description="side of a crop, pixels")
    width: float = Field(1.0, gt=0, description="factor on all channels and hidden units")
    hidden: int = Field(registry.HIDDEN, ge=1, description="units of fc6 and fc7, before width")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of fc6's and fc7's units dropped")
    norm: Literal["batch"] | None = Field(None, description="normalisation (not in the paper)")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings to build the net with, without the number of classes."""
        return {**self.model_dump(exclude={"norm"}), "batch_norm": self.norm == "batch"}


class Initialize(Section):
    """How the weights begin (section 3.1)."""

    scheme: Literal["he", "glorot", "normal"] = Field("he", description="for layers not copied")
    variance: float = Field(1e-2, gt=0, description="of scheme normal; the paper's is 1e-2")
    source: str | None = Field(None, description="model or run folder to copy layers from")
    layers: Literal["paper", "all"] = Field("paper", description="which layers are copied")
    stages: tuple[NetName, ...] = Field(
        (), description="nets trained first, each initialised from the one before"
    )

    @field_validator("stages", mode="before")
    @classmethod
    def _other_names(cls, value: Any) -> Any:
        """Take ``vgg16`` for D."""
        if not isinstance(value, list | tuple):
            return value
        known = [(name, registry.known_as(name)) for name in value]
        return tuple(
            found.name if found and not found.batch_norm else name for name, found in known
        )


class Data(Section):
    """How images become training crops (sections 2.1 and 3.1)."""

    train_scale: tuple[int, int] = Field(
        (256, 256), description="S, smallest side after rescaling, pixels; [low, high] jitters"
    )
    crop: Literal["random", "center"] = Field("random", description="where a crop is cut")
    flip: bool = Field(True, description="mirror half of the crops")
    colour_shift: float | None = Field(
        0.1, gt=0, description="deviation of the RGB shift along the pixels' principal axes"
    )
    divisor: float = Field(64.0, gt=0, description="inputs are (RGB - mean) / divisor; paper: 1")
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
        "often (not in the paper)",
    )
    unreadable_limit: float = Field(
        0.01, ge=0, le=1, description="share of broken images that stops a training"
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="cut off where no split is given")
    test_share: float = Field(0.1, ge=0, lt=1, description="likewise, from a folder of classes")

    @field_validator("train_scale", mode="before")
    @classmethod
    def _one_scale_is_a_range(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value, value)

    @field_serializer("train_scale")
    def _a_range_of_one_is_a_scale(self, value: tuple[int, int]) -> int | list[int]:
        return value[0] if value[0] == value[1] else list(value)


class Plateau(Section):
    """When the learning rate drops (section 3.1)."""

    monitor: Literal["loss", "accuracy"] = Field("loss", description="of the validation set")
    patience: int = Field(5, ge=1, description="epochs without improvement before a drop")
    factor: float = Field(10.0, gt=1, description="the rate is divided by this")
    drops: int = Field(3, ge=0, description="drops, after which the next plateau ends training")
    min_improvement: float = Field(0.0, ge=0, description="smaller steps count as none")


class Training(Section):
    """The optimisation (section 3.1)."""

    batch: int = Field(256, ge=1, description="images an update")
    micro_batch: int | None = Field(
        None, ge=1, description="images at once, accumulated to a batch; null: what fits"
    )
    learning_rate: float = Field(1e-2, gt=0, description="the highest, for any schedule")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step in the next")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty multiplier")
    schedule: Literal["plateau", "one-cycle", "cosine"] = Field(
        "plateau", description="of the learning rate; the paper's is plateau"
    )
    warmup: float = Field(0.25, ge=0, lt=1, description="share of one-cycle that rises")
    epochs: int = Field(74, ge=1, description="ceiling; schedules other than plateau end here")
    restarts: tuple[int, ...] = Field(
        (), description="epochs after which a one-cycle or cosine begins again"
    )
    keep: Literal["auto", "best", "last"] = Field(
        "auto",
        description="the model: of the best epoch on val, or of the last; auto: best with "
        "plateau, else last",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="not in the paper")
    tensorboard: bool = Field(False, description="log for TensorBoard too (an extra)")
    checkpoint_minutes: float = Field(10.0, gt=0, description="between checkpoints in an epoch")
    seed: int = Field(0, ge=0, lt=2**63, description="of all randomness")
    device: str | None = Field(None, description=help_of(Compute, "device"))
    precision: Literal["bf16", "fp32"] | None = Field(
        None, description=help_of(Compute, "precision")
    )


class Test(Section):
    """How the trained net is tested at the end (section 3.2)."""

    __test__ = False  # not a test for pytest to collect

    protocol: ProtocolName = Field("dense", description=help_of(TestProtocol, "name"))
    scales: tuple[int, ...] | Literal["single", "multi"] | None = Field(
        None, description="Q, pixels, or the paper's: single (the middle of S), multi; null: single"
    )
    flip: bool = Field(True, description="average with mirror images")
    grid: tuple[int, int] = Field(USUAL_GRID, description=help_of(TestProtocol, "grid"))
    average: Average = Field("paper", description=help_of(TestProtocol, "average"))


class Localization(Section):
    """How a box net is trained (appendix A); a recipe without this section trains a classifier."""

    per_class: bool = Field(True, description="a box for each class (PCR), else one for all (SCR)")
    loss: Literal["euclidean", "smooth-l1"] = Field("euclidean", description="on a box; paper's")
    visible: float = Field(
        0.5, ge=0, le=1, description="least share of the object's box on a training crop"
    )
    fine_tune: Literal["all", "fc"] = Field(
        "all", description="what learns: all layers, or the fully connected ones alone"
    )


class Recipe(Section):
    """Every setting of a training; ``Recipe()`` is the paper's.

    >>> Recipe().training.batch, Recipe().data.train_scale
    (256, (256, 256))
    """

    net: Net = Net()
    initialize: Initialize = Initialize()
    data: Data = Data()
    training: Training = Training()
    plateau: Plateau = Plateau()
    test: Test = Test()
    localization: Localization | None = None

    @property
    def test_scales(self) -> tuple[int, ...]:
        """Test scales Q: those of the test section, else S if fixed, the middle if jittered."""
        match self.test.scales:
            case None | "single":
                return single_scale(self.data.train_scale)
            case "multi":
                return multiple_scales(self.data.train_scale, self.net.input_size)
            case scales:
                return scales

    @property
    def test_protocol(self) -> TestProtocol:
        """The protocol of the final test, at the recipe's scales."""
        test = self.test
        return TestProtocol(test.protocol, self.test_scales, test.flip, test.grid, test.average)

    def replace(self, **settings: Any) -> Recipe:
        """Return a recipe with other values, given by dotted path with ``__`` for the dot.

        Raises:
            RecipeError: A path or a value is wrong.

        >>> Recipe().replace(training__epochs=3).training.epochs
        3
        """
        # Only what was said, so that what was not can still follow from a model.
        tree = self.model_dump(mode="json", exclude_unset=True)
        for path, value in settings.items():
            _put(tree, path.split("__"), value)
        return check(tree)

    def to_yaml(self) -> str:
        """Return every setting as YAML, in the order of this file."""
        tree = self.model_dump(mode="json")
        return dump_yaml(tree)


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package.

    >>> shipped()
    ('demo', 'demo-localization', 'localization', 'paper', 'small')
    """
    folder = resources.files("verydeep.recipe") / "shipped"
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".yaml"))


def load_recipe(
    source: str | Path = "paper", settings: Iterable[str] | Mapping[str, Any] = ()
) -> Recipe:
    """Read a shipped recipe or a file, and change single settings.

    Args:
        source: The name of a shipped recipe (:func:`shipped`), or the path of a YAML file.
        settings: Changes as ``"training.epochs=30"``, the value in YAML; or values by dotted
            path, as ``{"training.epochs": 30}``.

    Raises:
        RecipeError: Unknown keys, wrong types, impossible combinations: all in one message.
    """
    tree = _read(source)
    faults = _set(tree, settings)
    return check(tree, faults, origin=str(source))


def said_settings(
    source: Recipe | str | Path | None, settings: Iterable[str] | Mapping[str, Any] = ()
) -> dict[str, dict[str, Any]]:
    """Return what a recipe and single settings say, by section and key, and nothing else.

    Args:
        source: A recipe, the name of a shipped one, or a file; None says nothing.
        settings: As for :func:`load_recipe`.

    Raises:
        RecipeError: Unknown keys and wrong values, all in one message. Settings that do not go
            together are left to :func:`check`.
    """
    if isinstance(source, Recipe):
        tree = source.model_dump(mode="json", exclude_unset=True)
    else:
        tree = {} if source is None else _read(source)
    faults = _set(tree, settings)
    recipe = check(tree, faults, origin="" if source is None else str(source), together=False)
    said = recipe.model_dump(mode="json", exclude_unset=True)
    return {section: values for section, values in said.items() if values is not None}


def _set(tree: dict[str, Any], settings: Iterable[str] | Mapping[str, Any]) -> list[str]:
    """Change settings in place; return what is wrong with them."""
    faults: list[str] = []
    parsed = settings.items() if isinstance(settings, Mapping) else _parsed(settings, faults)
    for path, value in parsed:
        try:
            _put(tree, path.strip().split("."), value)
        except RecipeError as error:
            faults.append(_changed(error))
    return faults


def _parsed(settings: Iterable[str], faults: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield path and value of settings given as text; tell of those that are none."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        try:
            if not equals:
                faults.append(_changed(f"{setting}: must be KEY=VALUE, like training.epochs=30"))
            else:
                yield path, parse_yaml(text)
        except yaml.YAMLError:
            faults.append(_changed(f"{path}: {text!r} is not a YAML value"))


def _changed(fault: object) -> str:
    """Return a fault of a single setting, as its reader gave it."""
    return f"--set {fault}" if in_program() else str(fault)


def check(
    tree: Mapping[str, Any],
    faults: Iterable[str] = (),
    *,
    origin: str = "",
    together: bool = True,
) -> Recipe:
    """Make a recipe from nested mappings, or raise one error that lists every fault.

    Args:
        tree: Sections by name, settings by name.
        faults: Found earlier, to be listed with the others.
        origin: Name of the recipe or file, for the message.
        together: Whether the settings must go together, too.

    Raises:
        RecipeError: With a line for each fault.
    """
    found = list(faults)
    tree = {str(section): settings for section, settings in tree.items()}
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        by_setting = {_setting(fault["loc"]): fault for fault in reversed(error.errors())}
        found += [_describe(dict(fault)) for fault in reversed(by_setting.values())]
        # What is left without the faulty settings may still not go together: say that as well.
        recipe = Recipe.model_validate(_without(tree, (fault["loc"] for fault in error.errors())))
    if together:
        found += impossible_combinations(recipe)
    if found:
        place = f" in {origin}" if origin else ""
        lines = "".join(f"\n  {fault}" for fault in found)
        raise RecipeError(f"the recipe cannot be used; {len(found)} to mend{place}:{lines}")
    return recipe


def _read(source: str | Path) -> dict[str, Any]:
    if str(source) in shipped():
        text = (resources.files("verydeep.recipe") / "shipped" / f"{source}.yaml").read_text(
            "utf-8"
        )
    else:
        text = _read_file(Path(source))
    try:
        tree = parse_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise RecipeError(f"{source}: must hold sections like 'training:', got {tree!r} instead")
    return tree


def _read_file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped())
        hint = did_you_mean(str(path), shipped())
        raise RecipeError(
            f"recipe {str(path)!r} is neither one of {names} nor a file that can be read "
            f"({getattr(error, 'strerror', None) or error}){hint}"
        ) from error


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    path = ".".join(keys)
    if len(keys) != 2:
        raise RecipeError(f"{path}: must be SECTION.KEY{_nearest(path)}")
    if tree.get(keys[0]) is None:  # also a section that is switched off
        tree[keys[0]] = {}
    section = tree[keys[0]]
    if not isinstance(section, dict):
        raise RecipeError(f"{path}: {keys[0]} is no section in this recipe")
    section[keys[1]] = value


@cache
def known_keys() -> tuple[str, ...]:
    """Return the dotted path of every setting."""
    return tuple(
        f"{section}.{key}"
        for section, field in Recipe.model_fields.items()
        for key in _section_class(field.annotation).model_fields
    )


def _section_class(annotation: Any) -> type[BaseModel]:
    """Return the class of a section that may be one or none."""
    choices = (annotation, *typing.get_args(annotation))
    return next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))


def _describe(fault: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in _setting(fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key{_nearest(path)}"
    message = str(fault["msg"])
    rule = message[0].lower() + message[1:].replace("Input should", "should")
    return f"{path}: {rule.replace('input should', 'must')}, got {fault['input']!r} instead"


def _nearest(path: str) -> str:
    """Return a hint at the setting that is meant by an unknown path, or nothing.

    In this order: the same name in another section, the name of another library, a name spelt
    alike in this section, a section spelt alike, a name spelt alike anywhere.

    >>> _nearest("training.lr"), _nearest("epochs"), _nearest("trainig.momentum")
    ("; did you mean 'training.learning_rate'?", "; did you mean 'training.epochs'?", \
"; did you mean 'training.momentum'?")
    """
    section, _, key = path.rpartition(".")
    elsewhere = [known for known in known_keys() if known.partition(".")[2] == key]
    if elsewhere:
        return _these(sorted(elsewhere, key=lambda known: not known.startswith(section)))
    if word := other_word(key):
        return word
    if not section and (hint := did_you_mean(key, Recipe.model_fields)):
        return hint
    here = [known for known in known_keys() if known.startswith(f"{section}.")]
    for known in (here, known_keys()):
        by_key = {one.partition(".")[2]: one for one in known}
        if near := difflib.get_close_matches(key, by_key, n=1, cutoff=0.6):
            return f"; did you mean {by_key[near[0]]!r}?"
    return did_you_mean(path, known_keys())


def _these(keys: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, keys))}?"


def _setting(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Cut pydantic's location down to section and key."""
    return location[:2]


def _without(tree: Mapping[str, Any], locations: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    left = copy.deepcopy(dict(tree))
    for location in locations:
        section, *key = _setting(location)
        inside = left.get(str(section))
        if key and isinstance(inside, dict):
            inside.pop(key[0], None)
        else:
            left = {name: value for name, value in left.items() if str(name) != str(section)}
    return left
