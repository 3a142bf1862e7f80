"""Rules for the whole data set: duplicates, leakage, contradictory labels, and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, product

from verydeep.checks.class_rules import class_name_findings
from verydeep.checks.duplicates import Group, Near
from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.findings import Evidence, Finding, Flagged, Severity
from verydeep.data.dataset import relative_name
from verydeep.errors import plural, printable
from verydeep.system.option_names import setting

FEW = 10
"""Training images below which a class is reported."""

IMBALANCE = 10.0
"""Ratio of the largest to the smallest class from which it is reported."""

Relation = Callable[[ImageFacts, ImageFacts], bool]


def set_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield the findings about the whole data set."""
    yield from _exact(evidence)
    yield from _near(evidence)
    yield from _classes(evidence)


def _leaks(one: ImageFacts, other: ImageFacts) -> bool:
    """Return whether exactly one of the two is in the training split."""
    return (one.split == "train") != (other.split == "train")


def _contradicts(one: ImageFacts, other: ImageFacts) -> bool:
    return one.label != other.label


def _crosses(one: ImageFacts, other: ImageFacts) -> bool:
    return one.split != other.split


_EXACT: tuple[tuple[str, Severity, Relation, str, str], ...] = (
    (
        "contradiction",
        "error",
        _contradicts,
        "the same image under different classes",
        "at most one label is right: keep that file and remove the others (or all)",
    ),
    (
        "leakage",
        "error",
        _leaks,
        "the same image in train and in val or test",
        "the measured error would be too low: remove the copies, preferably those in train",
    ),
    (
        "shared",
        "warning",
        _crosses,
        "the same image in val and in test",
        "model selection would see part of the test set: remove the copies in val",
    ),
    (
        "duplicates",
        "warning",
        lambda one, other: True,
        "the same image several times in one split and class",
        "repeated images have more weight: keep one of each",
    ),
)

_NEAR: tuple[tuple[str, Severity, Relation, str, str], ...] = (
    (
        "near-leakage",
        "error",
        _leaks,
        "nearly the same image in train and in val or test",
        "compare them: if they are copies (saved again, resized, brightened), remove one of each; "
        "frames of one video or burst belong in one split",
    ),
    (
        "near-shared",
        "warning",
        _crosses,
        "nearly the same image in val and in test",
        "compare them: if they are copies, remove those in val",
    ),
    (
        "near-contradiction",
        "error",
        _contradicts,
        "nearly the same image under different classes",
        "compare them: if they are copies, keep the one with the right label",
    ),
    (
        "near-duplicates",
        "note",
        lambda one, other: True,
        "nearly the same image in one split and class",
        "harmless in small numbers; keep one of each if many come from one source",
    ),
)
"""Severities for findings with at least one certain pair; without one, errors are warnings."""

_BY_CHANCE = "by chance: the images were drawn one by one, and no original is in two splits"


def _exact(evidence: Evidence) -> Iterator[Finding]:
    """Yield the findings about equal images; one that leaks and contradicts is in both."""
    for key, severity, relation, what, advice in _EXACT:
        flagged: list[Flagged] = []
        count = 0
        for group in evidence.duplicates.groups:
            found = list(_members(evidence, group, key, relation))
            flagged += found
            count += bool(found)
        if count:
            title = f"{plural(count, 'image')} repeated: {what} ({plural(len(flagged), 'file')})"
            yield Finding(key, severity, title, count, advice, tuple(flagged))


def _members(evidence: Evidence, group: Group, key: str, relation: Relation) -> Iterator[Flagged]:
    """Yield the files of a group that belong to a finding, each with one it repeats."""
    members = [evidence.pictures[index] for index in group.members]
    kind = _kind(members)
    if key in ("shared", "duplicates") and key not in kind:
        return
    candidates = _places(members, each=2)
    for picture in members:
        others = (p for p in candidates if p is not picture and relation(picture, p))
        other = next(others, None)
        if other:
            where = f"same {group.equal} as {printable(other.name)} ({_place(evidence, other)})"
            yield evidence.flag(picture, where, other.name)


def _kind(members: list[ImageFacts]) -> set[str]:
    """Return the milder finding of a group that no error covers."""
    splits = {picture.split for picture in members}
    if len({picture.label for picture in members}) > 1 or ("train" in splits and len(splits) > 1):
        return set()
    return {"shared"} if len(splits) > 1 else {"duplicates"}


def _near(evidence: Evidence) -> Iterator[Finding]:
    """Yield the findings about near pairs; one that leaks and contradicts is in both."""
    pairs: dict[str, list[tuple[Near, Flagged]]] = {key: [] for key, *_ in _NEAR}
    copies = _copies(evidence)
    for near in evidence.duplicates.near:
        ones, others = (
            copies.get(number) or [evidence.pictures[number]]
            for number in (near.first, near.second)
        )
        for key, one, other in _relations(ones, others):
            reason = (
                f"like {printable(one.name)} ({_place(evidence, one)}): {near.bits} of 64 bits "
                f"differ, correlation {near.correlation:.3f}"
            )
            pairs[key].append((near, evidence.flag(other, reason, one.name)))
    for key, severity, _, what, advice in _NEAR:
        if pairs[key] and evidence.dataset.generated:
            yield _near_finding(key, "note", pairs[key], what, _BY_CHANCE)
        elif pairs[key]:
            yield _near_finding(key, severity, pairs[key], what, advice)
    if not evidence.duplicates.complete:
        yield Finding(
            "near-incomplete",
            "note" if evidence.duplicates.across else "warning",
            "too many images are alike to compare all pairs"
            + ("" if evidence.duplicates.across else ", even of different splits or classes"),
            len(evidence.duplicates.near),
            "remove some of the near duplicates and check again",
        )


def _near_finding(
    key: str, severity: Severity, pairs: list[tuple[Near, Flagged]], what: str, advice: str
) -> Finding:
    """Return the finding of some near pairs: an error only if some, listed first, are certain.

    Mere similarity may be chance.
    """
    pairs = sorted(pairs, key=lambda pair: not pair[0].certain)
    certain = sum(near.certain for near, _ in pairs)
    title = f"{plural(len(pairs), 'pair')}: {what}"
    if severity == "error":
        title += f", {certain:,} surely copied" if certain else ""
        severity = "error" if certain else "warning"
    return Finding(key, severity, title, len(pairs), advice, tuple(flagged for _, flagged in pairs))


def _relations(
    ones: list[ImageFacts], others: list[ImageFacts]
) -> list[tuple[str, ImageFacts, ImageFacts]]:
    """Return the findings of the copies of a near pair, each with two of them as evidence."""
    found = []
    for key, _, relation, *_ in _NEAR:
        related = ((key, *pair) for pair in product(ones, others) if relation(*pair))
        found += list(islice(related, 1))
    worse = [one for one in found if one[0] not in _MILDER]
    return worse or found[:1]


_MILDER = ("near-shared", "near-duplicates")
"""Findings that list a pair only if it is in no worse one."""


def _copies(evidence: Evidence) -> dict[int, list[ImageFacts]]:
    """Return, for each image that is repeated, one copy per split and class."""
    found: dict[int, list[ImageFacts]] = {}
    for group in evidence.duplicates.groups:
        places = _places([evidence.pictures[index] for index in group.members])
        found |= dict.fromkeys(group.members, places)
    return found


def _places(copies: list[ImageFacts], each: int = 1) -> list[ImageFacts]:
    """Return the first copies per split and class; what relates copies depends on these alone."""
    counts: Counter[tuple[str, int]] = Counter()
    found = []
    for picture in copies:
        place = picture.split, picture.label
        if counts[place] < each:
            found.append(picture)
        counts[place] += 1
    return found


def _place(evidence: Evidence, picture: ImageFacts) -> str:
    return ", ".join(filter(None, (picture.split, evidence.dataset.label_words(picture.label))))


def _classes(evidence: Evidence) -> Iterator[Finding]:
    if evidence.classless:
        yield Finding(
            "no-classes",
            "error",
            "the images have no classes",
            len(evidence.pictures),
            "a classifier needs at least two classes: move the images into one folder per class, "
            "or give a table with the columns file and label",
        )
        return
    yield from class_name_findings(evidence.dataset)
    if not {"train", "all"} & set(evidence.dataset.splits):
        yield _no_training(evidence)
    elif evidence.undrawable:
        advice = "add images to that class, or make val/ and test/ folders yourself"
        yield Finding("no-split", "error", evidence.undrawable, 1, advice)
    classes = evidence.dataset.classes
    usable = {split: [0] * len(classes) for split in evidence.dataset.splits}
    for picture in evidence.pictures:
        for label in evidence.dataset.classes_of(picture.label):
            usable[picture.split][label] += picture.facts.fault is None
    for split, counts in usable.items():
        yield from _missing(classes, split, counts)
    trained_on = next((split for split in ("train", "all") if split in usable), None)
    if trained_on:
        several = evidence.dataset.multi_label
        yield from _few(classes, trained_on, usable[trained_on], several=several)
    if evidence.dataset.multi_label:
        yield from _unlabelled(evidence)
    yield from _empty_folders(evidence)


def _no_training(evidence: Evidence) -> Finding:
    found = ", ".join(f"{size:,} {name}" for name, size in evidence.dataset.sizes.items())
    return Finding(
        "no-training",
        "error",
        f"there are no training images, only {found}",
        len(evidence.pictures),
        "you can test a model on them (verydeep evaluate); to train one, add a split train, like "
        "train/<class>/",
    )


def _empty_folders(evidence: Evidence) -> Iterator[Finding]:
    empty = evidence.empty_folders
    if empty:
        names = [relative_name(folder, evidence.dataset.root) for folder in empty]
        yield Finding(
            "empty-folder",
            "warning",
            f"{plural(len(empty), 'folder')} without images beside those of the classes",
            len(empty),
            "training has no class of that name: put its images there, or remove the folder",
            tuple(Flagged(f"{name}/") for name in names),
        )


def _missing(classes: tuple[str, ...], split: str, counts: list[int]) -> Iterator[Finding]:
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing:
        yield Finding(
            "missing-class",
            "error" if split in ("train", "all") else "warning",
            f"{plural(len(missing), 'class', 'classes')} without a usable image in {split}",
            len(missing),
            f"add images of {'it' if len(missing) == 1 else 'them'} to {split}; its error does not "
            "measure missing classes",
            tuple(Flagged("", split, name) for name in missing),
        )


def _unlabelled(evidence: Evidence) -> Iterator[Finding]:
    found = [one for one in evidence.pictures if not evidence.dataset.classes_of(one.label)]
    if found:
        yield Finding(
            "unlabelled",
            "note",
            f"{plural(len(found), 'image')} without any label",
            len(found),
            "they count as images of none of the classes: right if somebody looked for all of "
            "them; otherwise remove them",
            tuple(evidence.flag(one) for one in found),
        )


def _few(
    classes: tuple[str, ...], split: str, counts: list[int], *, several: bool
) -> Iterator[Finding]:
    few = [(name, n) for name, n in zip(classes, counts, strict=True) if 0 < n < FEW]
    if few:
        yield Finding(
            "few-pictures",
            "warning",
            f"{plural(len(few), 'class', 'classes')} with fewer than {FEW} training images",
            len(few),
            "too few to learn much: add some, or merge the class with another",
            tuple(Flagged("", split, name, plural(count, "image")) for name, count in few),
        )
    low, high = min(counts, default=0), max(counts, default=0)
    if low and high / low >= IMBALANCE:
        yield Finding(
            "imbalance",
            "warning",
            f"the largest class has {high / low:.1f} times the images of the smallest "
            f"({classes[counts.index(high)]} {high:,}, {classes[counts.index(low)]} {low:,})",
            2,
            "the net will favour large classes: add images to small ones, or train with "
            f"{setting('data.balance', 'weights')}{'' if several else ' (or sampling)'}, and look "
            "at the error of each class, not only at the mean",
        )
