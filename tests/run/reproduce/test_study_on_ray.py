"""Parts of a study as tasks of Ray: each once, with the same results as without it."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_study_runner import PLAN, Pretending, begun

from verydeep.errors import InputError, Interrupted, MachineError, MissingExtra, VeryDeepError
from verydeep.run.reproduce import on_ray
from verydeep.run.reproduce.reproduce import reproduce
from verydeep.run.reproduce.study import is_done
from verydeep.study.results import load_results
from verydeep.system.progress import Progress


class LostTask(Exception):
    """Stands for the errors of Ray."""


class FakeRay:
    """Does tasks in this process, the one that was begun last first, as a cluster may."""

    class exceptions:  # noqa: N801 - the name of Ray's module
        RayError = LostTask

    def __init__(self, nodes: Sequence[dict[str, float]] = ({"CPU": 8},)) -> None:
        self.machines = [{"Alive": True, "Resources": one} for one in nodes]
        self.options_given: dict[str, float] = {}
        self.begun: deque[Any] = deque()
        self.most = 0
        self.outcomes: dict[int, Any] = {}
        self.cancelled: list[int] = []

    def nodes(self) -> list[dict[str, Any]]:
        return self.machines

    def remote(self, function: Any) -> Any:
        fake = self

        class Task:
            def options(self, **given: float) -> Any:
                fake.options_given = given
                return self

            def remote(self, *arguments: Any) -> int:
                number = len(fake.outcomes) + len(fake.begun)
                fake.begun.append((number, function, arguments))
                fake.most = max(fake.most, len(fake.begun))
                return number

        return Task()

    def wait(self, references: list[int], **_: Any) -> tuple[list[int], list[int]]:
        number, function, arguments = self.begun.pop()
        try:
            self.outcomes[number] = function(*arguments)
        except LostTask as error:
            self.outcomes[number] = error
        return [number], []

    def get(self, reference: int) -> Any:
        found = self.outcomes[reference]
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self, reference: int) -> None:
        self.cancelled.append(reference)


def tasks(study: Any, ray: FakeRay, jobs: int, said: list[str]) -> on_ray._Tasks:
    return on_ray._Tasks(ray, study, jobs, lambda part, *_: said.append(part.name))


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_part_is_done_once_after_those_that_it_needs(
    jobs: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, pretending, ray = begun(tmp_path / "study", pictures), Pretending(set()), FakeRay()
    monkeypatch.setattr(
        on_ray, "_work", lambda study, part: (pretending(study, part, Progress()), None)
    )
    said: list[str] = []
    tasks(study, ray, jobs, said).run(PLAN)
    assert sorted(said) == sorted(part.name for part in PLAN)
    assert max(pretending.done.values()) == 1
    assert ray.most == jobs
    place = {name: number for number, name in enumerate(said)}
    for part in PLAN:
        for need in part.needs:
            assert place[f"{need.slug}-s{part.seed}"] < place[part.name]
    assert all(is_done(part, study.results()) for part in PLAN)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Interrupted("stopped"), "stopped"),
        (LostTask("the worker died\nand so on"), r"its worker was lost \(the worker died\)"),
    ],
)
def test_a_fault_ends_the_study_and_cancels_the_rest(
    fault: Exception,
    message: str,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, ray = begun(tmp_path / "study", pictures), FakeRay()

    def fail(*_: Any) -> tuple[str, VeryDeepError]:
        if isinstance(fault, VeryDeepError):
            return "", fault
        raise fault

    monkeypatch.setattr(on_ray, "_work", fail)
    pretending = Pretending(set())
    for part in [part for part in PLAN if part.seed == 0][:1]:  # net A, so that others are ready
        pretending(study, part, Progress())
    monkeypatch.setattr(ray, "wait", _once(ray))
    with pytest.raises((Interrupted, MachineError), match=message):
        tasks(study, ray, 3, []).run(PLAN)
    assert len(ray.cancelled) == 2


def _once(ray: FakeRay) -> Any:
    """Return a wait that does one task, and then sees only cancelled ones."""
    real = ray.wait

    def wait(references: list[int], **given: Any) -> Any:
        return ([*references], []) if ray.cancelled else real(references, **given)

    return wait


@pytest.mark.parametrize(
    ("nodes", "jobs", "share"),
    [
        ([{"CPU": 8}], 1, {"num_cpus": 8, "num_gpus": 0}),
        ([{"CPU": 8}, {"CPU": 4}], 3, {"num_cpus": 4, "num_gpus": 0}),
        ([{"CPU": 8}, {"CPU": 8}], 1, {"num_cpus": 8, "num_gpus": 0}),  # no more than one has
        ([{"CPU": 2}], 5, {"num_cpus": 1, "num_gpus": 0}),
        ([{"CPU": 16, "GPU": 4}], 4, {"num_cpus": 4, "num_gpus": 1}),
    ],
)
def test_a_task_takes_its_share_of_a_machine(
    nodes: list[dict[str, float]], jobs: int, share: dict[str, float]
) -> None:
    assert tasks(None, FakeRay(nodes), jobs, [])._share() == share


def test_a_cluster_without_machines_is_refused() -> None:
    with pytest.raises(InputError, match="ray=: the cluster has no machine"):
        tasks(None, FakeRay([]), 1, [])._share()


def test_a_missing_ray_is_named_before_anything_is_read(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"verydeep\[ray\]"):
        reproduce(pictures, tmp_path / "study", claims="lrn", ray="local")
    assert not (tmp_path / "study").exists()


TINY = {
    "budget": "tiny",
    "claims": "filters",
    "settings": {"net.width": 0.03, "training.epochs": 1, "training.batch": 8},
    "compute": "cpu",
    "seeds": 1,
    "progress": False,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets open and warns of itself
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: verydeep[ray]"
)
def test_a_study_on_ray_has_the_results_of_one_without(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    here = [str(Path(__file__).parents[3]), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))
    before = signal.getsignal(signal.SIGTERM)
    for name, more in (("ray", {"ray": "local", "jobs": 2}), ("alone", {})):
        reproduce(pictures, tmp_path / name, **TINY, **more)  # type: ignore[arg-type]
    one, other = (load_results(tmp_path / name) for name in ("ray", "alone"))
    assert set(one.outcomes) == set(other.outcomes)
    for need, seeds in one.outcomes.items():
        assert seeds[0].wrong.tolist() == other.outcomes[need][0].wrong.tolist()
    assert (tmp_path / "ray" / "logs").is_dir()
    assert signal.getsignal(signal.SIGTERM) is before
