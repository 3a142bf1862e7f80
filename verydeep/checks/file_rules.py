"""Rules for single files: broken or unusual ones, wrong boxes, and files beside the samples."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.file_facts import Fault
from verydeep.checks.findings import Evidence, Finding, Flagged, Severity
from verydeep.checks.unlisted_files import Stray
from verydeep.data.annotations import span
from verydeep.data.dataset import relative_name
from verydeep.data.folders.passed_over import by_ending
from verydeep.data.images.formats import FORMAT_OF_SUFFIX, remedy
from verydeep.errors import plural
from verydeep.system.option_names import option

TINY = 32
"""Pixels; the smallest input side of any net."""

HUGE = 10_000_000
"""Pixels; decoding such an image takes about a tenth of a second in every epoch."""

ENDINGS = 8
"""Maximum number of extensions to name of files beside the images."""

_FAULTS: dict[Fault, tuple[str, str]] = {
    "empty": ("empty", "download or export them again, or remove them"),
    "no-picture": (
        "not images, despite their names",
        "remove them; if they are HEIC, AVIF or the like, convert them to JPEG or PNG",
    ),
    "too-large": (
        "of too many pixels or bytes, or too elongated",
        "shrink them (ImageMagick: magick IN -resize 2048x2048 OUT), cut elongated ones into "
        "pieces, or remove them",
    ),
    "broken": (
        "truncated or broken",
        "download or export them again, or remove them; training would leave them out",
    ),
    "unreadable": ("unreadable on disk", "fix their permissions or links, or remove them"),
}


def file_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield the findings about single files."""
    broken = [picture for picture in evidence.pictures if picture.facts.fault is not None]
    yield from _too_many_broken(evidence, broken)
    yield from _faults(evidence, broken)
    found: dict[str, list[Flagged]] = {key: [] for key, *_ in _RULES}
    for picture in evidence.pictures:
        for key, _, applies, *_ in _RULES if picture.facts.fault is None else ():
            if applies(picture):
                found[key].append(evidence.flag(picture, _observation(key, picture)))
    for key, severity, _, title, advice in _RULES:
        if found[key]:
            whole = f"{plural(len(found[key]), 'image')} {title}"
            yield Finding(key, severity, whole, len(found[key]), advice, tuple(found[key]))
    yield from _boxes(evidence)
    yield from _strays(evidence)
    yield from _skipped(evidence)


def _too_many_broken(evidence: Evidence, broken: Sequence[ImageFacts]) -> Iterator[Finding]:
    counts = Counter(picture.split for picture in broken)
    for split, total in evidence.dataset.sizes.items():
        share = counts[split] / total if total else 0.0
        if share > evidence.limit or (total and counts[split] == total):
            yield Finding(
                "too-many-broken",
                "error",
                f"{counts[split]:,} of {total:,} files of {split} cannot be used: {share:.2%}, "
                f"the limit is {evidence.limit:.2%}",
                counts[split],
                "fix or remove them (listed by fault); to train without them, raise "
                f"{option('limit')} here and data.unreadable_limit in training",
            )


def _faults(evidence: Evidence, broken: Sequence[ImageFacts]) -> Iterator[Finding]:
    for fault, (what, advice) in _FAULTS.items():
        found = [picture for picture in broken if picture.facts.fault == fault]
        if found:
            flagged = tuple(evidence.flag(picture, picture.facts.reason) for picture in found)
            title = f"{plural(len(found), 'file')}: {what}"
            yield Finding(fault, "warning", title, len(found), advice, flagged)


def _misnamed(picture: ImageFacts) -> bool:
    named = FORMAT_OF_SUFFIX.get(os.path.splitext(str(picture.path))[1].lower())  # noqa: PTH122
    return named is not None and named != picture.facts.format


def _observation(key: str, picture: ImageFacts) -> str:
    """Return the reason why an image was flagged."""
    facts = picture.facts
    if key == "misnamed":
        return f"{facts.format} inside, named {Path(picture.name).suffix}"
    if key in ("tiny", "huge"):
        return f"{facts.width}x{facts.height}"
    return facts.format or "" if key in ("animated", "turned") else facts.mode


_RULES: tuple[tuple[str, Severity, Callable[[ImageFacts], bool], str, str], ...] = (
    (
        "misnamed",
        "warning",
        _misnamed,
        "in another format than the name says",
        "training can read them, other programs may not: rename them",
    ),
    (
        "tiny",
        "warning",
        lambda p: min(p.facts.width, p.facts.height) < TINY,
        f"with a side under {TINY} pixels",
        "they will be enlarged and blurred: replace them with larger ones, or remove them",
    ),
    (
        "huge",
        "note",
        lambda p: p.facts.width * p.facts.height > HUGE,
        f"with more than {HUGE // 10**6} megapixels",
        "they slow down every epoch: train on a copy resized to twice the largest training scale",
    ),
    (
        "animated",
        "warning",
        lambda p: p.facts.animated,
        "with several frames or pages",
        "only the first is used: save the frame that shows the class as a separate file",
    ),
    (
        "even",
        "warning",
        lambda p: p.facts.hash is None,
        "of nearly one colour",
        "check whether they show anything; the search for near duplicates ignores them",
    ),
    (
        "turned",
        "note",
        lambda p: p.facts.turned,
        "with an EXIF orientation",
        "nothing to do: they are turned upright before use; boxes must refer to the upright image",
    ),
    (
        "grey",
        "note",
        lambda p: p.facts.mode in ("1", "L", "LA", "La") or p.facts.mode.startswith("I;16"),
        "in grey",
        "nothing to do, unless only one class is in grey: they are used as RGB with equal channels",
    ),
    (
        "cmyk",
        "note",
        lambda p: p.facts.mode == "CMYK",
        "in CMYK",
        "a fixed formula converts their colours: export them as sRGB if colours matter",
    ),
    (
        "transparent",
        "note",
        lambda p: p.facts.alpha,
        "with transparency",
        "they are composited on white: make sure that white does not reveal a class",
    ),
    (
        "palette",
        "note",
        lambda p: p.facts.mode in ("P", "PA"),
        "with a palette",
        "nothing to do: they are converted to RGB",
    ),
    (
        "sixteen-bit",
        "note",
        lambda p: p.facts.deep,
        "with 16 bits per channel",
        "only the upper 8 bits are used: stretch the contrast of those that look black",
    ),
)


def _boxes(evidence: Evidence) -> Iterator[Finding]:
    flagged = (*_odd_boxes(evidence), *_wrong_boxes(evidence))
    if flagged:
        yield Finding(
            "boxes",
            "warning",
            f"{plural(len(flagged), 'box', 'boxes')} empty or outside the image",
            len(flagged),
            "fix them in the annotations: x0 < x1 and y0 < y1, in pixels of the upright image",
            flagged,
        )


def _odd_boxes(evidence: Evidence) -> Iterator[Flagged]:
    """Yield the boxes that the layout dropped or changed."""
    paths = {box.path for box in evidence.dataset.odd_boxes}
    every = evidence.pictures if paths else ()
    found = {picture.path: picture for picture in every if picture.path in paths}
    for box in evidence.dataset.odd_boxes:
        if box.path in found:
            yield evidence.flag(found[box.path], box.reason)
        else:
            yield Flagged(relative_name(box.path, evidence.dataset.root), reason=box.reason)


def _wrong_boxes(evidence: Evidence) -> Iterator[Flagged]:
    boxed = any(samples.has_boxes for samples in evidence.dataset.splits.values())
    for picture in evidence.pictures if boxed else ():
        facts = picture.facts
        for box in picture.boxes if facts.fault is None else ():
            outside = min(box.x0, box.y0) < 0 or box.x1 > facts.width or box.y1 > facts.height
            if outside:
                yield evidence.flag(
                    picture, f"box {span(*box)} on {facts.width}x{facts.height} pixels"
                )


def _outside(lost: Sequence[Stray], listed: bool) -> Finding:
    pictures = plural(len(lost), "image")
    files = tuple(Flagged(stray.name) for stray in lost)
    if listed:  # perhaps on purpose
        title = f"{pictures} that no list of the data set names"
        advice = "training ignores them: if they belong to the data set, list them"
        return Finding("outside", "note", title, len(lost), advice, files)
    title = f"{pictures} in no class folder, or in an unused folder"
    advice = "training ignores them: move them into the folders of their classes, or away"
    return Finding("outside", "warning", title, len(lost), advice, files)


def _skipped(evidence: Evidence) -> Iterator[Finding]:
    """Yield system files and folders, and links; other files are among the strays."""
    passed = evidence.dataset.passed_over
    if passed.others:
        count = passed.system.total() + len(passed.dangling) + len(passed.repeated)
        advice = "nothing to do, unless images of the data set are among them"
        title = f"skipped: {', '.join(passed.others)}"
        yield Finding("passed-over", "note", title, count, advice)
    for title in passed.links:
        advice = "nothing to do, if the linked images belong to the data set"
        yield Finding("links", "note", title, len(passed.followed), advice)


def _strays(evidence: Evidence) -> Iterator[Finding]:
    lost = [stray for stray in evidence.strays if stray.picture]
    if lost:
        yield _outside(lost, listed=evidence.dataset.folders is None)
    hidden = [stray for stray in evidence.strays if stray.hidden]
    if hidden:
        cure = remedy(stray.suffix for stray in hidden)
        yield Finding(
            "hidden",
            "warning",
            f"{plural(len(hidden), 'image')} with extensions that are not those of images",
            len(hidden),
            f"training ignores them: {cure or 'rename or convert them to .jpg or .png'}",
            tuple(Flagged(s.name, reason=f"contains {s.content}") for s in hidden),
        )
    others = [stray for stray in evidence.strays if not stray.picture and not stray.hidden]
    if others:
        counted = ", ".join(by_ending(Counter(stray.suffix for stray in others), ENDINGS))
        yield Finding(
            "no-pictures",
            "note",
            f"{plural(len(others), 'file')} beside the images: {counted}",
            len(others),
            "nothing to do: training ignores them",
            tuple(Flagged(stray.name, reason=stray.content or "") for stray in others),
        )
