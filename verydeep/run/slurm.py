"""Batch scripts for Slurm: a training that saves itself before a time limit and goes on later."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verydeep.errors import InputError, MachineError
from verydeep.system.files import make_folder, write_text

MARK = "# Written by: "
"""Beginning of the second line of a script; only such files are written over."""

_KEY = re.compile(r"[a-zA-Z][\w-]*")


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """What a job asks of Slurm.

    Attributes:
        name: Name of the job.
        nodes: Number of machines.
        gpus_per_node: GPUs of each machine, with a process for each; None computes on the CPU.
        processes_per_node: Processes on each machine; None starts one a GPU, or one.
        cpus_per_process: Cores of each process, which compute and decode images; None takes what
            Slurm gives, usually one.
        time: Time limit, as ``24:00:00``; None takes the partition's.
        partition: Partition.
        account: Account.
        options: Further options of sbatch by name; None as a value makes a flag. They replace those
            above.
    """

    name: str
    nodes: int = 1
    gpus_per_node: int | None = None
    processes_per_node: int | None = None
    cpus_per_process: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    options: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def tasks_per_node(self) -> int:
        """Number of processes on each machine."""
        return self.processes_per_node or self.gpus_per_node or 1

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: There are more processes than GPUs, or an option has no form that a script
                can hold.
        """
        if self.gpus_per_node and self.tasks_per_node > self.gpus_per_node:
            raise InputError(
                f"--processes-per-node {self.tasks_per_node}: each process needs a GPU of its own, "
                f"and --gpus-per-node is {self.gpus_per_node}"
            )
        for key, value in self.directives(Path(), Path()).items():
            if not _KEY.fullmatch(key) or not (value or "x").isprintable():
                raise InputError(
                    f"--sbatch takes KEY=VALUE or KEY, with the name of an option of sbatch, got "
                    f"{key!r}={value!r} instead"
                )

    def directives(self, folder: Path, log: Path) -> dict[str, str | None]:
        """Return the options of sbatch by name, None for a flag."""
        own = {
            "job-name": self.name,
            "nodes": str(self.nodes),
            "ntasks-per-node": str(self.tasks_per_node),
            "gpus-per-node": str(self.gpus_per_node) if self.gpus_per_node else None,
            "cpus-per-task": str(self.cpus_per_process) if self.cpus_per_process else None,
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "chdir": str(folder),
            "output": str(log),
            "open-mode": "append",
        }
        known = {key: value for key, value in own.items() if value is not None}
        return {**known, **self.options}


def parse_options(words: Sequence[str]) -> dict[str, str | None]:
    """Return options of sbatch from the form KEY=VALUE, or KEY for a flag.

    >>> parse_options(["mem=64G", "--exclusive"])
    {'mem': '64G', 'exclusive': None}
    """
    pairs = (word.removeprefix("--").partition("=") for word in words)
    return {key: value if sign else None for key, sign, value in pairs}


def batch_script(
    job: SlurmJob,
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    origin: str,
    run: Path | None = None,
    setup: Sequence[str] = (),
) -> str:
    """Return a script for sbatch that runs a command in every process.

    Args:
        job: What the job asks for.
        command: Program and arguments, without ``--resume``.
        folder: Working folder.
        log: File for the output.
        origin: Command line that the script comes from.
        run: Folder of a training, which the script resumes where it exists; None for another
            command, which starts anew.
        setup: Lines of shell before the processes start.
    """
    lines = ["#!/bin/bash", f"{MARK}{origin}"]
    directives = job.directives(folder, log)
    if run:
        directives = {"requeue": None, "signal": "B:USR1@120", **directives}
        if "no-requeue" in directives:
            del directives["requeue"]
    lines += [_directive(key, value) for key, value in directives.items()]
    lines += ["", *setup] if setup else []
    if "cpus-per-task" in directives:
        lines += ["", f"export SRUN_CPUS_PER_TASK={directives['cpus-per-task']}"]
    lines += _training(command, run) if run else ["", f"{_SRUN} {shlex.join(command)}"]
    return "\n".join(lines) + "\n"


_SRUN = "srun --kill-on-bad-exit=0"
"""The processes of a group end together by themselves, with a message and a checkpoint."""


def _directive(key: str, value: str | None) -> str:
    if value is None:
        return f"#SBATCH --{key}"
    plain = re.fullmatch(r"[\w./:,@%+=-]+", value)
    return f"#SBATCH --{key}={value if plain else shlex.quote(value)}"


def _training(command: Sequence[str], run: Path) -> Iterator[str]:
    """Yield the lines of a training: begin or resume, save in time, queue again."""
    folder = shlex.quote(str(run))
    yield from _LINES.format(folder=folder, srun=_SRUN, command=shlex.join(command)).splitlines()


_LINES = """
# Begin the run, or go on with it.
resume=
if [ -e {folder}/recipe.yaml ] || [ -e {folder}/stages ]; then
  resume=--resume
fi

# Slurm warns this shell before the end of the time; srun passes the warning to the processes, which
# save a checkpoint and end with exit code 130.
warned=
trap 'warned=yes; kill -USR1 "$step" 2>/dev/null' USR1
# The processes hear of a SIGTERM too; wait for their checkpoint.
trap : TERM

{srun} {command} $resume &
step=$!
while true; do
  wait "$step"
  code=$?
  kill -0 "$step" 2>/dev/null || break
done
# A signal may have ended the wait in place of the processes.
wait "$step" 2>/dev/null
last=$?
[ "$last" -eq 127 ] || code=$last

if [ -n "$warned" ] && [ "$code" -eq 130 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def write_script(path: Path, text: str) -> None:
    """Write a script, over an earlier one at most.

    Raises:
        InputError: There is another file, or the folder is not writable.
    """
    if path.exists() and MARK not in path.read_text("utf-8", "replace")[:200]:
        raise InputError(
            f"{path} exists and is not a script of verydeep slurm: name another one with --script"
        )
    make_folder(path.parent)
    write_text(path, text)


def submit(script: Path) -> str:
    """Submit a script and return the number of the job.

    Raises:
        InputError: There is no sbatch here.
        MachineError: Slurm refuses the job.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the user's own Slurm
            ["sbatch", "--parsable", str(script)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise InputError(
            f"there is no sbatch on this machine: submit {script} where Slurm is, or use --dry-run "
            "to only write it"
        ) from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise MachineError(
            f"sbatch refuses {script}: {reason[-1] if reason else f'exit code {done.returncode}'}"
        )
    return done.stdout.strip().partition(";")[0]
