"""Where the processes of a group meet."""

from __future__ import annotations

from groups import free_port

from verydeep.system.group.meeting import _store
from verydeep.system.group.membership import Membership, read_membership


def test_the_processes_of_another_job_at_the_same_port_are_not_counted() -> None:
    port = free_port()
    own, other = (Membership(port=port, launcher="Slurm", job=job) for job in ("1.0", "2.0"))
    mine = _store(own)
    assert mine.add("here", 1) == 1
    theirs = _store(Membership(rank=1, size=2, port=port, launcher="Slurm", job=other.job))
    assert theirs.add("here", 1) == 1
    assert mine.add("here", 0) == 1


def test_every_step_of_a_job_has_its_own_name() -> None:
    common = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "7"}
    names = {read_membership({**common, "SLURM_STEP_ID": step}).job for step in ("0", "1")}
    assert names == {"7.0", "7.1"}
