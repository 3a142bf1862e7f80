"""What has changed in a split since it was recorded, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from verydeep.data.fingerprint import UNKNOWN, Row, SplitRecord
from verydeep.errors import printable

NAMED = 5
"""Images that are named of each kind of change."""


@dataclass(frozen=True)
class Changes:
    """The images of a split that are not as they were; each is in one of the lists.

    Attributes:
        split: Its name.
        removed: Names of those that are gone.
        added: Of those that were not there.
        relabelled: Of those that have another class, with both classes.
        resized: Of those whose file has another size.
        rewritten: Of those of the same size with another content.
        reboxed: Of those with other boxes.
        things: What they are: images, or shards.
    """

    split: str
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    reboxed: tuple[str, ...] = ()
    things: str = "image"

    def __bool__(self) -> bool:
        return any(names for _, names in self._kinds())

    def _kinds(self) -> list[tuple[str, tuple[str, ...]]]:
        return [
            ("removed", self.removed),
            ("added", self.added),
            ("relabelled", self.relabelled),
            ("of another size", self.resized),
            ("of another content", self.rewritten),
            ("with other boxes", self.reboxed),
        ]

    def __str__(self) -> str:
        """Return a line: counts and some names of each kind."""
        parts = [
            f"{len(names):,} {kind} ({', '.join(printable(name) for name in names[:NAMED])}"
            f"{', …' if len(names) > NAMED else ''})"
            for kind, names in self._kinds()
            if names
        ]
        return f"{self.things}s of {self.split}: {', '.join(parts)}"


def changes(split: str, then: SplitRecord | None, now: SplitRecord | None) -> Changes:
    """Return what has changed in a split.

    Args:
        split: Its name.
        then: What was recorded; None if there was no such split.
        now: What is there; None likewise.
    """
    if then is not None and now is not None and _same(then, now):
        return Changes(split)
    before = dict(then.rows()) if then is not None else {}
    after = dict(now.rows()) if now is not None else {}
    stream = any(record is not None and record.stream for record in (then, now))
    return compare_rows(split, before, after, things="shard" if stream else "image")


def compare_rows(
    split: str, before: Mapping[str, Row], after: Mapping[str, Row], *, things: str = "image"
) -> Changes:
    """Return what has changed, from what was known of each image by its name and what is now."""
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    moved = dict(_moved(removed, added, before, after))
    found = _Found()
    for name, old in before.items():
        new = after.get(moved.get(name, name))
        if new is not None:
            found.add(name, old, new)
    gone, come = set(moved), set(moved.values())
    return Changes(
        split,
        tuple(name for name in removed if name not in gone),
        tuple(name for name in added if name not in come),
        tuple(found.relabelled),
        tuple(found.resized),
        tuple(found.rewritten),
        tuple(found.reboxed),
        things,
    )


@dataclass
class _Found:
    relabelled: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    reboxed: list[str] = field(default_factory=list)

    def add(self, name: str, old: Row, new: Row) -> None:
        if old.label != new.label:
            self.relabelled.append(f"{name}: {old.label} → {new.label}")
        elif old.size != new.size and UNKNOWN not in (old.size, new.size):
            self.resized.append(name)
        elif old.content != new.content and old.content and new.content:
            self.rewritten.append(name)
        elif old.boxes != new.boxes:
            self.reboxed.append(name)


def _moved(
    removed: Iterable[str],
    added: Iterable[str],
    before: Mapping[str, Row],
    after: Mapping[str, Row],
) -> Iterable[tuple[str, str]]:
    """Yield images that were moved to another class's folder: their names then and now.

    Those have the same size, and the same content or, if that is not known, the same file name. Of
    several candidates none is taken.
    """
    homes: dict[tuple[int, int | str], list[str]] = {}
    for name in added:
        homes.setdefault(_alike(name, after[name]), []).append(name)
    leaving: dict[tuple[int, int | str], list[str]] = {}
    for name in removed:
        leaving.setdefault(_alike(name, before[name]), []).append(name)
    for key, names in leaving.items():
        there = homes.get(key, [])
        if len(names) == len(there) == 1 and before[names[0]].label != after[there[0]].label:
            yield names[0], there[0]


def _alike(name: str, row: Row) -> tuple[int, int | str]:
    return row.size, row.content or PurePosixPath(name).name


def _same(then: SplitRecord, now: SplitRecord) -> bool:
    if len(then) != len(now) or then.digest() != now.digest():
        return False
    read = (then.contents != 0) & (now.contents != 0)
    return bool((then.contents[read] == now.contents[read]).all())
