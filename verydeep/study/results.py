"""The results of a study: read from its folder without torch, and written one by one.

``STUDY/results/`` has a JSON file for each test of each seed, ``STUDY/trainings/`` one for each
training, ``STUDY/images.json`` the names of the N test images, ``STUDY/images-boxes.json`` and
``STUDY/images-transfer.json`` those of other tests, ``STUDY/study.json`` the settings.
Every file is written whole or not at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ModelError
from verydeep.study.conditions import Condition, Kind, Measure, Need, kind_of
from verydeep.system.files import expanded, write_json

__all__ = ["Condition", "Measure", "Outcome", "Results", "TrainingRecord", "load_results"]


NAMES: dict[Kind, str] = {
    "classes": "images.json",
    "boxes": "images-boxes.json",
    "transfer": "images-transfer.json",
}
"""Files with the names of the test images."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Result of one test of one seed.

    Attributes:
        condition: What was trained.
        measure: How it was tested.
        seed: Seed of the training.
        top1_error: In percent; of boxes, the localization error with the most likely class.
        top5_error: In percent; of boxes, with the five most likely classes.
        images: Number N of images tested.
        seconds: Time of the test's views in the nets.
        wrong: True where the most likely class (or its box) is wrong, bool (N,), in the order of
            :meth:`Results.names_of`.
        wrong_top5: True where the class (or its box) is not among the five most likely, bool (N,).
    """

    condition: Condition
    measure: Measure
    seed: int
    top1_error: float
    top5_error: float
    images: int
    seconds: float
    wrong: NDArray[np.bool_]
    wrong_top5: NDArray[np.bool_]

    @property
    def kind(self) -> Kind:
        """What was tested."""
        return kind_of((self.condition, self.measure))

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Errors that claims compare, bool (N,): as in the paper, top-5 of boxes, else top-1."""
        return self.wrong_top5 if self.kind == "boxes" else self.wrong

    @property
    def path(self) -> str:
        """Name of its file below the study."""
        name = "--".join((self.condition.slug, self.measure.slug, f"s{self.seed}"))
        return f"results/{name}.json"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with bits of eight images in a byte as base64."""
        return {
            "condition": asdict(self.condition),
            "measure": asdict(self.measure),
            "seed": self.seed,
            "top1_error": self.top1_error,
            "top5_error": self.top5_error,
            "images": self.images,
            "seconds": self.seconds,
            "wrong": _packed(self.wrong),
            "wrong_top5": _packed(self.wrong_top5),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Outcome:
        """Read back the output of :meth:`to_dict`.

        Raises:
            KeyError: A value is missing.
            ValueError: A value is invalid.
            TypeError: Likewise.
        """
        count = int(value["images"])
        return cls(
            Condition(**value["condition"]),
            Measure(**value["measure"]),
            int(value["seed"]),
            float(value["top1_error"]),
            float(value["top5_error"]),
            count,
            float(value["seconds"]),
            _unpacked(value["wrong"], count),
            _unpacked(value["wrong_top5"], count),
        )


@dataclass(frozen=True)
class TrainingRecord:
    """A finished or failed training.

    Attributes:
        condition: What was trained.
        seed: Its seed.
        run: Its run folder, relative to the study.
        epochs: Epochs trained.
        seconds: Time of the training.
        stopped_because: Reason of its end.
        learned: Whether the validation loss of the kept net is below chance level, ln K; of boxes,
            whether they are better than the best box that ignores the image.
        failed: Reason why there is no net; None if there is one.
        errors: Validation error after each epoch, in percent: top-1; of boxes, localization. It is
            here as well as in the run, since results may be kept without the nets.
    """

    condition: Condition
    seed: int
    run: str
    epochs: int = 0
    seconds: float = 0.0
    stopped_because: str = ""
    learned: bool = True
    failed: str | None = None
    errors: tuple[float, ...] = ()

    @property
    def path(self) -> str:
        """Name of its file below the study."""
        return f"trainings/{self.condition.slug}-s{self.seed}.json"

    @property
    def hours(self) -> float:
        """Time of the training, in hours."""
        return self.seconds / 3600

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainingRecord:
        """Read back ``dataclasses.asdict``.

        Raises:
            KeyError: A value is missing.
            TypeError: A value is unknown.
        """
        condition, errors = Condition(**value["condition"]), tuple(value.get("errors", ()))
        return cls(**{**value, "condition": condition, "errors": errors})


@dataclass(frozen=True)
class Results:
    """Everything that a study has so far.

    Attributes:
        names: Names of the N test images; empty before the first test of classes.
        outcomes: By canonical condition and measure, then by seed.
        trainings: By canonical condition and seed.
        study: Content of ``study.json``: data, budget, recipe, claims, seeds, plan, machine.
        folder: The study; None if it is in memory only.
        other_names: Names of the test images of boxes and of transfer.
    """

    names: tuple[str, ...] = ()
    outcomes: Mapping[Need, Mapping[int, Outcome]] = field(default_factory=dict)
    trainings: Mapping[tuple[Condition, int], TrainingRecord] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    other_names: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)

    def names_of(self, kind: Kind) -> tuple[str, ...]:
        """Return the names of the images of a kind of test; none before the first."""
        return self.names if kind == "classes" else self.other_names.get(kind, ())

    def of(self, condition: Condition, measure: Measure) -> Mapping[int, Outcome]:
        """Return the outcomes by seed; none if nothing was tested yet."""
        return self.outcomes.get((condition.canonical, measure), {})

    @property
    def seeds(self) -> tuple[int, ...]:
        """Planned seeds; those with results if the study does not say."""
        with_results = {seed for by_seed in self.outcomes.values() for seed in by_seed}
        return tuple(self.study.get("seeds", sorted(with_results)))

    def training(self, condition: Condition, seed: int) -> TrainingRecord | None:
        """Return the record of a training; None if it has not ended."""
        return self.trainings.get((condition.canonical, seed))

    @classmethod
    def from_outcomes(
        cls, outcomes: Iterable[Outcome], names: Iterable[str] = (), **more: Any
    ) -> Results:
        """Arrange outcomes; the other arguments are attributes."""
        found: dict[Need, dict[int, Outcome]] = {}
        for one in outcomes:
            found.setdefault((one.condition.canonical, one.measure), {})[one.seed] = one
        return cls(tuple(names), found, **more)


def load_results(folder: str | Path) -> Results:
    """Read a study, finished or not.

    Raises:
        ModelError: The folder is no study, or a file of it is damaged.
    """
    root = expanded(folder)
    if not (root / "study.json").is_file():
        raise ModelError(f"{root}: not a study (no study.json)")
    names = {kind: _names(root / NAMES[kind]) for kind in NAMES}
    records = _all(TrainingRecord, root / "trainings")
    results = Results.from_outcomes(
        _all(Outcome, root / "results"),
        names["classes"],
        other_names=names,
        trainings={(one.condition.canonical, one.seed): one for one in records},
        study=_read(root / "study.json"),
        folder=root,
    )
    for seeds in results.outcomes.values():
        for one in seeds.values():
            if one.images != (count := len(results.names_of(one.kind))):
                raise ModelError(
                    f"{root / one.path}: {one.images} images, where the study tests on "
                    f"{count}; delete this file, and it is made again"
                )
    return results


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write the file of a test."""
    write_json(folder / outcome.path, outcome.to_dict())


def write_training(folder: Path, record: TrainingRecord) -> None:
    """Write the file of a training."""
    condition = record.condition.canonical
    write_json(folder / record.path, asdict(replace(record, condition=condition)))


def forget_training(folder: Path, results: Results, condition: Condition, seed: int) -> None:
    """Remove the file of a training, and before it those of all tests of its net."""
    net = condition.canonical
    tested = (by_seed[seed] for by_seed in results.outcomes.values() if seed in by_seed)
    for outcome in tested:
        if net in (member.canonical for member in outcome.condition.members):
            (folder / outcome.path).unlink()
    if record := results.training(net, seed):
        (folder / record.path).unlink()


def _names(path: Path) -> tuple[str, ...]:
    return tuple(_read(path)) if path.is_file() else ()


def _all(kind: Any, folder: Path) -> Iterator[Any]:
    for path in sorted(folder.glob("*.json")):
        with suppress(FileNotFoundError):  # forgotten meanwhile
            yield _from(kind, path)


def _from(kind: Any, path: Path) -> Any:
    try:
        return kind.from_dict(_read(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: damaged ({error}); delete this file, and it is made again"
        ) from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error


def _packed(bits: NDArray[np.bool_]) -> str:
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")


def _unpacked(text: str, count: int) -> NDArray[np.bool_]:
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(packed) != (count + 7) // 8:
        raise ValueError(f"{8 * len(packed)} bits for {count} images")
    return np.unpackbits(packed, count=count).astype(bool)
