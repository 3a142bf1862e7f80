"""Counts of the files and folders that a walk skipped, and their description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from verydeep.data.folders.system_files import kind_of
from verydeep.data.images.formats import is_picture_name, remedy
from verydeep.errors import plural

NAMED = 3
"""Maximum number of extensions, folders or links to name of each kind."""


@dataclass
class PassedOver:
    """Files and folders that were skipped, and links.

    Attributes:
        endings: Files by lower-case extension, empty for none.
        system: Hidden files and folders, and those of operating systems and network drives.
        empty: Folders without an image, where folders are classes.
        dangling: Links without a target.
        repeated: Links to files and folders that are read anyway.
        followed: Links to folders elsewhere that were read.
    """

    endings: Counter[str] = field(default_factory=Counter)
    system: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)

    def file(self, name: str) -> None:
        """Count a file whose extension is not that of a readable image."""
        dot = name.rfind(".")
        self.endings[name[dot:].lower() if dot > 0 else ""] += 1

    def hide(self, name: str) -> None:
        """Count a system file or folder."""
        self.system[kind_of(name)] += 1

    def add(self, other: PassedOver) -> None:
        """Add the counts of another walk."""
        self.endings += other.endings
        self.system += other.system
        for name in ("empty", "dangling", "repeated", "followed"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def pictures(self) -> int:
        """Number of files with the extension of an image."""
        return sum(count for suffix, count in self.endings.items() if is_picture_name(suffix))

    @property
    def notes(self) -> tuple[str, ...]:
        """Description of everything; empty if nothing was skipped."""
        files = [*self._files(), *_listed("folder", self.empty, " without images")]
        parts = [*files, *self.others]
        passed = (f"skipped: {', '.join(parts)}",) if parts else ()
        return (*self.links, *passed)

    @property
    def links(self) -> tuple[str, ...]:
        """Description of the links that were followed."""
        return tuple(_listed("linked folder", self.followed, " followed"))

    @property
    def others(self) -> tuple[str, ...]:
        """Description of system files and links."""
        return tuple(self._others())

    def pictures_in_words(self) -> str:
        """Describe the unreadable images, and how to make them readable."""
        return ", ".join(self._pictures())

    def _files(self) -> Iterator[str]:
        """Yield all images by extension, then the most frequent other files."""
        yield from self._pictures()
        others = {k: n for k, n in self.endings.items() if not is_picture_name(k)}
        yield from by_ending(others, NAMED)

    def _pictures(self) -> Iterator[str]:
        """Yield the images by extension, grouped by remedy."""
        groups: dict[str, dict[str, int]] = {}
        for suffix, count in self.endings.items():
            if is_picture_name(suffix):
                groups.setdefault(remedy([suffix]), {})[suffix] = count
        for cure, counts in sorted(groups.items(), reverse=True):
            parts = by_ending(counts, len(counts))
            yield ", ".join(parts) + (f" ({cure})" if cure else "")

    def _others(self) -> Iterator[str]:
        if self.system:
            names = [name for name, _ in self.system.most_common(NAMED)]
            count = plural(self.system.total(), "hidden or system item")
            yield f"{count} ({_some(names, len(self.system))})"
        yield from _listed("dangling link", self.dangling, "")
        yield from _listed("link", self.repeated, " to files or folders read anyway")


def by_ending(counts: Mapping[str, int], most: int) -> Iterable[str]:
    """Return the most frequent extensions with counts, and the total of the others."""
    ordered = Counter(counts).most_common()
    parts = [f"{count:,} {suffix or 'without an extension'}" for suffix, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    return [*parts, f"{rest:,} others"] if rest else parts


def _listed(what: str, names: list[str], how: str) -> Iterator[str]:
    if names:
        yield f"{plural(len(names), what)}{how} ({_some(names[:NAMED], len(names))})"


def _some(names: list[str], total: int) -> str:
    more = f" and {total - len(names):,} more" if total > len(names) else ""
    return ", ".join(names) + more
