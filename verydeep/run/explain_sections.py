"""Sections of a page that looks into a net, written image by image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from verydeep.errors import InputError, PictureError, printable
from verydeep.inspection.subject import LoadedSubject, Subject, Subjects
from verydeep.run.predict import free_name
from verydeep.system.progress import Progress, ProgressTask
from verydeep.visualization.inspection.page import (
    ImagePart,
    WrittenSection,
    write_part,
    write_section,
)
from verydeep.visualization.inspection.sections import Entry, Options
from verydeep.visualization.lecture.theme import theme


@dataclass
class SectionMaker:
    """Creates the sections of each image in turn, and those of the net once.

    Attributes:
        entries: Sections to create.
        options: Their settings.
        out: Folder of the figures.
    """

    entries: Sequence[Entry]
    options: Options
    out: Path

    def __post_init__(self) -> None:
        self.net: dict[str, WrittenSection] = {}
        self.of_class: dict[tuple[str, int], WrittenSection] = {}
        self.taken = {"net"}

    def write_all(self, subjects: Subjects, progress: Progress) -> list[ImagePart]:
        """Write the figures of all images, and return their parts of the page.

        Raises:
            InputError: The folder is not writable.
            PictureError: No image can be read.
        """
        try:
            with theme():
                parts = self._each(subjects, progress)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.out}: cannot be written ({reason})") from error
        if not parts:
            raise PictureError(
                "none of the images can be looked into:\n  " + "\n  ".join(subjects.unreadable)
            )
        return parts

    def _each(self, subjects: Subjects, progress: Progress) -> list[ImagePart]:
        parts = []
        with progress.task("sections", len(subjects) * len(self.entries)) as task:
            for done, found in enumerate(subjects):
                parts.append(self._write(found, task, done * len(self.entries)))
        return parts

    def _write(self, found: LoadedSubject, task: ProgressTask, done: int) -> ImagePart:
        subject = found.subject
        options = replace(self.options, source=found.source)
        key = free_name(_slug(subject.name), self.taken)
        written = []
        for number, entry in enumerate(self.entries, start=done):
            task.update(number, f"{subject.name}: {entry.name}")
            if entry.of_net:
                if entry.name not in self.net:
                    self.net[entry.name] = self._make(entry, subject, options, "net")
            elif entry.of_class:
                of_class = (entry.name, subject.label)
                if of_class not in self.of_class:
                    self.of_class[of_class] = self._make(entry, subject, options, key)
                written.append(self.of_class[of_class])
            else:
                written.append(self._make(entry, subject, options, key))
        file = printable(found.source) if isinstance(found.source, Path) else "memory"
        return write_part(subject, file, key, written, self.out)

    def _make(self, entry: Entry, subject: Subject, options: Options, key: str) -> WrittenSection:
        return write_section(entry.make(subject, options), self.out, key)


def _slug(name: str) -> str:
    """Return a folder name of lower-case letters, digits and hyphens.

    >>> _slug("My cat (2).JPG"), _slug("猫.png")
    ('my-cat-2', 'image')
    """
    stem = Path(name).stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].strip("-") or "image"
