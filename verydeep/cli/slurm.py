"""Verb ``slurm``: another verb as a job of Slurm."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.options import Json
from verydeep.cli.output import print_result
from verydeep.errors import InputError, did_you_mean

SLURM_EXAMPLES = (
    "Examples:  verydeep slurm train pets --out runs/d --gpus-per-node 4 --cpus-per-process 8 "
    "--time 24:00:00   |   verydeep slurm train pets --out runs/d --nodes 2 --gpus-per-node 8 "
    "--partition gpu --account vision --sbatch mem=0 --setup 'module load cuda'   |   verydeep "
    "slurm train pets --out runs/d --dry-run   |   verydeep slurm evaluate runs/d --protocol all "
    "--gpus-per-node 4"
)
SLURM_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of the command: arguments that it does not know belong to the other verb."""

VERBS = ("train", "evaluate", "features")


def slurm(
    context: typer.Context,
    *,
    nodes: Annotated[int, typer.Option(min=1, help="Number of machines.")] = 1,
    gpus_per_node: Annotated[
        int | None, typer.Option(min=1, help="GPUs of each machine, with a process for each.")
    ] = None,
    processes_per_node: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on each machine; default: one a GPU, else one."),
    ] = None,
    cpus_per_process: Annotated[
        int | None,
        typer.Option(min=1, help="Cores of each process; default: Slurm's, usually one."),
    ] = None,
    time: Annotated[str | None, typer.Option(help="Time limit, such as 24:00:00.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account.")] = None,
    job_name: Annotated[str | None, typer.Option(help="Default: after the run.")] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Another option of sbatch; repeatable."),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help="Shell line before the processes start; repeatable."),
    ] = None,
    script: Annotated[
        Path | None, typer.Option(help="File of the script; default: RUN.sbatch.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the script, but do not submit it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run train, evaluate or features as a job of Slurm, on any number of machines.

    Put the whole command after slurm. The script begins a training or resumes it; before the time
    limit the training saves a checkpoint, and the job queues again.
    """
    from verydeep.run.slurm import SlurmJob, batch_script, parse_options, submit, write_script

    words, values = _command(context.find_root().command, context.args)
    run = values["out"] if words[0] == "train" else None
    name = values["out"].stem if values.get("out") else words[0]
    job = SlurmJob(
        job_name or f"verydeep-{name}",
        nodes,
        gpus_per_node,
        processes_per_node,
        cpus_per_process,
        time,
        partition,
        account,
        parse_options(sbatch or []),
    )
    job.check()
    script = script or _beside(words[0], values.get("out"))
    log = (script.parent / f"{script.stem}.slurm-%j.log").absolute()
    text = batch_script(
        job,
        [sys.executable, "-m", "verydeep", *words],
        folder=Path.cwd(),
        log=log,
        origin=f"verydeep slurm {_one_line(sys.argv[2:])}",
        run=run,
        setup=setup or [],
    )
    write_script(script, text)
    number = None if dry_run else submit(script)
    value = {"script": str(script), "job": number, "log": str(log).replace("%j", number or "%j")}
    lines = [f"script {script}"] + ([f"job {number}", f"log {value['log']}"] if number else [])
    print_result(value, "\n".join(lines), as_json)


def _command(program: Any, words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the checked arguments of the other verb, and their values by name.

    Args:
        program: The whole program, with its verbs.
        words: Name and arguments of the other verb.

    Raises:
        InputError: The verb cannot be a job.
    """
    if not words or words[0] not in VERBS:
        found = f"got {words[0]!r} instead" if words else "none is given"
        hint = did_you_mean(words[0], VERBS) if words else ""
        raise InputError(f"a job of Slurm is one of {', '.join(VERBS)}; {found}{hint}")
    verb = words[0]
    values = program.commands[verb].make_context(verb, words[1:]).params
    if values.get("processes") not in (None, 1):
        raise InputError("--processes: srun starts the processes here; use --processes-per-node")
    if verb == "train":
        words = [word for word in words if word != "--resume"]  # the script decides
        if values["out"] is None:
            from verydeep.run.training.default_out import default_out

            values["out"] = default_out(values["data"], resume=values["resume"])
            words = [*words, "--out", str(values["out"])]
    return words, values


def _beside(verb: str, out: Path | None) -> Path:
    """Return the file of the script: beside the run, or what else is written."""
    if out is None:
        return Path(f"{verb}.sbatch")
    return out.with_name(f"{out.name if verb == 'train' else out.stem}.sbatch")


def _one_line(words: list[str]) -> str:
    return " ".join(shlex.join(words).split())
