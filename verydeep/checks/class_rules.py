"""Rules for class names: those of splits, lists of others, and those that are too similar."""

from __future__ import annotations

from collections.abc import Iterator

from verydeep.checks.findings import Finding, Flagged
from verydeep.data.dataset import Dataset
from verydeep.data.name_forms import alike
from verydeep.data.split_names import whole_split
from verydeep.errors import plural
from verydeep.system.option_names import option


def class_name_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield the findings about class names."""
    yield from _splits(dataset.classes)
    yield from _alike(dataset.classes)
    yield from _respelled(dataset.respelled)
    yield from _joined(dataset.classes)


def _splits(classes: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding if classes are named like several splits; a single one may be a class."""
    named = [(name, split) for name in classes if (split := whole_split(name)) is not None]
    if len({split for _, split in named}) < 2:
        return
    yield Finding(
        "split-classes",
        "error",
        f"{plural(len(named), 'class', 'classes')} named like splits: "
        f"{', '.join(repr(name) for name, _ in named)}",
        len(named),
        "if they are splits, give each a folder per class (train/cat/, test/cat/) and omit "
        f"{option('layout')}; if they are classes, name them after what they show",
        tuple(Flagged("", "", name, f"like the split {split}") for name, split in named),
    )


def _alike(classes: tuple[str, ...]) -> Iterator[Finding]:
    groups = alike(classes)
    if groups:
        yield Finding(
            "alike-classes",
            "warning",
            f"{plural(len(groups), 'group')} of classes whose names differ only in case or blanks: "
            f"{'; '.join(', '.join(map(repr, group)) for group in groups[:5])}",
            len(groups),
            "if they mean the same, merge them; if not, give them clearly different names",
            tuple(Flagged("", "", name) for group in groups for name in group),
        )


def _respelled(names: tuple[str, ...]) -> Iterator[Finding]:
    if names:
        yield Finding(
            "respelled-classes",
            "warning",
            f"{plural(len(names), 'class', 'classes')} spelled in several of Unicode's normal "
            f"forms: {', '.join(map(repr, names[:5]))}",
            len(names),
            "their images are merged, as the names look the same; other programs may treat them "
            "as different classes: rename the folders or labels to one form",
            tuple(Flagged("", "", name) for name in names),
        )


def _joined(classes: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding if classes are lists of others: labels that were not separated."""
    known = set(classes)
    joined = [name for name in classes if _is_list_of(name, known)]
    if joined:
        yield Finding(
            "joined-classes",
            "warning",
            f"{plural(len(joined), 'class', 'classes')} named by a list of other classes: "
            f"{', '.join(map(repr, joined[:5]))}",
            len(joined),
            "if these are several labels of one image, separate them by ; in a column labels",
            tuple(Flagged("", "", name) for name in joined),
        )


def _is_list_of(name: str, known: set[str]) -> bool:
    parts = {part.strip() for part in name.split(",")}
    return len(parts) > 1 and parts <= known
