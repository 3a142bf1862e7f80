"""Test protocols as values: views, scales, mirror images, averages (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import ClassVar, Literal, get_args
from typing import Protocol as Interface

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views
from verydeep.system.one_or_many import one_or_many
from verydeep.system.settings import described

ProtocolName = Literal["center", "dense", "crops", "both", "ten-crop", "googlenet"]
Average = Literal["paper", "scores", "posteriors"]
Preset = Literal["paper", "torchvision"]

NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)

Scales = int | Iterable[int] | str | None
"""Test scales: in pixels, ``single`` or ``multi`` for the paper's, None for the model's own."""

USUAL_GRID = (5, 5)
"""Default rows and columns of crops."""


class Scaled(Interface):
    """A net with its training and test scales."""

    @property
    def input_size(self) -> int:
        """Side of the smallest image it accepts, in pixels."""

    @property
    def train_scale(self) -> tuple[int, int]:
        """Training scale S as a range (low, high), in pixels."""

    @property
    def test_scales(self) -> tuple[int, ...]:
        """Scales Q that it was tested at, in pixels."""

    @property
    def test_flip(self) -> bool:
        """True if it was tested with mirror images."""

    @property
    def resize_size(self) -> int:
        """Smallest side of an image in torchvision's evaluation, in pixels."""


@dataclass(frozen=True, slots=True)
class TestProtocol:
    """A way to test a classifier: the views that a net sees, and how to average its answers.

    Scales and mirror images may stay open until :meth:`for_model` takes them from a model.

    Attributes:
        name: ``center``: the central crop; ``dense``: the whole image; ``crops``: a grid of
            crops; ``both``: the mean of the posteriors of dense and crops; ``ten-crop``:
            Krizhevsky's five crops; ``googlenet``: the 18 crops per scale of Szegedy et al.
        scales: Test scales Q, the smallest side of the rescaled image in pixels. ``single`` or
            ``multi`` takes the paper's for the model's training scale. None takes the protocol's
            own, or those that the model was tested at.
        flip: Whether to average with mirror images; None: as when the model was tested.
        grid: Rows and columns of the grid for ``crops`` and ``both``.
        average: ``paper``: average scores over the positions of a map, before the softmax, then
            posteriors over everything else; ``scores``: average scores over everything, then
            apply one softmax; ``posteriors``: average posteriors over everything, positions
            included.
        preset: ``torchvision`` reproduces its published evaluation bit by bit: smallest side 256
            for crops of 224, longer side rounded down, central crop, no mirror image.

    Raises:
        InputError: The protocol, average or preset is unknown, the grid is invalid, or there is
            no scale.

    >>> print(TestProtocol("crops", (256, 384), grid=(3, 3)))
    crops 3x3 at Q = 256, 384
    """

    __test__: ClassVar[bool] = False  # not a test for pytest to collect

    name: ProtocolName = described("dense", "which views of an image the net sees")
    scales: Scales = described(
        None,
        "Q, like 256 or 256,384,512; or the paper's for the training scale: single or multi; "
        "default: the protocol's own, or as the model was tested",
    )
    flip: bool | None = described(None, "average with mirror images; default: as trained")
    grid: tuple[int, int] = described(USUAL_GRID, "rows x columns of crops")
    average: Average = described("paper", "what is averaged: paper, scores or posteriors")
    preset: Preset = described("paper", "paper, or torchvision for the centre crop as it tests")

    def __post_init__(self) -> None:
        check_one_of("protocol", self.name, NAMES)
        check_one_of("average", self.average, get_args(Average))
        check_one_of("preset", self.preset, get_args(Preset))
        object.__setattr__(self, "scales", checked_scales(self.scales))
        object.__setattr__(self, "grid", checked_grid(self.grid))
        if self.preset == "torchvision" and self.name != "center":
            raise InputError(
                "preset torchvision is its way of taking the central crop; protocol "
                f"{self.name} has none"
            )

    @classmethod
    def of(cls, given: str | TestProtocol) -> TestProtocol:
        """Return ``given``, or the protocol with that name."""
        return given if isinstance(given, TestProtocol) else cls(given)  # type: ignore[arg-type]

    def for_model(self, model: Scaled) -> TestProtocol:
        """Return the protocol with scales in pixels and mirror images decided.

        Args:
            model: Net to test. It supplies only the settings that the protocol leaves open.
        """
        scales, flip = self.scales, self.flip
        if isinstance(scales, str):
            scales = paper_scales(scales, model)
        elif scales is None and self.preset == "torchvision":
            scales = (model.resize_size,)
        elif scales is None:
            scales = own_scales(self.name, model.input_size) or model.test_scales
        if flip is None:
            # The other protocols of that time include mirror images in their 10 and 144 views.
            flip = self.preset == "paper" and (self.name in OWN_SCALES or model.test_flip)
        return replace(self, scales=scales, flip=flip)

    @property
    def used_scales(self) -> tuple[int, ...]:
        """Test scales in pixels, once :meth:`for_model` has set them."""
        assert isinstance(self.scales, tuple), "scales are open: call for_model first"
        return self.scales

    @property
    def mirrors(self) -> bool:
        """True if mirror images are averaged in, once :meth:`for_model` has decided it."""
        assert self.flip is not None, "mirror images are open: call for_model first"
        return self.flip

    @property
    def kinds(self) -> tuple[Views, ...]:
        """Kinds of views; posteriors are averaged within each kind, then over the kinds."""
        flip = self.mirrors
        grid = Grid(*self.grid, flip)
        kinds: dict[ProtocolName, tuple[Views, ...]] = {
            "center": (Center(flip, half_even=self.preset == "torchvision"),),
            "dense": (Dense(flip),),
            "crops": (grid,),
            "both": (Dense(flip), grid),
            "ten-crop": (TenCrop(flip),),
            "googlenet": (GoogLeNetCrops(flip),),
        }
        return kinds[self.name]

    @property
    def has_grid(self) -> bool:
        """True if the protocol uses the grid."""
        return self.name in ("crops", "both")

    def __str__(self) -> str:
        rows, columns = self.grid
        grid = f" {rows}x{columns}" if self.has_grid else ""
        average = "" if self.average == "paper" else f", {self.average} averaged everywhere"
        preset = "" if self.preset == "paper" else ", rounded as torchvision does"
        return f"{self.name}{grid}{scales_and_flip(self.scales, self.flip)}{average}{preset}"


OWN_SCALES: dict[ProtocolName, tuple[int, ...]] = {
    "ten-crop": (256,),
    "googlenet": (256, 288, 320, 352),
}
"""Scales of the protocols that define their own, for crops of 224 pixels."""

MOST_ON_A_LINE = 100
"""Maximum number of crops in a row or column."""


def scales_and_flip(scales: Scales, flip: bool | None) -> str:
    """Return scales and mirror images in words, without those still open."""
    listed = (
        scales if isinstance(scales, str) else ", ".join(map(str, checked_scales(scales) or ()))
    )
    turns = {None: "", True: ", with mirror images", False: ", without mirror images"}[flip]
    return (f" at Q = {listed}" if listed else "") + turns


def checked_scales(scales: Scales) -> tuple[int, ...] | str | None:
    """Return test scales as a tuple; None, ``single`` and ``multi`` stay as they are.

    Raises:
        InputError: There are no scales, one is repeated or no whole number, or the word is
            unknown.

    >>> import numpy as np
    >>> checked_scales(np.arange(32, 64, 16))
    (32, 48)
    """
    if scales is None or (isinstance(scales, str) and scales in ("single", "multi")):
        return scales
    try:  # NumPy's numbers become Python's, which JSON can hold
        scales = tuple(map(index, one_or_many(scales)))
    except TypeError as error:
        raise InputError(
            f"scales must be single, multi or whole numbers, got {scales!r} instead"
        ) from error
    if not scales:
        raise InputError("a protocol needs at least one test scale, in pixels")
    if len(set(scales)) < len(scales):
        raise InputError(f"each test scale once, got {', '.join(map(str, scales))} instead")
    return scales


def checked_grid(grid: Sequence[int]) -> tuple[int, int]:
    """Return a grid of crops as (rows, columns).

    Raises:
        InputError: There are not two whole numbers, or one is too small or too large.
    """
    try:
        rows, columns = map(index, grid)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a grid has two whole numbers, rows and columns, got {grid!r} instead"
        ) from error
    if not all(1 <= count <= MOST_ON_A_LINE for count in (rows, columns)):
        raise InputError(
            f"a grid has 1 to {MOST_ON_A_LINE} rows and columns, got {rows}x{columns} instead"
        )
    return rows, columns


def check_one_of(what: str, found: str, known: Sequence[str]) -> None:
    """Raise an InputError for a word that is not among the known ones."""
    if found not in known:
        raise InputError(
            f"{what} must be one of {', '.join(known)}, got {found!r} instead"
            f"{did_you_mean(str(found), known)}"
        )


def paper_scales(word: str, model: Scaled) -> tuple[int, ...]:
    """Return the paper's ``single`` or ``multi`` test scales for a model's training scale."""
    if word == "single":
        return single_scale(model.train_scale)
    return multiple_scales(model.train_scale, model.input_size)


def single_scale(train_scale: tuple[int, int]) -> tuple[int, ...]:
    """Return the paper's single test scale: S, or the middle of its range (section 4.1).

    >>> single_scale((256, 512))
    (384,)
    """
    return (sum(train_scale) // 2,)


def multiple_scales(train_scale: tuple[int, int], input_size: int) -> tuple[int, ...]:
    """Return the paper's test scales (section 4.2).

    {S − 32, S, S + 32} for a fixed S, with the step in proportion to the input size (32 at 224);
    {lowest, middle, highest} for a range. No scale is below the input size.

    >>> multiple_scales((256, 256), 224), multiple_scales((256, 512), 224)
    ((224, 256, 288), (256, 384, 512))
    >>> multiple_scales((64, 64), 64)
    (64, 73)
    """
    low, high = train_scale
    if low == high:
        step = in_proportion((32,), input_size)[0]
        low, high = low - step, high + step
    scales = {max(input_size, scale) for scale in (low, sum(train_scale) // 2, high)}
    return tuple(sorted(scales))


def own_scales(name: ProtocolName, input_size: int) -> tuple[int, ...] | None:
    """Return the scales that a protocol defines, for crops of a size; None if it defines none.

    >>> own_scales("ten-crop", 112), own_scales("dense", 112)
    ((128,), None)
    """
    own = OWN_SCALES.get(name)
    return own and in_proportion(own, input_size)


def in_proportion(scales: Sequence[int], input_size: int) -> tuple[int, ...]:
    """Convert scales for crops of 224 pixels to crops of another size.

    >>> in_proportion((256, 288, 320, 352), 64)
    (73, 82, 91, 101)
    """
    return tuple(round(scale * input_size / 224) for scale in scales)
