"""Programs in place of Slurm's: ``srun`` starts the tasks of a step here, the others take notes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

JOB = str(os.getpid())
"""Number of a job, and so its port: another one in every process that runs tests."""

SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[1:]
count = int(os.environ["SLURM_NTASKS"])
own = {{
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": str(count),
    "SLURM_STEP_NUM_NODES": "1",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_TASKS_PER_NODE": str(count),
    "SLURM_NODEID": "0",
}}
tasks = [
    subprocess.Popen(
        words,
        env={{**os.environ, **own, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)}},
        stdin=subprocess.DEVNULL,
    )
    for n in range(count)
]
def forward(number, frame):
    for task in tasks:
        task.send_signal(number)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, forward)
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SBATCH = f"""#!{sys.executable}
import pathlib, sys
if "refuse" in pathlib.Path(sys.argv[-1]).name:
    sys.exit("sbatch: error: Batch job submission failed: Invalid partition name specified")
(pathlib.Path(__file__).parent / "submitted").open("a").write(" ".join(sys.argv[1:]) + "\\n")
print("{JOB};cluster")
"""
SCONTROL = f"""#!{sys.executable}
import pathlib, sys
(pathlib.Path(__file__).parent / "controlled").open("a").write(" ".join(sys.argv[1:]) + "\\n")
"""


def write_programs(folder: Path) -> Path:
    """Write the programs to a folder, for PATH."""
    folder.mkdir()
    for name, text in {"srun": SRUN, "sbatch": SBATCH, "scontrol": SCONTROL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def directives(script: Path) -> dict[str, str]:
    """Return the options that a script has for sbatch; a flag has an empty value."""
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --")]
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines]
    return {key: "".join(shlex.split(value)) for key, _, value in pairs}


def run_job(script: Path, programs: Path) -> subprocess.Popen[str]:
    """Run a script as Slurm does: in its folder, with the variables of a batch shell."""
    asked = directives(script)
    tasks = int(asked["nodes"]) * int(asked["ntasks-per-node"])
    log = Path(asked["output"].replace("%j", JOB))
    variables = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": JOB,
        "SLURM_NTASKS": str(tasks),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "localhost",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_TASKS_PER_NODE": str(tasks),
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }
    with log.open("a") as out:
        return subprocess.Popen(
            ["bash", script], cwd=asked["chdir"], env=variables, stdout=out, stderr=out, text=True
        )


def warn(job: subprocess.Popen[str]) -> None:
    """Warn the shell of a job, as ``--signal=B:USR1@120`` asks for."""
    job.send_signal(signal.SIGUSR1)
