"""The runner of a study: every part once, whatever stops it, and one message for what changed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from progresses import Listening
from tiny import write_boxed, write_class_folders

from verydeep.data.read import read_dataset
from verydeep.errors import (
    FolderInUse,
    InputError,
    Interrupted,
    MachineError,
    ModelError,
    RecipeError,
)
from verydeep.run.reproduce import parts, side_by_side
from verydeep.run.reproduce.parts import do_part
from verydeep.run.reproduce.remaining import remaining, startable
from verydeep.run.reproduce.reproduce import reproduce
from verydeep.run.reproduce.study import Study, begin_or_compare, held, is_done
from verydeep.study.budget import BUDGETS
from verydeep.study.claims import claims
from verydeep.study.conditions import Condition, Measure
from verydeep.study.plan import Part, TestPart, TrainPart, make_plan
from verydeep.study.results import (
    Outcome,
    TrainingRecord,
    load_results,
    write_outcome,
    write_training,
)
from verydeep.study.verdicts import Verdict
from verydeep.system.files import write_json
from verydeep.system.locks import hold
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

NEEDS = [need for claim in claims(["depth", "fusion"]) for need in claim.needs]
PLAN = make_plan(NEEDS, [0, 1])


ABOUT = {"begun": "now", "command": ["verydeep", "first"], "plan": ["a", "b"]}


def study_in(folder: Path, data: Path) -> Study:
    return Study(
        folder, str(data), None, read_dataset(data), BUDGETS["tiny"], {}, "staged", Compute("cpu")
    )


def begun(folder: Path, data: Path) -> Study:
    study = study_in(folder, data)
    write_json(folder / "study.json", study.facts(claims=["depth"], seeds=[0]))
    write_json(folder / "images.json", ["a", "b", "c"])
    return study


class Pretending:
    """Does parts in no time, and is stopped before some of them."""

    def __init__(self, stop_before: set[int]) -> None:
        self.done: Counter[str] = Counter()
        self.calls = 0
        self.stop_before = stop_before

    def __call__(self, study: Study, part: Part, progress: Progress) -> str:
        self.calls += 1
        if self.calls in self.stop_before:
            raise Interrupted("stopped by SIGTERM; and so on")
        self.done[part.name] += 1
        if isinstance(part, TrainPart):
            write_training(study.folder, TrainingRecord(part.condition, part.seed, "runs/x"))
            (study.run(part.condition, part.seed) / "model").mkdir(parents=True)
            return "trained"
        for condition, measure in part.tests:
            wrong = np.zeros(3, bool)
            write_outcome(
                study.folder,
                Outcome(condition, measure, part.seed, 0.0, 0.0, 3, 0.1, wrong, wrong),
            )
        return "tested"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.sets(st.integers(1, 40), max_size=5))
def test_every_part_is_done_once_whenever_it_is_stopped(
    stops: set[int], pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study = begun(tmp_path_factory.mktemp("study"), pictures)
    pretending = Pretending(stops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "do_part", pretending)
        said: list[str] = []
        ends: list[str] = []
        for _ in range(len(stops) + 1):
            try:
                side_by_side.do_all(
                    study, PLAN, 1, Progress(), lambda part, *_: said.append(part.name)
                )
                break
            except Interrupted as error:
                ends.append(str(error))
    assert pretending.done == Counter(part.name for part in PLAN)
    assert said == [part.name for part in PLAN]
    assert set(ends) <= {"stopped by SIGTERM; the same call goes on"}
    assert all(is_done(part, study.results()) for part in PLAN)


def test_a_study_moved_without_its_nets_does_again_only_those_that_are_needed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begun(tmp_path / "study", pictures)
    monkeypatch.setattr(side_by_side, "do_part", Pretending({len(PLAN) - 2}))
    with pytest.raises(Interrupted):
        side_by_side.do_all(study, PLAN, 1, Progress(), lambda *_: None)
    rest = remaining(study, PLAN, study.results())
    assert rest == PLAN[-3:]
    shutil.rmtree(study.folder / "runs")
    moved = [part for part in remaining(study, PLAN, study.results()) if part not in rest]
    assert {part.seed for part in moved} == {1}
    # Of the second seed alone: what the rest needs, what that began with, and the tests of those.
    trained = [part for part in moved if isinstance(part, TrainPart)]
    tested = [part for part in moved if isinstance(part, TestPart)]
    known = {part.condition for part in rest if isinstance(part, TrainPart)}
    nets = {part.condition for part in trained}
    assert nets == {net for part in (*rest, *moved) for net in part.needs} - known
    assert tested
    assert {part for part in PLAN if part.seed == 1 and nets & {*part.needs}} >= {*tested}
    for part in PLAN[:-3]:
        if isinstance(part, TestPart) and part.seed == 1:
            assert (part in tested) == bool(nets & {*part.needs})
    redone = Pretending(set())
    monkeypatch.setattr(side_by_side, "do_part", redone)
    side_by_side.do_all(study, PLAN, 1, Progress(), lambda *_: None)
    assert set(redone.done) == {part.name for part in (*rest, *moved)}
    assert not remaining(study, PLAN, study.results())


def test_a_net_that_is_trained_again_is_unknown_until_then(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed on the way, it is neither taken for finished nor for the net that was tested."""
    study, pretend = begun(tmp_path / "study", pictures), Pretending(set())
    for part in PLAN:
        pretend(study, part, Progress())
    before, whole = {one.name for one in (study.folder / "results").iterdir()}, study.results()
    lost = next(part for part in PLAN if str(part) == "train D, jitter, staged, seed 1")
    assert isinstance(lost, TrainPart)

    def stop(*_: object, **__: object) -> None:
        (study.run(lost.condition, 1) / "model").mkdir(exist_ok=True)  # of its first epoch
        raise Interrupted("stopped by SIGTERM; and so on")

    monkeypatch.setattr(parts, "train", stop)
    with pytest.raises(Interrupted):
        do_part(study, lost, Progress())
    after, kept = study.results(), {one.name for one in (study.folder / "results").iterdir()}
    assert after.training(lost.condition, 1) is None
    assert {key for key in whole.trainings if key not in after.trainings} == {(lost.condition, 1)}
    assert {name for name in before - kept if "s1.json" in name} == before - kept
    assert {name.partition("-")[0] for name in before - kept} == {"D", "D+E"}
    assert all("jitter" in name for name in before - kept)
    again = remaining(study, PLAN, after)
    assert lost in again
    assert all(isinstance(part, TestPart) for part in again if part != lost)
    assert {net for part in again for net in part.needs} >= {lost.condition}


def test_parts_wait_for_those_that_they_need() -> None:
    left = list(PLAN)
    done: set[Part] = set()
    while left:
        free = startable(left)
        assert free
        for part in free:
            trained = {(p.condition, p.seed) for p in done if isinstance(p, TrainPart)}
            assert {(net, part.seed) for net in part.needs} <= trained
        done |= {*free}
        left = [part for part in left if part not in free]


def test_a_failed_training_fails_those_that_begin_with_it_and_the_study_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begun(tmp_path / "study", pictures)
    a, d = Condition("A").canonical, Condition("D")
    write_training(study.folder, TrainingRecord(a, 0, "runs/a", failed="the loss became infinite"))
    monkeypatch.setattr(parts, "train", None)  # nothing is trained
    assert "begins with A, fixed, scaled, which failed" in do_part(
        study, TrainPart(d, 0), Progress()
    )
    test = TestPart(((d, Measure()), (Condition("D+A"), Measure())), 0)
    assert is_done(test, study.results())
    assert "nothing to test" in do_part(study, test, Progress())
    assert study.results().trainings[d, 0].failed


def test_data_and_settings_cannot_change_but_claims_and_seeds_can_grow(
    pictures: Path, tmp_path: Path
) -> None:
    study = study_in(tmp_path / "study", pictures)
    study.folder.mkdir()
    begin_or_compare(study, study.facts(claims=["depth"], seeds=[0]), ABOUT)
    later = {"begun": "later", "command": ["verydeep", "more"], "plan": ["b", "c"]}
    begin_or_compare(study, study.facts(claims=["lrn"], seeds=[0, 1]), later)
    now = json.loads((study.folder / "study.json").read_text())
    assert (now["claims"], now["seeds"], now["begun"]) == (["depth", "lrn"], [0, 1], "now")
    assert (now["command"], now["more_commands"]) == (ABOUT["command"], [later["command"]])
    assert now["plan"] == ["a", "b", "c"]
    assert "earlier_seeds" not in now  # nothing was judged by them
    other = replace(study, budget=replace(study.budget, epochs=9), initialise="scaled")
    with pytest.raises(InputError) as caught:
        begin_or_compare(other, other.facts(claims=["depth"], seeds=[0]), ABOUT)
    message = str(caught.value)
    assert "budget: epochs was 4, is 9" in message
    assert "initialise: was 'staged', is 'scaled'" in message
    fewer = replace(study, dataset=study.dataset.__class__(**_with_one_image_less(study)))
    with pytest.raises(InputError, match="other images, names or classes"):
        begin_or_compare(fewer, fewer.facts(claims=["depth"], seeds=[0]), ABOUT)


def test_seeds_that_were_judged_before_others_came_are_noted(
    pictures: Path, tmp_path: Path
) -> None:
    study = study_in(tmp_path / "study", pictures)
    study.folder.mkdir()
    begin_or_compare(study, study.facts(claims=["depth"], seeds=[0, 1]), ABOUT)
    found = synthetic_study.study(synthetic_study.as_published(["depth"]), [0, 1], 30)
    write_json(study.folder / "images.json", found.names)
    for by_seed in found.outcomes.values():
        for outcome in by_seed.values():
            write_outcome(study.folder, outcome)
    for seeds in (5, 8):
        begin_or_compare(study, study.facts(claims=["depth"], seeds=range(seeds)), ABOUT)
    assert study.results().study["earlier_seeds"] == [2]


def _with_one_image_less(study: Study) -> dict[str, Any]:
    dataset = study.dataset
    train = dataset.split("train")
    values = {name: getattr(dataset, name) for name in dataset.__dataclass_fields__}
    return {**values, "splits": {**dataset.splits, "train": train.take(np.arange(1, len(train)))}}


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ModelError, match="not empty and not a study"), held(tmp_path):
        pass


def test_two_at_once_in_one_folder_are_refused(pictures: Path, tmp_path: Path) -> None:
    import threading

    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with hold(tmp_path):
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(20)
    try:
        with pytest.raises(FolderInUse), held(tmp_path):
            pass
    finally:
        leave.set()
        thread.join()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"claims": "dept"}, "did you mean 'depth'"),
        ({"budget": "huge"}, "one of tiny, small, full"),
        ({"initialise": "random"}, "staged or scaled"),
        ({"seeds": 0}, "seeds= must be above 0"),
        ({"hours": -1.0}, "hours= must be above 0"),
        ({"jobs": 0}, "jobs= must be above 0"),
        ({"settings": ["net.name=E"]}, "net.name cannot be changed"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_written(
    wish: dict[str, Any], message: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        reproduce(pictures, tmp_path / "study", **wish)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("setting", ["training.label_smoothing=0.1", "data.balance=weights"])
def test_what_the_last_trainings_refuse_is_refused_before_the_first(
    setting: str, tmp_path: Path
) -> None:
    """Classifiers may have it, box regressors may not."""
    data, out = write_boxed(tmp_path / "data", 4), tmp_path / "study"
    with pytest.raises(
        RecipeError, match=f"{setting.split('=', maxsplit=1)[0]}: must .* box regressor"
    ):
        reproduce(data, out, claims="depth,localization", settings=[setting], compute="cpu")
    assert not (out / "study.json").exists()


def test_splits_drawn_by_rule_are_the_same_for_every_seed(tmp_path: Path) -> None:
    study = study_in(tmp_path / "study", write_class_folders(tmp_path / "pets"))
    assert study.dataset.made_by_rule
    assert study.source.read(seed=1).split("val") == study.source.read(seed=2).split("val")


TINY = {
    "budget": "tiny",
    "claims": "depth,fusion",
    "settings": {"net.width": 0.03, "training.epochs": 1, "training.batch": 8},
    "compute": "cpu",
}


def do_study_twice(data: Path, out: Path, **wish: Any) -> list[Verdict]:
    """Do a study, and look whether each part was done once; return its verdicts."""
    asked = [need for claim in claims(wish["claims"].split(",")) for need in claim.needs]
    heard, again = Listening(), Listening()
    result = reproduce(data, out, seeds=1, progress=heard, **wish)
    finished = [line for line in heard.lines if line.startswith("[")]
    assert len(finished) == len(make_plan(asked, [0]))
    results = load_results(out)
    assert len(results.names) == 12
    for condition, measure in asked:
        outcome = results.of(condition, measure)[0]
        assert outcome.images == 12
        assert outcome.top1_error == pytest.approx(100 * outcome.wrong.mean())
        assert outcome.top5_error == pytest.approx(100 * outcome.wrong_top5.mean())
    # Once more: nothing is done again.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    reproduce(data, out, seeds=1, progress=again, **wish)
    assert not [line for line in again.lines if line.startswith("[")]
    trainings = {path for path in before if path.parent.name in ("trainings", "results")}
    assert all(path.stat().st_mtime_ns == before[path] for path in trainings)
    return [*result.verdicts]


@pytest.mark.slow
def test_a_whole_study(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    verdicts = do_study_twice(pictures, out, **TINY)
    recipe = (out / "runs" / "E-jitter-staged-s0" / "recipe.yaml").read_text()
    assert "E-fixed-large-staged-s0" in recipe
    assert [one.claim.group for one in verdicts].count("depth") == 3


@pytest.mark.slow
def test_a_study_side_by_side_has_the_results_of_one_after_the_other(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part has a process of its own: a net, two that begin with it, and their tests."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    wish = {**TINY, "claims": "filters"}
    found = []
    for jobs in (1, 2):
        do_study_twice(pictures, tmp_path / str(jobs), jobs=jobs, **wish)
        results = load_results(tmp_path / str(jobs))
        found.append({need: seeds[0].wrong.tolist() for need, seeds in results.outcomes.items()})
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_tested_fusion_is_that_of_evaluate(pictures: Path, tmp_path: Path) -> None:
    from verydeep import evaluate

    out = tmp_path / "study"
    wish = {**TINY, "claims": "fusion"}
    reproduce(pictures, out, seeds=1, progress=False, **wish)  # type: ignore[arg-type]
    runs = [out / "runs" / f"{net}-jitter-staged-s0" for net in "DE"]
    together = evaluate(
        runs,
        pictures,
        "dense",
        split="val",
        compute=Compute("cpu", engine="torch"),
        progress=False,
    )
    multi = evaluate(
        runs,
        pictures,
        BUDGETS["tiny"].protocol(Condition("D", "jitter"), Measure("dense", "multi")),
        split="val",
        compute=Compute("cpu", engine="torch"),
        progress=False,
    )
    assert together.images == multi.images == 12
    found = load_results(out).of(Condition("D+E", "jitter"), Measure("dense", "multi"))[0]
    assert found.wrong.tolist() == multi.answers.wrong.tolist()


@pytest.mark.slow
def test_a_killed_study_goes_on_with_its_unfinished_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call is stopped in a training; the second resumes that run."""
    out = tmp_path / "study"
    trained: list[tuple[str, bool]] = []
    real = parts.train

    def counting(data: Any, recipe: Any, run: Path, **more: Any) -> Any:
        trained.append((run.name, more["resume"]))
        if len(trained) == 3:
            more["progress"] = StopsAtOnce()
        return real(data, recipe, run, **more)

    monkeypatch.setattr(parts, "train", counting)
    wish = {**TINY, "claims": "depth"}
    with pytest.raises(Interrupted, match="the same call goes on"):
        reproduce(pictures, out, seeds=1, progress=False, **wish)  # type: ignore[arg-type]
    reproduce(pictures, out, seeds=1, progress=False, **wish)  # type: ignore[arg-type]
    names = [name for name, _ in trained]
    assert Counter(names) == Counter({**dict.fromkeys(names, 1), names[2]: 2})
    assert [resumed for _, resumed in trained] == [False] * 3 + [True] + [False] * (
        len(trained) - 4
    )


class StopsAtOnce(Progress):
    """Sends SIGTERM in the first update of a training."""

    def task(self, title: str, total: int) -> Any:
        import contextlib
        import signal

        class Task:
            def update(self, done: float, note: str = "") -> None:
                if title == "training":
                    signal.raise_signal(signal.SIGTERM)

        return contextlib.nullcontext(Task())


def test_a_lost_process_is_a_fault_of_the_machine() -> None:
    import multiprocessing

    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process()
    theirs.close()
    running = side_by_side._Running(PLAN[0], process, ours, 0)
    said, error = side_by_side._received(running)
    assert said == ""
    assert isinstance(error, MachineError)
    assert "the same call goes on" in str(error)
