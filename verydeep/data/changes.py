"""Changes to a split since it was recorded, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from verydeep.data.fingerprint import UNKNOWN, Row, SplitRecord
from verydeep.errors import printable

NAMED = 5
"""Images to name for each kind of change."""


@dataclass(frozen=True)
class Changes:
    """The images of a split that have changed, each in one of the lists.

    Attributes:
        split: Name of the split.
        removed: Names of images that no longer exist.
        added: Names of new images.
        relabelled: Names of images in another class, with both classes.
        resized: Names of images whose file size changed.
        rewritten: Names of images with the same size and other content.
        reboxed: Names of images with other boxes.
        things: ``image`` or ``shard``.
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
        """Return one line with counts and some names of each kind."""
        parts = [
            f"{len(names):,} {kind} ({', '.join(printable(name) for name in names[:NAMED])}"
            f"{', …' if len(names) > NAMED else ''})"
            for kind, names in self._kinds()
            if names
        ]
        return f"{self.things}s of {self.split}: {', '.join(parts)}"


def changes(split: str, then: SplitRecord | None, now: SplitRecord | None) -> Changes:
    """Compare a split with its record.

    Args:
        split: Name of the split.
        then: The earlier record; None if there was no such split.
        now: The current record; None if there is no such split.
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
    """Compare the earlier and the current row of each image, by name."""
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    moved = dict(_moved(removed, added, before, after))
    changed = defaultdict[str, list[str]](list)
    for name, old in before.items():
        new = after.get(moved.get(name, name))
        if new is not None and (kind := _kind_of_change(old, new)):
            shown = f"{name}: {old.label} → {new.label}" if kind == "relabelled" else name
            changed[kind].append(shown)
    new_names = set(moved.values())
    return Changes(
        split,
        tuple(name for name in removed if name not in moved),
        tuple(name for name in added if name not in new_names),
        things=things,
        **{kind: tuple(names) for kind, names in changed.items()},
    )


def _kind_of_change(old: Row, new: Row) -> str | None:
    if old.label != new.label:
        return "relabelled"
    if old.size != new.size and UNKNOWN not in (old.size, new.size):
        return "resized"
    if old.content != new.content and old.content and new.content:
        return "rewritten"
    return "reboxed" if old.boxes != new.boxes else None


def _moved(
    removed: Iterable[str],
    added: Iterable[str],
    before: Mapping[str, Row],
    after: Mapping[str, Row],
) -> Iterable[tuple[str, str]]:
    """Yield the old and new names of images that were moved to another class's folder.

    They have the same size, and the same content or, if that is unknown, the same file name. If
    there are several candidates, none is taken.
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
