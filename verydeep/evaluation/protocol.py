"""How images are tested, as a value: views, scales, mirror images, averages (section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views

ProtocolName = Literal["center", "dense", "crops", "both", "ten-crop", "googlenet"]
Average = Literal["paper", "scores", "posteriors"]
Preset = Literal["paper", "torchvision"]

NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)


@dataclass(frozen=True, slots=True)
class TestProtocol:
    """A way to test.

    Attributes:
        name: ``center``: the central crop; ``dense``: the whole image; ``crops``: a grid of
            crops; ``both``: the mean of the posteriors of dense and crops; ``ten-crop``:
            Krizhevsky's five crops; ``googlenet``: the 18 crops of Szegedy et al. a scale.
        scales: Test scales Q, the smallest side of the rescaled image in pixels.
        flip: Whether mirror images are averaged in.
        grid: Rows and columns of the grid of ``crops`` and ``both``.
        average: What is averaged. ``paper``: scores over the positions of a map, before the
            softmax, then posteriors over all else; ``scores``: scores over everything, and one
            softmax at the end; ``posteriors``: posteriors over everything, positions included.
        preset: ``torchvision`` rounds as its published evaluation does: the longer side of a
            rescaled image down, the half pixels of a central crop to the even side.

    >>> print(Protocol("crops", (256, 384), grid=(3, 3)))
    crops 3x3 at Q = 256, 384, with mirror images
    """

    name: ProtocolName
    scales: tuple[int, ...]
    flip: bool = True
    grid: tuple[int, int] = (5, 5)
    average: Average = "paper"
    preset: Preset = "paper"

    @property
    def kinds(self) -> tuple[Views, ...]:
        """The kinds of views; posteriors are averaged within a kind first, then over the kinds."""
        grid = Grid(*self.grid, self.flip)
        kinds: dict[ProtocolName, tuple[Views, ...]] = {
            "center": (Center(self.flip, half_even=self.preset == "torchvision"),),
            "dense": (Dense(self.flip),),
            "crops": (grid,),
            "both": (Dense(self.flip), grid),
            "ten-crop": (TenCrop(self.flip),),
            "googlenet": (GoogLeNetCrops(self.flip),),
        }
        return kinds[self.name]

    @property
    def has_grid(self) -> bool:
        """Whether the grid means anything."""
        return self.name in ("crops", "both")

    def __str__(self) -> str:
        rows, columns = self.grid
        grid = f" {rows}x{columns}" if self.has_grid else ""
        scales = ", ".join(str(scale) for scale in self.scales)
        turns = "with mirror images" if self.flip else "without mirror images"
        average = "" if self.average == "paper" else f", {self.average} averaged everywhere"
        preset = "" if self.preset == "paper" else ", rounded as torchvision does"
        return f"{self.name}{grid} at Q = {scales}, {turns}{average}{preset}"


def make_protocol(
    name: str,
    scales: Sequence[int],
    *,
    flip: bool = True,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    preset: str = "paper",
) -> TestProtocol:
    """Return a protocol, checked.

    Raises:
        InputError: There is no such protocol, average or preset, no scale, or no such grid.
    """
    _one_of("protocol", name, NAMES)
    _one_of("average", average, get_args(Average))
    _one_of("preset", preset, get_args(Preset))
    if not scales:
        raise InputError("a protocol needs at least one test scale, in pixels")
    if len(set(scales)) < len(scales):
        raise InputError(f"each test scale once, got {', '.join(map(str, scales))} instead")
    check_grid(grid)
    if preset == "torchvision" and name != "center":
        raise InputError(
            f"preset torchvision is its way of taking the central crop; protocol {name} has none"
        )
    rows, columns = grid
    return TestProtocol(name, tuple(scales), flip, (rows, columns), average, preset)  # type: ignore[arg-type]


MOST_ON_A_LINE = 100
"""Crops in a row or column, at most."""


def check_grid(grid: tuple[int, int]) -> None:
    """Raise an InputError if there is no grid of so many rows and columns of crops."""
    if not all(1 <= count <= MOST_ON_A_LINE for count in grid):
        rows, columns = grid
        raise InputError(
            f"a grid has 1 to {MOST_ON_A_LINE} rows and columns, got {rows}x{columns} instead"
        )


def _one_of(what: str, found: str, known: Sequence[str]) -> None:
    if found not in known:
        raise InputError(
            f"{what} must be one of {', '.join(known)}, got {found!r} instead"
            f"{did_you_mean(found, known)}"
        )


def single_scale(train_scale: tuple[int, int]) -> tuple[int, ...]:
    """Return the paper's one test scale: S, or the middle of its range (section 4.1).

    >>> single_scale((256, 512))
    (384,)
    """
    return (sum(train_scale) // 2,)


def multiple_scales(train_scale: tuple[int, int], input_size: int) -> tuple[int, ...]:
    """Return the paper's test scales (section 4.2).

    {S − 32, S, S + 32} for a fixed S, the step in proportion for nets of another input size than
    224; {lowest, middle, highest} for a range. None is below the input size.

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


def in_proportion(scales: Sequence[int], input_size: int) -> tuple[int, ...]:
    """Return scales that were made for crops of 224 pixels, for crops of another size.

    >>> in_proportion((256, 288, 320, 352), 64)
    (73, 82, 91, 101)
    """
    return tuple(round(scale * input_size / 224) for scale in scales)


def usual_scales(name: str, input_size: int, chosen: Sequence[int]) -> tuple[int, ...]:
    """Return the scales of a protocol that has its own, in proportion, else those chosen.

    >>> usual_scales("ten-crop", 224, (384,)), usual_scales("dense", 224, (384,))
    ((256,), (384,))
    """
    own = {"ten-crop": (256,), "googlenet": (256, 288, 320, 352)}.get(name)
    return in_proportion(own, input_size) if own else tuple(chosen)
