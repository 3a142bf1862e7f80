"""Bulk work on a list of images: each once, whatever is lost or killed on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from verydeep.data.listing.listing import Listing
from verydeep.data.listing.read import list_images
from verydeep.data.listing.remote_image import Unreadable
from verydeep.errors import MachineError, plural, printable
from verydeep.run.bulk.job import Job, read_job
from verydeep.run.bulk.parts import Parts, parquet
from verydeep.run.bulk.pool import ATTEMPTS, Lost, Pool
from verydeep.run.bulk.result import NAME, BulkResult
from verydeep.run.bulk.settings import Cluster, Shape, check_count, shape_of
from verydeep.run.bulk.table import model_id, shown
from verydeep.run.bulk.work import About, Actor, Work
from verydeep.run.ray_session import Session, check_installed, ray_session
from verydeep.system.device import without_secret
from verydeep.system.files import make_folder, write_json
from verydeep.system.locks import hold
from verydeep.system.option_names import command_or_call
from verydeep.system.progress import Progress
from verydeep.system.workers.parent_watch import Owner

MOST_DEADLY = 16
"""Parts, and images of a part, of which more than these fail by themselves are not looked into."""

LISTED = 5
"""Maximum number of lost parts in a message."""


def run_bulk(
    work: Work,
    source: str | Path,
    out: Path,
    *,
    column: str | None,
    part_size: int,
    cluster: Cluster,
    progress: Progress,
) -> BulkResult:
    """Work on every image of a source, and write one row for each.

    Args:
        work: What to do.
        source: As for :func:`verydeep.data.listing.read.list_images`.
        out: Output folder. A job that was begun there goes on.
        column: Column of a table.
        part_size: Images per part.
        cluster: Where to run.
        progress: Progress reporting.

    Raises:
        InputError: The source, the model or a setting cannot be used, or another job was begun in
            the folder.
        MachineError: Parts could not be done, or no actor can be started.
        MissingExtra: Ray or pyarrow is not installed.
    """
    check_count("part_size", part_size)
    check_installed()
    parquet()
    listing = list_images(source, column, progress)
    shown_source, digest = without_secret(str(source)), listing.digest()
    job = Job(work.verb, shown_source, len(listing), digest, part_size, work.model)
    with hold(out):
        make_folder(out)
        begun = read_job(out)
        if begun:
            job.refuse_other(begun, out)
            work = as_begun(work, begun)
        return _Run(work, listing, job, begun, out, cluster, progress).run()


def as_begun(work: Work, begun: Job) -> Work:
    """Return the work with the engine and precision that a job was begun with, if left open."""
    compute, settings = work.compute, begun.settings
    engine = settings["engine"] if compute.engine == "auto" else compute.engine
    fixed = replace(compute, engine=engine, precision=compute.precision or settings["precision"])
    return replace(work, compute=fixed)


@dataclass
class _Run:
    """One run of a job.

    Attributes:
        work: What to do.
        listing: Images.
        job: Job, without what an actor must tell.
        begun: Job as it was begun by an earlier run; None for the first.
        out: Output folder.
        cluster: Where to run.
        progress: Progress reporting.
    """

    work: Work
    listing: Listing
    job: Job
    begun: Job | None
    out: Path
    cluster: Cluster
    progress: Progress

    def __post_init__(self) -> None:
        self.parts = Parts(self.out / "parts", len(self.listing), self.job.part_size)
        self.deadly: dict[int, str] = {}  # reasons by row
        self.lost: list[Lost] = []

    def run(self) -> BulkResult:
        todo = self.parts.begin()
        earlier = self.parts.rows - sum(map(len, todo))
        if earlier:
            self.progress.log(f"{self.out}: {earlier:,} of {self.parts.rows:,} images done before")
        with ray_session(self.cluster.address) as session, ExitStack() as stack:
            shape = self._shape(session)
            pool = self._pool(session, shape)
            stack.callback(pool.close)
            about = pool.first()
            self._begin(about)
            self.progress.log(_begun_in_words(about, shape))
            started = time.monotonic()
            lost = self._do(pool, todo, about, earlier)
            seconds = time.monotonic() - started
        if lost:
            raise self._lost_error(lost)
        result = self._result(about, shape, pool.retried, earlier, seconds)
        if todo or not (self.out / NAME).exists():
            write_json(self.out / NAME, result.to_dict())
        return result

    def _shape(self, session: Session) -> Shape:
        has = session.ray.cluster_resources()
        cpus, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
        device = self.work.compute.device
        return shape_of(self.cluster, device, cpus, gpus, local=session.local)

    def _pool(self, session: Session, shape: Shape) -> Pool:
        actors = session.ray.remote(Actor).options(
            num_cpus=shape.cores,
            num_gpus=shape.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        owner = Owner.here() if session.local else None
        return Pool(
            session.ray,
            make=lambda: actors.remote(self.work, shape.cores, owner),
            size=shape.actors,
            begin=lambda actor: actor.begin.remote(len(self.listing)),
            submit=self._submit,
            slow=lambda: self.progress.log(
                f"no actor has begun yet: each needs {plural(shape.cores, 'core')} and "
                f"{plural(shape.gpus, 'GPU')} on one machine; ray status tells what is free"
            ),
        )

    def _submit(self, actor: Any, rows: range) -> Any:
        names, sources = self.listing.part(rows)
        for row in self.deadly.keys() & set(rows):
            place = row - rows.start
            sources[place] = Unreadable(self.deadly[row], printable(sources[place]))
        return actor.do.remote(rows.start, names, sources)

    def _begin(self, about: About) -> None:
        """Write the manifest, or compare with it; fix engine and precision of further actors."""
        self.job = replace(self.job, model_hash=about.model_hash, settings=about.settings)
        if self.begun:
            self.job.refuse_other(self.begun, self.out)
        else:
            self.job.write(self.out)
        self.work = as_begun(self.work, self.job)

    def _do(self, pool: Pool, todo: Sequence[range], about: About, earlier: int) -> list[Lost]:
        """Do parts, and return those that could not be done."""
        done, errors, started = earlier, 0, time.monotonic()
        with self.progress.task("images", self.parts.rows) as task:
            for rows, table in self._tables(pool, todo, about):
                self.parts.write(rows, table, asdict(self.job))
                done += table.num_rows
                errors += table.num_rows - table.column("error").null_count
                rate = (done - earlier) / (time.monotonic() - started)
                task.update(done, f"{rate:.1f} images/s, {errors:,} unreadable")
        return self.lost

    def _tables(
        self, pool: Pool, todo: Sequence[range], about: About
    ) -> Iterator[tuple[range, Any]]:
        """Yield parts with their tables; in the end those with images that end their process."""
        yield from pool.tables(todo, about)
        self.lost = list(pool.lost)
        if len(self.lost) > MOST_DEADLY:
            return
        for one in [one for one in self.lost if one.ended]:
            if self._find_deadly(pool, one, about):
                yield from pool.tables([one.rows], about)
                self.lost.remove(one)
                self.lost += pool.lost

    def _find_deadly(self, pool: Pool, part: Lost, about: About) -> bool:
        """Find the images of a part that end the process that reads them, one by one."""
        self.progress.log(f"{self._in_words(part)}; looking for the image, one by one")
        for _ in pool.tables([range(row, row + 1) for row in part.rows], about):
            pass
        found = {one.rows.start: one.fault.text for one in pool.lost if one.ended}
        if not 0 < len(found) == len(pool.lost) <= MOST_DEADLY:
            return False
        for row, reason in found.items():
            self.deadly[row] = f"ended the process that read it ({reason})"
        return True

    def _lost_error(self, lost: Sequence[Lost]) -> MachineError:
        lines = [f"  {self._in_words(one)}" for one in lost[:LISTED]]
        if len(lost) > LISTED:
            lines.append(f"  and {len(lost) - LISTED:,} more")
        failed = "\n".join(lines)
        return MachineError(
            f"{plural(len(lost), 'part')} of {len(self.parts):,} failed {ATTEMPTS} times:\n{failed}"
            f"\nWhat was done is kept in {self.out}; repeat the {command_or_call()} to go on"
        )

    def _in_words(self, lost: Lost) -> str:
        rows = (lost.rows.start, lost.rows.stop - 1)
        first, last = (printable(shown(self.listing.names[row])) for row in rows)
        return f"rows {rows[0]:,} to {rows[1]:,} ({first} to {last}): {lost.fault.text}"

    def _result(
        self, about: About, shape: Shape, retried: int, earlier: int, seconds: float
    ) -> BulkResult:
        """Check that every image has exactly one row, and return the summary."""
        found = [self.parts.found(part) for part in range(len(self.parts))]
        rows = sum(one.rows for one in found)
        assert rows == len(self.listing), "rows in = rows out"
        return BulkResult(
            out=self.out,
            verb=self.job.verb,
            source=self.job.source,
            model=model_id(self.job.model, about.model_hash),
            rows=rows,
            errors=sum(one.errors for one in found),
            parts=len(found),
            earlier=earlier,
            seconds=seconds,
            actors=shape.actors,
            cores_per_actor=shape.cores,
            retried=retried,
            device=about.machine["device"],
            settings=about.settings,
            versions=about.machine["versions"],
        )


def _begun_in_words(about: About, shape: Shape) -> str:
    settings = about.settings
    return (
        f"{plural(shape.actors, 'actor')} with {plural(shape.cores, 'core')} each, on "
        f"{about.machine['device']}, engine {settings['engine']}, {settings['precision']}"
    )
