"""The folder of a study, and the settings that it is made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from verydeep.data.dataset import Dataset
from verydeep.data.read import Data, DataSource
from verydeep.errors import InputError, ModelError
from verydeep.recipe.recipe import Recipe
from verydeep.study.budget import Budget
from verydeep.study.claims import LOCALIZATION
from verydeep.study.conditions import Condition, Initialisation
from verydeep.study.plan import Part, TrainPart
from verydeep.study.recipes import study_recipe
from verydeep.study.results import Results, load_results
from verydeep.study.verdicts import is_judged
from verydeep.system.files import clear_temporaries, make_folder, write_json
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option, placeholder
from verydeep.system.settings import Compute

FILE = "study.json"

FIXED = ("fingerprint", "initialise", "budget", "settings")
"""Facts of a study that cannot change once it has begun; the same data may lie elsewhere."""

ADDED = ("transfer", "boxed")
"""Facts that a study may get later, with further claims, but that cannot change after that."""


@dataclass(frozen=True)
class Study:
    """A study: its folder, data and settings. It can be sent to another process.

    Attributes:
        folder: The study's folder.
        data: Data that every training is given.
        layout: Their layout; None detects it.
        dataset: The same data, read, with a validation split.
        budget: Sizes.
        settings: Changes to the recipe of every training, by dotted path.
        initialise: How deeper nets are initialised.
        compute: Device and precision.
        transfer: The other data set for features, read, with splits to train and test on; None
            without claims about transfer.
    """

    folder: Path
    data: Data
    layout: str | None
    dataset: Dataset
    budget: Budget
    settings: Mapping[str, Any]
    initialise: Initialisation
    compute: Compute
    transfer: Dataset | None = None

    @property
    def source(self) -> DataSource:
        """The data as every training reads them: with the same splits for every seed."""
        return DataSource(self.dataset if self.dataset.made_by_rule else self.data, self.layout)

    def run(self, condition: Condition, seed: int) -> Path:
        """Return the run folder of a training."""
        return self.folder / "runs" / TrainPart(condition.canonical, seed).name

    def recipe(self, part: TrainPart) -> Recipe:
        """Return the recipe of a training.

        Raises:
            RecipeError: The study's settings contradict those of this training.
        """
        source = part.condition.source
        machine = {
            "training.device": self.compute.device,
            "training.precision": self.compute.precision,
        }
        return study_recipe(
            self.budget,
            part.condition,
            seed=part.seed,
            source=self.run(source, part.seed) if source else None,
            settings={**self.settings, **{key: one for key, one in machine.items() if one}},
        )

    def results(self) -> Results:
        """Read what there is so far."""
        return load_results(self.folder)

    def facts(self, *, claims: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
        """Return the content of ``study.json`` that follows from the settings."""
        from verydeep.run.data_record import fingerprint

        sizes = {key: value for key, value in asdict(self.budget).items() if key != "seeds"}
        return {
            "data": DataSource(self.data, self.layout).lasting,
            "layout": self.layout,
            "fingerprint": fingerprint(self.dataset),
            "classes": len(self.dataset.classes),
            "images": self.dataset.sizes,
            "test_split": "val",
            "budget": sizes,
            "settings": dict(self.settings),
            "initialise": self.initialise,
            "claims": list(claims),
            "seeds": list(seeds),
            **self._additions(claims),
        }

    def _additions(self, claims: Sequence[str]) -> dict[str, Any]:
        """Return the facts that only some claims need."""
        from verydeep.run.data_record import fingerprint

        found: dict[str, Any] = {}
        if LOCALIZATION in claims:
            found["boxed"] = boxed(self.dataset)
        if self.transfer is not None:
            found["transfer"] = {
                "data": DataSource(self.transfer).lasting,
                "fingerprint": fingerprint(self.transfer),
                "classes": len(self.transfer.classes),
                "images": self.transfer.sizes,
            }
        return found


def boxed(dataset: Dataset) -> dict[str, int]:
    """Return the number of images with a box, of the splits to train and test on."""
    return {split: len(dataset.split(split).with_box()) for split in ("train", "val")}


def is_done(part: Part, results: Results) -> bool:
    """Return whether a part is finished, or its training has failed for good."""
    if isinstance(part, TrainPart):
        return results.training(part.condition, part.seed) is not None
    failed = failures(part, results)
    return all(
        part.seed in results.of(*test) or any(net in failed for net in test[0].members)
        for test in part.tests
    )


def failures(part: Part, results: Results) -> dict[Condition, str]:
    """Return the failed trainings that a part needs, with their reasons."""
    found = {net: results.training(net, part.seed) for net in part.needs}
    return {net: record.failed for net, record in found.items() if record and record.failed}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock the folder of a study, and remove remains of killed writes.

    Raises:
        FolderInUse: Another process holds it.
        ModelError: The folder is not empty and no study.
    """
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if inside - {LOCK} and FILE not in inside and not all(n.startswith(".") for n in inside):
        raise ModelError(f"{folder} is not empty and not a study: choose another {option('out')}")
    make_folder(folder)
    with hold(folder):
        for place in (folder, folder / "results", folder / "trainings"):
            if place.is_dir():
                clear_temporaries(place)
        yield


def stored(folder: Path) -> Mapping[str, Any] | None:
    """Return the content of ``study.json``; None if the study has not begun."""
    return load_results(folder).study if (folder / FILE).is_file() else None


def stored_budget(facts: Mapping[str, Any], seeds: int) -> Budget:
    """Return the budget of a study that has begun."""
    sizes = {one.name for one in fields(Budget)}
    known = {key: value for key, value in facts["budget"].items() if key in sizes}
    return Budget(**{**known, "seeds": seeds})


def begin_or_compare(study: Study, facts: dict[str, Any], about: Mapping[str, Any]) -> None:
    """Write ``study.json``, or compare it with a study that has begun; claims and seeds may grow.

    Args:
        study: The study.
        facts: Output of :meth:`Study.facts`.
        about: Facts to note at the beginning: machine, versions, command, estimate.

    Raises:
        InputError: Data or settings are others than at the beginning.
    """
    before = stored(study.folder)
    if before is None:
        write_json(study.folder / FILE, {**facts, **about})
        return
    added = {key: facts[key] for key in ADDED if key in facts}
    changed = [key for key in FIXED if before.get(key) != facts[key]]
    changed += [key for key in added if before.get(key, added[key]) != added[key]]
    if changed:
        lines = "".join(f"\n  {_difference(key, before.get(key), facts[key])}" for key in changed)
        raise InputError(
            f"{study.folder} was begun otherwise:{lines}\nGo on with the settings of then, or "
            f"choose another {option('out', placeholder('FOLDER'))}"
        )
    grown = {
        key: sorted({*before[key], *facts[key]}, key=[*before[key], *facts[key]].index)
        for key in ("claims", "seeds")
    }
    grown |= added
    if any(before.get(key) != value for key, value in grown.items()):
        write_json(study.folder / FILE, {**before, **grown, **_growth(study, before, grown, about)})


def _growth(
    study: Study, before: Mapping[str, Any], grown: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what to note when claims or seeds are added: command, parts, seeds already judged."""
    notes = {
        "more_commands": [*before.get("more_commands", []), about["command"]],
        "plan": list(dict.fromkeys([*before.get("plan", []), *about["plan"]])),
    }
    if len(grown["seeds"]) > len(before["seeds"]) and is_judged(study.results()):
        notes["earlier_seeds"] = [*before.get("earlier_seeds", []), len(before["seeds"])]
    return notes


def _difference(key: str, before: Any, now: Any) -> str:
    if key == "fingerprint":
        return "data: other images, names or classes than at the beginning"
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [one for one in (before | now) if before.get(one) != now.get(one)]
        parts = (f"{one} was {before.get(one)!r}, is {now.get(one)!r}" for one in keys)
        return f"{key}: {'; '.join(parts)}"
    return f"{key}: was {before!r}, is {now!r}"
