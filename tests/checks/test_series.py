"""Series divided among splits: found by evidence, and only by that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from progresses import Listening
from sklearn.datasets import load_digits
from tiny import recipe

from checks.messy import save, scene
from verydeep import check, read_dataset, train
from verydeep.checks.report import CheckReport
from verydeep.checks.series import series_of
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import groups_of
from verydeep.errors import InputError

CLASSES = ("cat", "dog")


def frames(root: Path, name: str, clips: int = 6, length: int = 8) -> Path:
    """Write clips whose frames move by a pixel; ``name`` has places for clip and frame."""
    for label, kind in enumerate(CLASSES):
        for clip in range(clips):
            whole = scene(100 * label + clip, 140, 110)
            for frame in range(length):
                shot = whole.crop((frame, frame, frame + 110, frame + 90))
                save(shot, root / kind / name.format(kind=kind, clip=clip, frame=frame))
    return root


def unrelated(root: Path, name: str, count: int = 40) -> Path:
    """Write images that have nothing to do with each other."""
    for label, kind in enumerate(CLASSES):
        for number in range(count):
            picture = scene(1000 * label + number)
            save(picture, root / kind / name.format(kind=kind, number=number))
    return root


def series(report: CheckReport) -> str | None:
    return next((f"{f.title}; {f.advice}" for f in report.findings if f.key == "series"), None)


def rule_in(text: str) -> str:
    return eval(text.partition("group_by=")[2])


@pytest.mark.parametrize(
    "name",
    [
        "clip{clip}_{frame:04}.jpg",
        "{kind}-clip{clip}/{frame}.jpg",
        "clip{clip}_{frame}_640x480.jpg",
    ],
)
def test_frames_of_clips_are_found_and_the_suggested_rule_keeps_them_together(
    name: str, tmp_path: Path
) -> None:
    text = series(check(frames(tmp_path, name), colours=False))
    assert text is not None
    assert "pairs of neighbours by name look alike" in text
    rule = rule_in(text)
    dataset = read_dataset(tmp_path, group_by=rule)
    clips = []
    for samples in dataset.splits.values():
        assert len(set(samples.labels.tolist())) == 2
        clips.append(set(groups_of(GroupRule.parse(rule), dataset, samples)))
    assert not clips[0] & clips[1]
    assert not clips[2] & (clips[0] | clips[1])
    assert series(check(tmp_path, group_by=rule, colours=False)) is None


def test_of_very_many_images_some_classes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = check(frames(tmp_path, "clip{clip}_{frame:04}.jpg"), colours=False)
    whole = next(one for one in report.findings if one.key == "series")
    monkeypatch.setattr("verydeep.checks.series.MOST_IMAGES", 60)
    report = check(tmp_path, colours=False)
    (part,) = [one for one in report.findings if one.key == "series"]
    assert {one.class_name for one in whole.files} == set(CLASSES)
    assert len({one.class_name for one in part.files}) == 1
    assert {one.file for one in part.files} <= {one.file for one in whole.files}


def test_of_multi_label_images_series_are_found_with_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames(tmp_path, "clip{clip}_{frame:04}.jpg")
    rows = [
        f"{path.relative_to(tmp_path)},{'cat;dog' if 'clip0' in path.name else path.parent.name}"
        for path in sorted(tmp_path.glob("*/*.jpg"))
    ]
    (tmp_path / "clips.csv").write_text("\n".join(["file,labels", *rows]) + "\n")
    text = series(check(tmp_path / "clips.csv", colours=False))
    assert text is not None
    drawn = read_dataset(tmp_path / "clips.csv", group_by=rule_in(text))
    clips = [
        {str(one.path).rpartition("_")[0] for one in samples} for samples in drawn.splits.values()
    ]
    assert all(clips)
    assert sum(map(len, clips)) == len(set().union(*clips))
    monkeypatch.setattr("verydeep.checks.series.MOST_IMAGES", 60)
    assert series(check(tmp_path / "clips.csv", colours=False)) is not None


def test_one_long_series_a_class_is_to_be_cut_into_blocks(tmp_path: Path) -> None:
    for label, kind in enumerate(CLASSES):
        whole = scene(label, 300, 110)
        for frame in range(60):
            save(whole.crop((frame, 0, frame + 110, 90)), tmp_path / kind / f"f{frame:03}.png")
    text = series(check(tmp_path, colours=False))
    assert text is not None
    rule = rule_in(text)
    assert rule.startswith(r"name:^(.*?)\d{1,1}")
    assert len(read_dataset(tmp_path, group_by=rule).splits) == 3


@pytest.mark.parametrize(
    "name",
    [
        "n0144{kind}_{number}.JPEG",  # ImageNet
        "ILSVRC2012_val_{number:08}.JPEG",
        "IMG_{number:04}.jpg",
        "DSC0{number:04}.JPG",
        "{number:05}.png",
        "image_{number:04}.jpg",
        "2007_{number:06}.jpg",
    ],
)
def test_running_numbers_alone_are_no_series(name: str, tmp_path: Path) -> None:
    assert series(check(unrelated(tmp_path, name), colours=False)) is None


def test_digits_that_all_look_alike_are_no_series(tmp_path: Path) -> None:
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        if label < 3:
            picture = Image.fromarray(np.uint8(pixels * 15.9)).resize((32, 32))
            save(picture.convert("RGB"), tmp_path / str(label) / f"{number:05}.png")
    assert series(check(tmp_path, colours=False)) is None


def test_splits_of_the_data_s_own_are_not_judged_by_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        frames(tmp_path / split, "clip{clip}_{frame}.jpg", clips=2)
    assert series(check(tmp_path, colours=False)) is None


def test_groups_divided_by_the_data_s_own_splits_are_an_error(tmp_path: Path) -> None:
    for split in ("train", "val"):
        frames(tmp_path / split, split + "_p{clip}_{frame}.jpg", clips=2, length=2)
    report = check(tmp_path, group_by=r"name:_(p\d+)_", colours=False)
    (found,) = [one for one in report.findings if one.key == "divided-groups"]
    assert (found.severity, found.count, report.exit_code) == ("error", 2, 2)
    assert "2 groups with images in several splits: p0 in train, val" in found.title
    own = check(tmp_path, group_by=r"name:((?:train|val)_p\d+)_", colours=False)
    assert "divided-groups" not in {one.key for one in own.findings}


def test_a_check_refuses_a_rule_that_cannot_be_used(tmp_path: Path) -> None:
    unrelated(tmp_path, "{number}.png", 12)
    with pytest.raises(InputError, match="without a match"):
        check(tmp_path, group_by="name:patient")


class UntilTheNet(Listening):
    """Stops at the first line about the net."""

    def log(self, message: str) -> None:
        super().log(message)
        if message.startswith("net A on"):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("write", "name", "said"),
    [
        (frames, "clip{clip}_{frame}.jpg", 1),
        (unrelated, "IMG_{number:04}.jpg", 0),
    ],
)
def test_a_training_warns_at_its_beginning(
    write: Callable[[Path, str], Path], name: str, said: int, tmp_path: Path
) -> None:
    write(tmp_path / "pets", name)
    heard = UntilTheNet()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "pets", recipe(), tmp_path / "run", progress=heard)
    lines = [line for line in heard.lines if "images of one series" in line]
    assert len(lines) == said
    assert all("draw the splits by group, group_by='name:" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        ("a/v3_0012.jpg", 1, ("a/v3_#.jpg", 12)),
        ("a/v3_0012.jpg", 2, ("a/v#_0012.jpg", 3)),
        ("a/v3_0012.jpg", 3, None),
        ("7/x.jp2", 1, None),
        ("image 12", 1, ("image #", 12)),
    ],
)
def test_the_running_number_of_a_name(
    name: str, place: int, expected: tuple[str, int] | None
) -> None:
    assert series_of(name, place) == expected
