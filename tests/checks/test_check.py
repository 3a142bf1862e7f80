"""The whole check: every finding with its severity, no others, and no changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import write_class_folders

from checks.messy import clean_splits, save, scene, state
from checks.test_file_facts import bomb
from verydeep import check
from verydeep.checks import check as check_module
from verydeep.checks.duplicates import Duplicates, Near
from verydeep.checks.findings import Finding
from verydeep.checks.open_dataset import place_of
from verydeep.checks.report import CheckReport
from verydeep.data.builtin import named
from verydeep.data.builtin.multi_digits import make_multi_digits, write_multi_digits
from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.colour_statistics import scan
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, InputError
from verydeep.recipe.recipe import load_recipe
from verydeep.system.settings import Compute


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return clean_splits(tmp_path / "pets")


def keys(report: CheckReport) -> set[str]:
    return {finding.key for finding in report.findings}


def only(report: CheckReport, key: str) -> Finding:
    (finding,) = (finding for finding in report.findings if finding.key == key)
    return finding


def turned(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(scene(90), root / "train/cat/x.jpg", exif=exif)


def again(root: Path, source: str, target: str) -> None:
    shutil.copy(root / source, root / target)


def saved_again(root: Path, target: str) -> None:
    save(Image.open(root / "train/cat/00.jpg"), root / target, quality=80)


def many(root: Path) -> None:
    for number in range(200):
        save(scene(1000 + number), root / f"train/cat/more{number}.jpg")


ODD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty": ("warning", lambda root: (root / "train/cat/x.jpg").touch()),
    "no-picture": ("warning", lambda root: (root / "train/cat/x.jpg").write_text("oh no")),
    "too-large": ("warning", lambda root: bomb(root / "train/cat/x.png", 30_000, 30_000)),
    "broken": (
        "warning",
        lambda root: (root / "train/cat/x.jpg").write_bytes(
            (root / "train/cat/00.jpg").read_bytes()[:800]
        ),
    ),
    "unreadable": ("warning", lambda root: (root / "train/cat/x.jpg").symlink_to(root / "gone")),
    "misnamed": ("warning", lambda root: save(scene(90), root / "train/cat/x.png", format="JPEG")),
    "tiny": ("warning", lambda root: save(scene(90, 31, 40), root / "train/cat/x.png")),
    "huge": (
        "note",
        lambda root: save(scene(90, 400, 260).resize((4000, 2600)), root / "train/cat/x.jpg"),
    ),
    "animated": (
        "warning",
        lambda root: save(
            scene(90).convert("RGB"),
            root / "train/cat/x.webp",
            save_all=True,
            append_images=[scene(91)],
        ),
    ),
    "even": (
        "warning",
        lambda root: save(Image.new("RGB", (50, 50), "white"), root / "train/cat/x.jpg"),
    ),
    "turned": ("note", turned),
    "grey": ("note", lambda root: save(scene(90).convert("L"), root / "train/cat/x.jpg")),
    "cmyk": ("note", lambda root: save(scene(90).convert("CMYK"), root / "train/cat/x.jpg")),
    "transparent": ("note", lambda root: save(scene(90).convert("RGBA"), root / "train/cat/x.png")),
    "palette": (
        "note",
        lambda root: save(scene(90).quantize(64), root / "train/cat/x.png"),
    ),
    "contradiction": ("error", lambda r: again(r, "train/cat/00.jpg", "train/dog/x.jpg")),
    "leakage": ("error", lambda r: again(r, "train/cat/00.jpg", "val/cat/x.jpg")),
    "duplicates": ("warning", lambda r: again(r, "train/cat/00.jpg", "train/cat/x.jpg")),
    "near-contradiction": ("error", lambda r: saved_again(r, "train/dog/x.jpg")),
    "near-leakage": ("error", lambda r: saved_again(r, "val/cat/x.jpg")),
    "near-duplicates": ("note", lambda r: saved_again(r, "train/cat/x.jpg")),
    "outside": ("warning", lambda root: save(scene(90), root / "x.jpg")),
    "hidden": ("warning", lambda root: save(scene(90), root / "train/cat/x.bak", format="PNG")),
    "no-pictures": ("note", lambda root: (root / "train/cat/x.txt").write_text("hello")),
    "imbalance": ("warning", many),
    "missing-class": ("warning", lambda root: shutil.rmtree(root / "val/cat")),
    "few-pictures": (
        "warning",
        lambda root: [path.unlink() for path in (root / "train/cat").glob("0[0-5].jpg")],
    ),
}


def test_nothing_is_found_where_nothing_is_wrong(data: Path) -> None:
    report = check(data)
    assert report.findings == ()
    assert report.exit_code == 0
    assert report.verdict == "Ready for training (0 errors, 0 warnings, 0 notes)"


@pytest.mark.parametrize("key", ODD)
def test_each_finding_alone(key: str, data: Path) -> None:
    severity, spoil = ODD[key]
    spoil(data)
    report = check(data, limit=0.5)
    assert keys(report) == {key}
    finding = only(report, key)
    assert finding.severity == severity
    assert report.exit_code == (2 if severity == "error" else 0)
    assert finding.advice
    assert finding.count >= 1
    if key not in ("missing-class", "few-pictures", "imbalance", "huge"):
        assert "x." in finding.files[0].file + finding.files[0].other


@pytest.mark.parametrize("key", ["empty", "broken", "too-large", "no-picture", "unreadable"])
def test_broken_files_above_the_limit_are_an_error(key: str, data: Path) -> None:
    ODD[key][1](data)
    report = check(data)
    finding = only(report, "too-many-broken")
    assert (finding.severity, report.exit_code) == ("error", 2)
    assert finding.title == "1 of 25 files of train cannot be used: 4.00%, the limit is 1.00%"
    assert keys(check(data, limit=0.04)) == {key}


def test_many_extensions_make_no_long_title(data: Path) -> None:
    for number in range(300):
        (data / f"train/cat/side.{number:03}").write_text("hello")
    (data / "train/cat/more.000").write_text("hello")
    finding = only(check(data), "no-pictures")
    assert len(finding.files) == finding.count == 301
    assert finding.title.startswith("301 files beside the images: 2 .000, 1 .")
    assert finding.title.endswith(" and 292 others") or finding.title.endswith(", 292 others")
    assert len(finding.title) < 120


def test_an_elongated_image_is_not_said_to_have_too_many_pixels(data: Path) -> None:
    save(scene(90, 4000, 20), data / "train/cat/x.png")
    finding = only(check(data, limit=0.5), "too-large")
    assert finding.title == "1 file: of too many pixels or bytes, or too elongated"
    assert "cut elongated ones into pieces" in finding.advice
    assert "aspect ratio is 1:200" in finding.files[0].reason


def test_small_classes_are_named_with_their_split(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "pets", 2)
    report = check(root)
    assert "all" in report.dataset.splits
    assert {file.split for file in only(report, "few-pictures").files} == {"all"}


def test_the_name_of_remote_data_is_a_url_without_secrets() -> None:
    address = "https://me:secret@example.org/pets/{train,val}.tar"
    dataset = Dataset(Path("https://me:secret@example.org/pets"), "tar shards", ("cat",), {})
    assert place_of(address, dataset) == "https://…@example.org/pets"


def test_sixteen_bits_in_colour_files(data: Path) -> None:
    values = np.asarray(scene(90).convert("L")).astype(np.uint16) * 257
    save(Image.fromarray(values), data / "train/cat/x.png")
    assert keys(check(data)) == {"grey", "sixteen-bit"}


def test_the_same_picture_in_val_and_test_is_a_warning(data: Path) -> None:
    shutil.copytree(data / "val", data / "test")
    report = check(data)
    assert keys(report) == {"shared"}
    assert report.exit_code == 0
    assert only(report, "shared").count == 6


def test_leakage_names_both_files_and_where_they_are(data: Path) -> None:
    again(data, "train/cat/00.jpg", "val/dog/x.jpg")
    report = check(data)
    assert keys(report) == {"leakage", "contradiction"}
    one, other = only(report, "leakage").files
    assert (one.file, one.split, one.class_name) == ("train/cat/00.jpg", "train", "cat")
    assert (other.file, other.split, other.class_name) == ("val/dog/x.jpg", "val", "dog")
    assert one.reason == "same bytes as val/dog/x.jpg (val, dog)"
    assert (one.other, other.other) == (other.file, one.file)


def test_a_copy_saved_again_may_leak_and_contradict_at_once(data: Path) -> None:
    saved_again(data, "val/dog/x.jpg")
    report = check(data)
    assert keys(report) == {"near-leakage", "near-contradiction"}
    assert (report.exit_code, report.verdict[:9]) == (2, "Not ready")
    for key in keys(report):
        finding = only(report, key)
        assert (finding.severity, finding.title[:7]) == ("error", "1 pair:")
        assert finding.title.endswith(", 1 surely copied")
        (flagged,) = finding.files
        assert {flagged.file, flagged.other} == {"train/cat/00.jpg", "val/dog/x.jpg"}


def test_a_copy_in_val_and_test_is_a_warning(data: Path) -> None:
    save(scene(90), data / "test/cat/x.jpg")
    save(scene(91), data / "test/dog/x.jpg")
    save(Image.open(data / "test/cat/x.jpg"), data / "val/cat/x.jpg", quality=80)
    report = check(data)
    assert keys(report) == {"near-shared"}
    assert (only(report, "near-shared").severity, report.exit_code) == ("warning", 0)


@pytest.mark.parametrize(
    ("bits", "correlation", "severity"),
    [
        (0, 1.0, "error"),
        (2, 0.99, "error"),
        (3, 1.0, "warning"),
        (0, 0.9899, "warning"),
        (6, 0.95, "warning"),
    ],
)
def test_only_what_is_surely_a_copy_makes_a_set_unfit(
    bits: int, correlation: float, severity: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Numbers 0 to 11 are cats of train, 24 on are cats of val.
    near = (Near(0, 24, 5, 0.96), Near(1, 25, bits, correlation))
    monkeypatch.setattr(check_module, "find_duplicates", lambda *_, **__: Duplicates((), near))
    finding = only(check(data), "near-leakage")
    assert (finding.severity, finding.count) == (severity, 2)
    places = ["val/cat/01.jpg", "val/cat/00.jpg"]
    assert [file.file for file in finding.files] == places[:: 1 if severity == "error" else -1]


def test_generated_images_are_alike_by_chance(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = (Near(0, 24, 0, 1.0),)
    monkeypatch.setattr(check_module, "find_duplicates", lambda *_, **__: Duplicates((), near))
    report = check(replace(read_dataset(data), generated=True))
    finding = only(report, "near-leakage")
    assert (finding.severity, finding.count) == ("note", 1)
    assert "by chance" in finding.advice
    assert report.exit_code == 0


def test_built_in_sets_are_known_as_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_multi_digits(make_multi_digits(0, {"train": 40, "val": 1, "test": 1}), tmp_path / "few")
    monkeypatch.setattr(named, "multi_digits_folder", lambda: tmp_path / "few")
    assert named.read("digits-multi").generated
    assert not read_dataset(tmp_path / "few" / "labels.csv").generated


def test_equal_pixels_in_other_bytes_leak_too(data: Path) -> None:
    save(scene(90), data / "train/cat/x.png")
    save(scene(90), data / "val/cat/x.bmp")
    (finding,) = check(data).findings
    assert (finding.key, finding.severity) == ("leakage", "error")
    assert finding.files[0].reason == "same pixels as val/cat/x.bmp (val, cat)"


def test_the_colours_are_those_of_a_training(data: Path) -> None:
    (data / "train/cat/x.jpg").write_text("broken")
    measured = scan(read_dataset(data).split("train"), unreadable_limit=0.5).colours
    assert measured is not None
    colours = check(data).summary["colours"]
    assert colours["mean"] == list(measured.mean)
    assert colours["covariance"] == [list(row) for row in measured.covariance]
    axes = np.array(colours["axes"])
    rebuilt = axes.T @ np.diag(np.square(colours["deviations"])) @ axes
    np.testing.assert_allclose(rebuilt, 255**2 * np.array(measured.covariance), rtol=1e-9)


def test_without_colours_all_else_is_the_same(data: Path) -> None:
    saved_again(data, "val/cat/x.jpg")
    with_colours, without = check(data), check(data, colours=False)
    assert without.summary.pop("colours") is None
    assert with_colours.summary.pop("colours")
    assert without.summary == with_colours.summary
    assert keys(without) == keys(with_colours)


def test_processes_find_what_threads_find(data: Path) -> None:
    again(data, "train/cat/00.jpg", "val/cat/x.jpg")
    (data / "train/cat/y.jpg").touch()
    one, other = check(data, compute=Compute(workers=0)), check(data, compute=Compute(workers=2))
    assert one.findings == other.findings
    assert one.summary == other.summary
    assert list(one.pictures) == list(other.pictures)


def test_a_split_drawn_by_rule_is_looked_over_as_training_would_draw_it(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "all", 20)
    report = check(root)
    assert report.to_dict()["drawn_by_rule"]
    assert report.to_dict()["splits"] == {"train": 48, "val": 6, "test": 6}
    drawn = read_dataset(root).splits["val"][0].path
    shutil.copy(drawn, drawn.with_name("a-copy.png"))
    assert keys(check(root)) & {"leakage", "duplicates", "shared"}


def test_a_class_too_small_to_be_split_is_an_error_among_the_others(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "all", 20)
    for path in sorted((root / "red").iterdir())[1:]:
        path.unlink()
    report = check(root)
    assert "too few to split" in only(report, "no-split").title
    assert report.exit_code == 2


def test_quantiles_are_those_of_the_upright_sizes(data: Path) -> None:
    sizes = check(data).summary["sizes"]
    assert set(sizes["width"].values()) == {120.0}
    assert set(sizes["aspect_ratio"].values()) == {120 / 90}
    assert list(sizes["height"]) == ["min", "q05", "q25", "median", "q75", "q95", "max"]


def test_nothing_is_changed_on_disk(data: Path, tmp_path: Path) -> None:
    for spoil in (ODD[key][1] for key in ("broken", "outside", "hidden")):
        spoil(data)
    before = state(data)
    check(data, out=tmp_path / "out")
    assert state(data) == before


def test_the_page_must_not_lie_within_the_data(data: Path) -> None:
    before = state(data)
    with pytest.raises(InputError, match="is inside the data set"):
        check(data, out=data / "check")
    assert state(data) == before


@pytest.mark.parametrize("limit", [-0.1, 1.1])
def test_a_limit_is_a_share(limit: float, data: Path) -> None:
    with pytest.raises(InputError, match="limit must be between 0 and 1"):
        check(data, limit=limit)


def test_imbalance_names_the_setting_that_helps(data: Path) -> None:
    many(data)
    advice = only(check(data), "imbalance").advice
    assert "data__balance='weights' (or sampling)" in advice
    for how in ("weights", "sampling"):
        assert load_recipe("paper", [f"data.balance={how}"]).data.balance == how


def test_what_is_no_data_set_is_said_as_training_says_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        check(tmp_path / "gone")
    with pytest.raises(DataError, match="no known layout fits"):
        check(tmp_path)


def test_the_documentation_names_every_finding() -> None:
    folder = Path(__file__).resolve().parents[2] / "docs"
    text = (folder / "checking.md").read_text("utf-8")
    others = {"too-many-broken", "no-split", "shared", "near-shared", "boxes", "sixteen-bit"}
    others |= {"near-incomplete", "no-classes", "empty-folder", "layout"}
    for key in set(ODD) | others:
        assert f"`{key}`" in text
