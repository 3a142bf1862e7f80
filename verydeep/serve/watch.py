"""A folder whose images are named into a table, each once, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from verydeep.data.images.image_files import picture_names
from verydeep.data.images.regular_file import open_regular
from verydeep.errors import FolderInUse, InputError, MachineError, VeryDeepError
from verydeep.serve.answers import ImageAnswer
from verydeep.serve.uploads import Upload
from verydeep.serve.watch_table import SUFFIXES, Row, WatchTable, open_table
from verydeep.system.csv_text import in_one_cell
from verydeep.system.files import encodable, expanded
from verydeep.system.locks import hold
from verydeep.system.memory import is_lack_of_memory
from verydeep.system.option_names import option

if TYPE_CHECKING:
    from verydeep.serve.models import ServedModel
    from verydeep.serve.service import Service

RANKED = 5
"""Number of classes in a row."""

AT_ONCE = 8
"""Images that are under way at a time, so that requests of clients keep their turn."""

MOST_PAUSE = 30.0
"""Maximum seconds between two looks into the folder, and the pause after a fault."""

TRIES = 3
"""Failures of the model after which an image has a fault."""

WRITTEN_EVERY = 10.0
"""Seconds after which a table that is written whole is written again."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Seconds.

    Attributes:
        whole: A file is taken whose size and time have not changed for so long.
        broken: A file that cannot be read counts as such after so long; it may be half-written.
            An image for which the model fails is tried again after so long.
        scan: Pause between two looks into the folder.
    """

    whole: float = 2.0
    broken: float = 30.0
    scan: float = 1.0


@dataclass(frozen=True)
class Watched:
    """A folder to watch, and its table.

    Attributes:
        folder: Folder of images, with those below it.
        out: The table, ``.csv`` or ``.parquet``.
        rest: How long a file must rest.
    """

    folder: Path
    out: Path
    rest: Rest = field(default_factory=Rest)

    @classmethod
    def of(cls, watch: str | Path | None, out: str | Path | None) -> Watched | None:
        """Return a folder and its table; None without either.

        Raises:
            InputError: One is missing, or cannot be used.
        """
        if watch is None and out is None:
            return None
        if watch is None or out is None:
            raise InputError(f"{option('watch')} and {option('out')} belong together: give both")
        folder, table = expanded(watch), expanded(out)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder to watch; make it first")
        if table.suffix.lower() not in SUFFIXES:
            raise InputError(f"{table}: a table must end in {' or '.join(SUFFIXES)}")
        return cls(folder, table)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the table within this context, so that no other server adds rows to it.

        Raises:
            FolderInUse: Another one does.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold(self.out.with_name(f".{self.out.name}.lock")))
            except FolderInUse as error:
                raise FolderInUse(
                    f"{self.out}: another server adds rows to this table; stop it, or choose "
                    f"another {option('out')} ({error})"
                ) from error
            yield


class _Failed(NamedTuple):
    """Failures of an image's naming: their number without lacks of memory, and the last one's time.

    The time is that of :func:`time.monotonic`.
    """

    tries: int
    at: float


class Watcher:
    """Names what lies in a folder by the first model of a service.

    Args:
        watched: The folder and its table.
        service: What answers, with its models loaded.

    Raises:
        InputError: The table cannot be written, or was begun by another model.
    """

    def __init__(self, watched: Watched, service: Service) -> None:
        self.watched, self.service = watched, service
        self.served = next(iter(service.models.values()))
        self.table: WatchTable = open_table(watched.out, columns_of(self.served))
        self.files = Files(watched.rest)
        self._complaint = ""
        self._failed: dict[str, _Failed] = {}

    async def run(self) -> None:
        """Look into the folder again and again, until cancelled."""
        try:
            while True:
                pause = await self._look_once()
                await asyncio.sleep(max(self.watched.rest.scan, min(pause, MOST_PAUSE)))
        finally:
            with contextlib.suppress(OSError, VeryDeepError):
                self.table.flush()

    async def _look_once(self) -> float:
        """Name what is ready in the folder; return the seconds until the next look."""
        folder, started = self.watched.folder, time.monotonic()
        try:
            if not await asyncio.to_thread(folder.is_dir):
                self._complain(f"{folder}: the folder is gone; waiting for it")
                return 0  # such a look costs next to nothing
            ready = await asyncio.to_thread(self.files.ready, folder, self.table.names)
            looked = time.monotonic() - started
            # A file that is gone or has changed is not ready: its failures are forgotten.
            self._failed = {name: self._failed[name] for name in ready if name in self._failed}
            await self._name_all([name for name in ready if self._may_try(name)])
        except (OSError, VeryDeepError) as error:
            self._complain(str(error))
            return MOST_PAUSE
        self._complaint = ""
        return 5 * looked  # a folder of very many images takes long to look through

    async def _name_all(self, names: list[str]) -> None:
        """Name images, and write the table now and then."""
        written = time.monotonic()
        for first in range(0, len(names), AT_ONCE):
            await self._name(names[first : first + AT_ONCE])
            if time.monotonic() > written + WRITTEN_EVERY:
                await asyncio.to_thread(self.table.flush)
                written = time.monotonic()
        await asyncio.to_thread(self.table.flush)

    async def _name(self, names: list[str]) -> None:
        found = await asyncio.gather(*(self._row(name) for name in names))
        rows = [row for row in found if row is not None]
        if rows:
            await asyncio.to_thread(self.table.append, rows)

    async def _row(self, name: str) -> Row | None:
        """Return the row of an image; None if it has to rest longer, or is gone."""
        before = self.files.state(name)
        try:
            answer = await self._answer(name)
        except MachineError:
            raise
        except Exception as error:  # one image must not end the watch
            answer = self._fails(name, error)
        if answer is None:
            return None
        if answer.fault and not self.files.may_be_broken(name):
            return None
        if await asyncio.to_thread(self.files.has_changed, self.watched.folder, name, before):
            return None
        return row_of(encodable(name), answer, self.served)

    async def _answer(self, name: str) -> ImageAnswer | None:
        """Return the answer for an image; None if it is gone."""
        try:
            data = await asyncio.to_thread(self._read, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return ImageAnswer(fault=error.strerror or "it cannot be read")
        return await self.service.answer(self.served, Upload(None, data), RANKED)

    def _fails(self, name: str, error: Exception) -> ImageAnswer | None:
        """Return the answer for an image whose naming has failed; None to try it again.

        A row is for good, and the failure may pass: memory, above all, may be there again.
        """
        tries = self._failed[name].tries if name in self._failed else 0
        if is_lack_of_memory(error):
            self._complain("there is not enough memory to name an image; it is tried again")
        else:
            self.service.log("".join(traceback.format_exception(error)))
            tries += 1
        self._failed[name] = _Failed(tries, time.monotonic())
        return ImageAnswer(fault="the model cannot answer for it") if tries >= TRIES else None

    def _may_try(self, name: str) -> bool:
        """Return whether naming an image has not failed just now."""
        last = self._failed.get(name)
        return last is None or time.monotonic() - last.at >= self.watched.rest.broken

    def _read(self, name: str) -> bytes:
        with open_regular(self.watched.folder / name) as file:
            most = self.service.limits.max_bytes
            if os.fstat(file.fileno()).st_size > most:
                raise OSError(errno.EFBIG, f"more than the allowed {most:,} bytes")
            return file.readall()

    def _complain(self, text: str) -> None:
        """Log a reason once, until it changes."""
        if text != self._complaint:
            self.service.log(text)
        self._complaint = text


State = tuple[int, int]
"""Size and time of change of a file."""


class Files:
    """Files of a folder, and since when they have rested.

    Args:
        rest: How long they must rest.
    """

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self._since: dict[str, tuple[State, float]] = {}

    def ready(self, folder: Path, done: set[str]) -> list[str]:
        """Return the files that have rested and are not done, in order of their names."""
        now, seen = time.monotonic(), {}
        for name in _names(folder):
            if encodable(name) in done or (state := _state(folder / name)) is None:
                continue
            known = self._since.get(name)
            seen[name] = known if known and known[0] == state else (state, now)
        self._since = seen
        return [name for name, (_, since) in seen.items() if now - since >= self.rest.whole]

    def state(self, name: str) -> State:
        """Return the size and time of a file that is ready."""
        return self._since[name][0]

    def may_be_broken(self, name: str) -> bool:
        """Return whether a file has rested so long that it is not being written."""
        return time.monotonic() - self._since[name][1] >= self.rest.broken

    def has_changed(self, folder: Path, name: str, before: State) -> bool:
        """Return whether a file is not the one any more that was looked at."""
        return _state(folder / name) not in (before, None)


def _names(folder: Path) -> Iterator[str]:
    begin = len(os.path.join(folder, ""))  # noqa: PTH118
    return (path[begin:] for path in picture_names(folder))


def _state(path: Path) -> State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def columns_of(served: ServedModel) -> list[str]:
    """Return the columns of a table: those of ``verydeep predict --csv``, and some."""
    labels = ["labels"] if served.model.multi_label else []
    more = ("abstained", "reason", "set", "fault", "model")
    return ["file", *_ranked_columns(served), *labels, *more]


def _ranked_columns(served: ServedModel) -> Iterator[str]:
    kinds = ("class", "probability", *(("x0", "y0", "x1", "y1") if served.boxes else ()))
    for place in range(1, min(RANKED, len(served.model.classes)) + 1):
        yield from (f"{kind}_{place}" for kind in kinds)


def row_of(name: str, answer: ImageAnswer, served: ServedModel) -> Row:
    """Return the row of an image; classes have their titles, as in ``verydeep predict --csv``."""

    def titles(names: Sequence[str] | None) -> str | None:
        return None if names is None else in_one_cell(served.titles_of(names))

    row: Row = {
        "file": name,
        "labels": titles(answer.labels),
        "abstained": answer.abstained,
        "reason": answer.reason,
        "set": titles(answer.class_set),
        "fault": answer.fault,
        "model": f"{served.name}@{served.version[:12]}",
    }
    boxes = {one.class_name: one.box for one in answer.boxes}
    for place, one in enumerate(answer.ranking, 1):
        row[f"class_{place}"], row[f"probability_{place}"] = one.title, one.probability
        if box := boxes.get(one.class_name):
            edges = zip(("x0", "y0", "x1", "y1"), box, strict=True)
            row.update({f"{edge}_{place}": value for edge, value in edges})
    return row
