"""Results of :func:`verydeep.reproduce`: the plan, and the study with its verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import plural
from verydeep.study.budget import Costs
from verydeep.study.conditions import Condition
from verydeep.study.export import table_records, verdict_records
from verydeep.study.plan import Part, TestPart, TrainPart
from verydeep.study.results import Results
from verydeep.study.tables import study_tables
from verydeep.study.verdicts import Verdict
from verydeep.system.durations import in_words
from verydeep.system.mapping_result import MappingResult
from verydeep.system.summary import Rows, Summary


@dataclass(frozen=True)
class PlannedPart:
    """A part of a plan.

    Attributes:
        part: The training or the tests.
        seconds: Estimated time.
        done: Whether it is finished.
    """

    part: Part
    seconds: float
    done: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "part": str(self.part),
            "kind": "training" if isinstance(self.part, TrainPart) else "test",
            "seed": self.part.seed,
            "hours": self.seconds / 3600,
            "done": self.done,
        }


@dataclass(frozen=True, repr=False, eq=False)
class StudyPlan(Summary, MappingResult):
    """The plan of a study, with estimated times.

    Attributes:
        out: The study's folder.
        parts: In order.
        costs: The estimate.
        jobs: Parts that are done side by side.
    """

    out: Path
    parts: tuple[PlannedPart, ...]
    costs: Costs
    jobs: int

    @property
    def hours(self) -> float:
        """Estimated time of what is not done yet; parts at a time share the machine."""
        return sum(one.seconds for one in self.parts if not one.done) / self.jobs / 3600

    def lines(self) -> Iterator[str]:
        """Yield the plan in words: sizes, then each training and test, then the total."""
        yield from self._sizes()
        for parts in self._alike():
            done = sum(one.done for one in parts)
            seconds = in_words(parts[0].seconds)
            yield f"  {self._title(parts[0].part):<64} {done} of {len(parts)} done, {seconds} each"
        side = f", {self.jobs} at a time" if self.jobs > 1 else ""
        yield (
            f"{plural(len(self.parts), 'part')}, {sum(one.done for one in self.parts)} done; "
            f"about {in_words(3600 * self.hours)} to go{side}"
        )

    def _sizes(self) -> Iterator[str]:
        budget, images = self.costs.budget, self.costs.images
        scales = (budget.train_scale(Condition("D", train)) for train in ("fixed", "fixed-large"))
        small, large = (low for low, _ in scales)
        low, high = budget.train_scale(Condition("D", "jitter"))
        yield (
            f"budget {budget.name}: {budget.width:g} of the width, crops of {budget.input_size} "
            f"pixels, S = {small}, {large} and [{low}; {high}]"
        )
        yield (
            f"{plural(budget.epochs, 'epoch')} of {images.train:,} images, batch {budget.batch}, "
            f"rate {budget.learning_rate:g}, {budget.schedule}; tests on {images.test:,} images"
        )

    def _alike(self) -> Iterator[list[PlannedPart]]:
        """Yield parts that differ only in their seeds."""
        groups: dict[str, list[PlannedPart]] = {}
        for one in self.parts:
            groups.setdefault(self._title(one.part), []).append(one)
        yield from groups.values()

    @staticmethod
    def _title(part: Part) -> str:
        if isinstance(part, TestPart):
            return part.title
        source = part.condition.source
        return f"train {part.condition}" + (f", from {source.net}" if source else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "out": str(self.out),
            "budget": asdict(self.costs.budget),
            "jobs": self.jobs,
            "hours": self.hours,
            "parts": [one.to_dict() for one in self.parts],
        }

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "parts", len(self.parts)
        yield "done", sum(one.done for one in self.parts)
        yield "to go", in_words(3600 * self.hours)


@dataclass(frozen=True, repr=False, eq=False)
class StudyResult(Summary, MappingResult):
    """A finished study.

    Attributes:
        out: The study's folder.
        results: What was measured.
        verdicts: The claims, judged by it.
    """

    out: Path
    results: Results
    verdicts: tuple[Verdict, ...]

    @property
    def page(self) -> Path:
        """Path of the page with tables, verdicts and curves."""
        return self.out / "report.html"

    @property
    def failed(self) -> dict[str, str]:
        """Trainings without a net, with their reasons."""
        records = self.results.trainings.values()
        return {f"{r.condition}, seed {r.seed}": r.failed for r in records if r.failed}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "out": str(self.out),
            "page": str(self.page),
            "failed": self.failed,
            "verdicts": verdict_records(self.verdicts),
            "tables": table_records(study_tables(self.results)),
        }

    def facts(self) -> Rows:
        """Yield the facts to show."""
        for verdict in self.verdicts:
            yield verdict.claim.sentence, verdict.decision
        yield "study", self.out
