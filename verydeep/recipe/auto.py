"""Recipe ``auto``: settings chosen for the data and the machine, each with its reason.

The choice is a pure function of coarse facts. It uses no timings, so that equal machines choose
alike; the training time is measured and reported afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from verydeep.errors import RecipeError, plural
from verydeep.evaluation.protocol import OWN_SCALES
from verydeep.nets.registry import PAPER_NETS, SMALLEST_INPUT, family_of, known_as
from verydeep.recipe.recipe import Recipe, check
from verydeep.system.option_names import option

AUTO = "auto"

Said = Mapping[str, Mapping[str, Any]]
"""Settings given by the user, by section and key; these are not chosen."""

CACHE_BYTES = 2**29
"""Maximum total size of decoded images kept in memory."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Facts that the choice depends on.

    Attributes:
        pictures: Number of training images, before any are set aside for validation.
        classes: K.
        side: Smallest side of a typical image, in pixels; None if unknown beforehand.
        pixels: Number of pixels of a typical image; None if unknown beforehand.
        undivided: The data have no splits: validation and test images are drawn.
        streamed: The training images are read sequentially.
        mirrored: A mirror image has the same class; not so for digits.
        gpu: Training runs on a GPU.
        dimensions: 2 for images, 3 for volumes.
        multi_label: An image may have several classes, or none.
    """

    pictures: int
    classes: int
    side: int | None = None
    pixels: int | None = None
    undivided: bool = False
    streamed: bool = False
    mirrored: bool = True
    gpu: bool = False
    dimensions: int = 2
    multi_label: bool = False

    @property
    def memory(self) -> int | None:
        """Bytes of all images, decoded; None if unknown."""
        return None if self.pixels is None else 3 * self.pixels * self.pictures

    @property
    def fits_in_memory(self) -> bool:
        """Whether all images may be kept in memory."""
        return not self.streamed and self.memory is not None and self.memory <= CACHE_BYTES


class Choice(NamedTuple):
    """Settings by dotted path, and the reason for them in a line."""

    settings: Mapping[str, Any]
    reason: str


class _Amount(NamedTuple):
    """Batch, learning rate and epochs for training sets below a number of images."""

    below: float
    batch: int
    rate: float
    epochs: int


AMOUNTS = (
    _Amount(500, batch=16, rate=0.01, epochs=70),
    _Amount(2_000, batch=16, rate=0.01, epochs=60),
    _Amount(20_000, batch=64, rate=0.05, epochs=50),
    _Amount(100_000, batch=128, rate=0.05, epochs=30),
    _Amount(float("inf"), batch=256, rate=0.05, epochs=20),
)
"""Batch, highest rate and epochs of one cycle, for nets with batch normalisation.

``docs/results/small_sets.json`` has the results of the first row, ``small-a.json`` of the third.
"""


class _Net(NamedTuple):
    """Net for training sets below a number of images."""

    below: float
    name: str
    width: float
    hidden: int


NETS_ON_CPU = (
    _Net(500, "A", 0.25, 1024),
    _Net(float("inf"), "A", 0.375, 1024),
)
NETS_ON_GPU = (
    _Net(500, "A", 0.25, 1024),
    _Net(10_000, "A", 0.375, 1024),
    _Net(100_000, "B", 0.5, 2048),
    _Net(float("inf"), "D", 1.0, 4096),
)


class _Size(NamedTuple):
    """Input size and training scale S for images whose smallest side is below a limit."""

    below: float
    input_size: int
    scale: tuple[int, int]


SIZES_ON_CPU = (_Size(128, 64, (64, 96)), _Size(float("inf"), 96, (96, 144)))
SIZES_ON_GPU = (
    _Size(128, 64, (64, 96)),
    _Size(224, 128, (128, 192)),
    _Size(float("inf"), 224, (256, 384)),
)

SIZES_OF_VOLUMES = (_Size(64, 32, (32, 40)), _Size(float("inf"), 64, (64, 80)))

_FEWER_UNITS_OFF = 2_000

FEW = 1_000
"""Below this number of images, a tenth of them is too few to test on."""


def auto_recipe(facts: DataFacts, said: Said) -> tuple[Recipe, tuple[Choice, ...]]:
    """Return a recipe for these facts and the given settings, and the choices made.

    Raises:
        RecipeError: The given settings are incompatible, or ask for a box regressor.
    """
    if said.get("localization") is not None:
        raise RecipeError(
            "recipe auto is for classifiers; a box regressor takes "
            f"{option('recipe', 'localization')}"
        )
    _check_net(said)
    chosen = tuple(choose(facts, said))
    tree = {section: dict(settings) for section, settings in said.items()}
    for choice in chosen:
        for path, value in choice.settings.items():
            section, key = path.split(".")
            tree.setdefault(section, {})[key] = value
    return check(tree, origin=AUTO), chosen


def _check_net(said: Said) -> None:
    known = known_as(_get(said, "net.name"))
    if known and known.name not in PAPER_NETS:
        own = option("recipe", family_of(known.name).recipe)
        raise RecipeError(
            f"recipe auto chooses for the paper's nets; net {known.name} has a recipe of its own "
            f"({own})"
        )


def choose(facts: DataFacts, said: Said) -> Iterator[Choice]:
    """Yield the choices for settings that are not given."""
    for settings, reason in _wanted(facts, said):
        left = {path: value for path, value in settings.items() if not _is_said(said, path)}
        if left:
            yield Choice(left, reason)


def _wanted(facts: DataFacts, said: Said) -> Iterator[Choice]:
    yield _net(facts)
    yield Choice(
        {"net.norm": "batch"}, "so that the net learns from a random start (not in the paper)"
    )
    yield from _size(facts, said)
    yield _updates(facts, said)
    more = "more regularisation than the paper's, for fewer images"
    if facts.multi_label:
        yield Choice({"data.task": "multi-label"}, "several labels per image")
        yield Choice({"training.weight_decay": 0.001 / _of_mean(facts)}, f"{more}; {_MEAN}")
    else:
        # Of the losses, only cross-entropy takes smoothed labels.
        entropy = _get(said, "training.loss") in (None, "cross-entropy")
        smoothing = {"training.label_smoothing": 0.1} if entropy else {}
        yield Choice({"training.weight_decay": 0.001, **smoothing}, more)
    if facts.pictures < _FEWER_UNITS_OFF:
        yield Choice({"net.dropout": 0.2}, "with half of the units off, so few updates do not do")
    yield _cache(facts, said)
    if not facts.mirrored:
        yield Choice({"data.flip": False, "test.flip": False}, "mirrored digits are no digits")
    if facts.undivided and facts.pictures < FEW and _get(said, "data.fold") is None:
        yield Choice(
            {"data.validation_share": 0.2, "data.test_share": 0.0},
            "few images: one held-out fifth, on which nothing is selected, is the test",
        )


def _net(facts: DataFacts) -> Choice:
    net = _row(NETS_ON_GPU if facts.gpu else NETS_ON_CPU, facts.pictures)
    where = "a GPU" if facts.gpu else "a CPU, where the shallowest net is quick"
    reason = f"for {plural(facts.pictures, 'image')} on {where}"
    return Choice({"net.name": net.name, "net.width": net.width, "net.hidden": net.hidden}, reason)


def _size(facts: DataFacts, said: Said) -> Iterator[Choice]:
    sizes = SIZES_ON_GPU if facts.gpu else SIZES_ON_CPU
    sizes = SIZES_OF_VOLUMES if facts.dimensions == 3 else sizes
    size = _row(sizes, facts.side) if facts.side is not None else sizes[-1 if facts.gpu else 0]
    given_size, given_scale = _get(said, "net.input_size"), _get(said, "data.train_scale")
    low, high = size.scale
    if isinstance(given_size, int):
        low, high = max(given_size, SMALLEST_INPUT), max(given_size, SMALLEST_INPUT) * 3 // 2
    if facts.multi_label:
        high = low * 9 // 8  # a crop should show every object
    side = size.input_size
    if given_scale is not None:
        low, high = given_scale if isinstance(given_scale, list | tuple) else (given_scale,) * 2
        side = max(SMALLEST_INPUT, min(side, low // 32 * 32))
    typical = "images of a size not known yet"
    if facts.side is not None:
        what = "volumes" if facts.dimensions == 3 else "images"
        typical = f"{what} are typically {facts.side} pixels on the smallest side"
    yield Choice({"net.input_size": side, "data.train_scale": [low, high]}, typical)
    if _get(said, "test.protocol") not in OWN_SCALES:
        yield Choice(
            {"test.scales": sorted({low, high})}, "tested at both ends of the training scale"
        )


def _updates(facts: DataFacts, said: Said) -> Choice:
    amount = _row(AMOUNTS, facts.pictures)
    batch = max(amount.batch, _get(said, "training.micro_batch") or 1)
    given = _get(said, "training.batch") or batch
    rate = float(f"{amount.rate * _of_mean(facts) * given / amount.batch:.3g}")
    plateau = _get(said, "training.schedule") == "plateau"
    epochs = 74 if plateau else amount.epochs
    updates = -(-facts.pictures // given)
    return Choice(
        {
            "training.schedule": "one-cycle",
            "training.batch": batch,
            "training.learning_rate": rate,
            "training.epochs": epochs,
        },
        f"about {plural(updates, 'update')} an epoch from {plural(facts.pictures, 'image')}"
        f"{f'; {_MEAN}' if facts.multi_label else ''}",
    )


MOST_OF_MEAN = 8
"""Highest factor for the mean over classes."""

_MEAN = "the loss is a mean over the classes"


def _of_mean(facts: DataFacts) -> int:
    """Return the factor on the learning rate that makes up for a mean over the classes.

    The gradient of a multi-label loss, a mean over K classes, is 1/K of that of their sum. A rate
    that is larger by a factor, with a weight decay smaller by it, gives the same steps as a loss
    larger by it.
    """
    return min(facts.classes, MOST_OF_MEAN) if facts.multi_label else 1


def _cache(facts: DataFacts, said: Said) -> Choice:
    if facts.dimensions == 3:
        return Choice({"data.cache": "none"}, "volumes are read anew each epoch")
    if not facts.fits_in_memory or _get(said, "data.workers"):
        return Choice({"data.cache": "none"}, "images are read anew each epoch")
    size = f"{(facts.memory or 0) / 2**20:,.0f} MB"
    return Choice({"data.cache": "device"}, f"the images fit into memory ({size})")


def _row(rows: Any, value: float) -> Any:
    return next(row for row in rows if value < row.below)


def _get(said: Said, path: str) -> Any:
    section, key = path.split(".")
    return (said.get(section) or {}).get(key)


def _is_said(said: Said, path: str) -> bool:
    section, key = path.split(".")
    return key in (said.get(section) or {})
