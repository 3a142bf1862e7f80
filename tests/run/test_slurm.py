"""Batch scripts: what they ask for, and how a job is begun, warned, queued again and ended."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slurm_programs import JOB, directives, run_job, warn, write_programs
from tiny import Outcome, flags

from verydeep.errors import InputError
from verydeep.run.slurm import SlurmJob, batch_script, parse_options

Program = Callable[..., Outcome]
PATIENCE = 120


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in place of Slurm's, on PATH; the current folder is empty."""
    folder = write_programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    work = tmp_path / "work folder"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def script_of(job: SlurmJob, **more: Any) -> str:
    where = {"folder": Path("/data"), "log": Path("/data/d.log"), "origin": "verydeep slurm"}
    return batch_script(job, ["program", "a b"], **{**where, **more})


# ---- scripts ----


def test_a_job_asks_for_what_it_was_given() -> None:
    job = SlurmJob("d", 2, 4, None, 8, "24:00:00", "gpu", "vision", {"mem": "0", "exclusive": None})
    lines = script_of(job, run=Path("runs/d"), setup=["module load cuda"]).splitlines()
    assert lines[0] == "#!/bin/bash"
    asked = [line for line in lines if line.startswith("#SBATCH ")]
    assert sorted(asked) == sorted(
        f"#SBATCH --{text}"
        for text in (
            "job-name=d",
            "nodes=2",
            "ntasks-per-node=4",
            "gpus-per-node=4",
            "cpus-per-task=8",
            "time=24:00:00",
            "partition=gpu",
            "account=vision",
            "chdir=/data",
            "output=/data/d.log",
            "open-mode=append",
            "requeue",
            "signal=B:USR1@120",
            "mem=0",
            "exclusive",
        )
    )
    assert lines.index("module load cuda") < lines.index("export SRUN_CPUS_PER_TASK=8")


def test_options_of_the_user_come_before_ours() -> None:
    job = SlurmJob("d", time="1:00", options=parse_options(["time=2:00", "no-requeue"]))
    text = script_of(job, run=Path("runs/d"))
    assert "#SBATCH --time=2:00\n" in text
    assert "time=1:00" not in text
    assert "#SBATCH --no-requeue\n" in text
    assert "#SBATCH --requeue" not in text


def test_another_command_starts_anew_and_is_not_warned() -> None:
    text = script_of(SlurmJob("d"))
    assert text.rstrip().endswith("srun --kill-on-bad-exit=0 program 'a b'")
    assert "signal" not in text
    assert "resume" not in text


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (SlurmJob("d", 1, 2, 4), "--processes-per-node 4: each process needs a GPU"),
        (SlurmJob("d", options={"mem\n#": "1"}), "--sbatch takes KEY=VALUE"),
        (SlurmJob("d", options={"comment": "a\nrm -r /"}), "--sbatch takes KEY=VALUE"),
        (SlurmJob("d", account="a\nb"), "--sbatch takes KEY=VALUE"),
    ],
)
def test_what_no_script_can_hold_is_refused(job: SlurmJob, message: str) -> None:
    with pytest.raises(InputError, match=message):
        job.check()


# ---- the verb ----


def test_a_script_is_written_checked_and_submitted(programs: Path, verydeep: Program) -> None:
    done = verydeep(
        *("slurm", "--nodes", 2, "train", "pets", "--out", "runs/d", "--set", "training.epochs=3"),
        *("--gpus-per-node", 4, "--sbatch", "mem=0", "--resume", "--json"),
    )
    assert done.code == 0
    value = json.loads(done.out)
    script = Path("runs/d.sbatch")
    assert value == {
        "script": str(script),
        "job": JOB,
        "log": str(Path("runs").absolute() / f"d.slurm-{JOB}.log"),
    }
    assert (programs / "submitted").read_text() == "--parsable runs/d.sbatch\n"
    asked = directives(script)
    assert (asked["nodes"], asked["ntasks-per-node"], asked["mem"]) == ("2", "4", "0")
    assert asked["chdir"] == str(Path.cwd())
    assert f"--chdir='{Path.cwd()}'\n" in script.read_text()  # it has a space
    (call,) = [line for line in script.read_text().splitlines() if line.startswith("srun ")]
    assert call.endswith("-m verydeep train pets --out runs/d --set training.epochs=3 $resume &")
    subprocess.run(["bash", "-n", script], check=True)


def test_without_out_the_script_names_the_run(programs: Path, verydeep: Program) -> None:
    done = verydeep("slurm", "train", "pets", "--dry-run")
    assert (done.code, done.out) == (0, "script runs/pets.sbatch\n")
    assert "train pets --out runs/pets $resume" in Path("runs/pets.sbatch").read_text()
    assert not (programs / "submitted").exists()
    # Another time the same script is written over.
    assert verydeep("slurm", "train", "pets", "--dry-run").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "runs/d"], "one of train, evaluate, features; got 'predict' instead"),
        (["trian", "pets"], "got 'trian' instead; did you mean 'train'?"),
        ([], "none is given"),
        (["train", "pets", "--epoch", "3"], "No such option: --epoch"),
        (["train"], "Missing argument"),
        (["train", "pets", "--processes", "2"], "use --processes-per-node"),
        (["train", "pets", "--gpus-per-node", "2", "--processes-per-node", "3"], "a GPU of its"),
        (["train", "pets", "--script", "mine.sh"], "mine.sh exists and is not a script of"),
    ],
)
def test_what_cannot_be_a_job_is_refused_at_once(
    words: list[str], message: str, programs: Path, verydeep: Program
) -> None:
    Path("mine.sh").write_text("#!/bin/bash\necho mine\n")
    done = verydeep("slurm", *words)
    assert done.code == 2
    assert message in done.err
    assert Path("mine.sh").read_text().endswith("mine\n")
    assert not (programs / "submitted").exists()


def test_a_job_that_slurm_refuses_is_told_with_its_reason(
    programs: Path, verydeep: Program
) -> None:
    done = verydeep("slurm", "train", "pets", "--script", "refused.sbatch")
    assert done.code == 1
    assert "sbatch refuses refused.sbatch: sbatch: error: Batch job" in done.err


def test_without_slurm_there_is_advice(
    programs: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    done = verydeep("slurm", "train", "pets")
    assert done.code == 2
    assert "submit runs/pets.sbatch where Slurm is, or use --dry-run" in done.err


# ---- jobs ----


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 2])
def test_a_training_is_warned_queued_again_and_finished(
    tasks: int, pictures: Path, programs: Path, verydeep: Program
) -> None:
    done = verydeep(
        *("slurm", "train", pictures, "--out", "runs/d", "--processes-per-node", tasks),
        *(*flags("training.epochs=40", "data.workers=0", "training.precision=fp32"), "--json"),
    )
    script, log = (Path(json.loads(done.out)[key]) for key in ("script", "log"))
    run = Path("runs/d")

    first = run_job(script, programs)
    wait_for(lambda: (run / "log.jsonl").exists() or first.poll() is not None, log)
    warn(first)
    assert first.wait(PATIENCE) == 130, log.read_text()
    assert (programs / "controlled").read_text() == f"requeue {JOB}\n"
    assert log.read_text().count("SIGUSR1: finishing the current step") == 1
    before = len((run / "log.jsonl").read_text().splitlines())
    assert before < 40

    second = run_job(script, programs)
    assert second.wait(PATIENCE) == 0, log.read_text()
    assert "resuming after" in log.read_text()
    assert len((run / "log.jsonl").read_text().splitlines()) == 40
    assert (run / "metrics.json").exists()
    assert (programs / "controlled").read_text().count("requeue") == 1


@pytest.mark.slow
def test_a_job_that_fails_is_not_queued_again(
    tmp_path: Path, programs: Path, verydeep: Program
) -> None:
    done = verydeep("slurm", "train", tmp_path / "nothing", "--out", "runs/d", "--json")
    script, log = (Path(json.loads(done.out)[key]) for key in ("script", "log"))
    assert run_job(script, programs).wait(PATIENCE) == 2, log.read_text()
    assert not (programs / "controlled").exists()


@pytest.mark.slow
def test_a_test_as_a_job_shares_the_images(
    trained_run: Path, programs: Path, verydeep: Program
) -> None:
    words = (trained_run, "--protocol", "center", "--device", "cpu")
    done = verydeep("slurm", "evaluate", *words, "--processes-per-node", 2, "--json")
    script, log = (Path(json.loads(done.out)[key]) for key in ("script", "log"))
    assert run_job(script, programs).wait(PATIENCE) == 0, log.read_text()
    alone = verydeep("evaluate", *words)
    result = alone.out.splitlines()[0]
    assert log.read_text().count(result) == 1  # of the first process
