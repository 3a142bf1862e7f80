"""Walks over folders: system folders, links, other formats."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from progresses import Listening

from verydeep.checks import unlisted_files as strays
from verydeep.checks.check import check
from verydeep.data.folders import walk
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_file, is_system_folder, is_system_path
from verydeep.data.images.formats import SUFFIXES, SUFFIXES_OF
from verydeep.data.images.image_files import pictures_in
from verydeep.data.images.inputs import list_pictures
from verydeep.data.read import read_dataset
from verydeep.errors import DataError, PictureError

SYSTEMS = (
    "@eaDir", "#recycle", "@Recycle", "@Recently-Snapshot", ".@__thumb", "$RECYCLE.BIN",
    "System Volume Information", "lost+found", "__MACOSX", ".Trash-1000", ".thumbnails",
    ".AppleDouble", ".ipynb_checkpoints", ".picasaoriginals",
)  # fmt: skip


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path, "PNG")
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(3):
            picture(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    left = SUFFIXES - {*SUFFIXES_OF["HEIC"]}
    monkeypatch.setattr(walk, "SUFFIXES", left)
    monkeypatch.setattr(strays, "SUFFIXES", left)
    monkeypatch.setattr("verydeep.data.images.formats.SUFFIXES", left)


def counts(root: Path) -> tuple[tuple[int, ...], str]:
    dataset = read_dataset(root, draw=False)
    return dataset.count("all"), dataset.describe()


@pytest.mark.parametrize("system", SYSTEMS)
def test_folders_of_systems_are_passed_over_and_counted(system: str, pets: Path) -> None:
    for folder in (pets, pets / "cat", pets / "cat" / "deep"):
        picture(folder / system / "0.png" / "SYNOPHOTO_THUMB_M.jpg")
    found, told = counts(pets)
    assert found == (3, 3)
    assert "skipped: 3 hidden or system items" in told
    assert len(list_pictures(pets)) == 6


@pytest.mark.parametrize("name", ["._0.png", "Thumbs.db", ".DS_Store", "ehthumbs.db"])
def test_files_of_systems_are_passed_over_and_counted(name: str, pets: Path) -> None:
    picture(pets / "cat" / name)
    picture(pets / name)
    found, told = counts(pets)
    assert found == (3, 3)
    assert "2 hidden or system items" in told
    assert is_system_path(f"pets/cat/{name}")


def test_a_class_may_be_called_thumbnails(pets: Path) -> None:
    picture(pets / "thumbnails" / "0.png")
    assert read_dataset(pets, draw=False).classes == ("cat", "dog", "thumbnails")
    assert not is_system_folder("thumbnails")
    assert not is_system_file("thumbnails.png")


def test_other_kinds_are_counted(pets: Path) -> None:
    for name in ("1.cr2", "2.CR2", "notes.txt", "film.mp4", "README"):
        (pets / "cat" / name).write_bytes(b"x")
    told = counts(pets)[1]
    assert "2 .cr2 (convert" in told
    for part in ("1 .txt", "1 .mp4", "1 without an extension"):
        assert part in told


@pytest.mark.usefixtures("without_heic")
def test_heic_without_the_extra_is_counted_with_its_install_line(pets: Path) -> None:
    for number in range(4):
        (pets / "cat" / f"{number}.HEIC").write_bytes(b"x")
    assert "4 .heic (pip install 'verydeep[heic]' reads them)" in counts(pets)[1]
    findings = {finding.key for finding in check(pets, colours=False).findings}
    assert "no-pictures" in findings


@pytest.mark.usefixtures("without_heic")
@pytest.mark.parametrize("split", ["", "train", "val"])
def test_a_class_of_nothing_but_heic_is_an_error_that_names_it(split: str, tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for top in ("train", "val") if split else ("",):
        for name in ("cat", "dog", "eel"):
            picture(root / top / name / "0.png")
    eels = root / split / "eel"
    (eels / "0.png").unlink()
    (eels / "1.heic").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"eel: contains only unreadable images: .*verydeep\[heic\]"
    ):
        read_dataset(root, draw=False)


@pytest.mark.usefixtures("without_heic")
def test_a_phones_folder_of_nothing_but_heic_names_the_install_line(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"IMG_{number}.HEIC").write_bytes(b"x")
    with pytest.raises(PictureError, match=r"40 \.heic.*verydeep\[heic\]"):
        list_pictures(tmp_path)
    with pytest.raises(DataError, match=r"40 .heic .*verydeep\[heic\]"):
        read_dataset(tmp_path)


@pytest.mark.usefixtures("without_heic")
def test_each_kind_has_a_remedy_of_its_own(tmp_path: Path) -> None:
    for name in ("1.heic", "2.hif", "3.cr2"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(PictureError, match=r"\(pip install .*\), 1 .cr2 \(convert"):
        list_pictures(tmp_path)


def test_what_a_folder_holds_else_is_said_before_prediction(pets: Path) -> None:
    (pets / "1.nef").write_bytes(b"x")
    heard = Listening()
    assert len(list_pictures([pets, pets / "cat" / "0.png"], heard)) == 7
    assert heard.lines == ["skipped: 1 .nef (convert them to .jpg or .png)"]


def test_a_folder_without_pictures_is_counted(pets: Path) -> None:
    (pets / "docs").mkdir()
    (pets / "docs" / "manual.pdf").write_bytes(b"x")
    dataset = read_dataset(pets, draw=False)
    assert dataset.classes == ("cat", "dog")
    assert dataset.passed_over.empty == ["docs"]


# Links.


def test_a_linked_folder_elsewhere_is_followed(pets: Path) -> None:
    for number in range(5):
        picture(pets.parent / "store" / "deep" / f"{number}.png")
    (pets / "cat" / "more").symlink_to("../../store")
    dataset = read_dataset(pets, draw=False)
    assert dataset.count("all") == (8, 3)
    assert dataset.passed_over.followed == ["cat/more"]
    assert "1 linked folder followed (cat/more)" in dataset.describe()
    assert "links" in {finding.key for finding in check(pets, colours=False).findings}


@pytest.mark.parametrize("target", [".", "..", "../..", "../dog", "../cat", "deep", "/"])
def test_a_linked_folder_that_is_read_anyway_is_passed_over(target: str, pets: Path) -> None:
    picture(pets / "cat" / "deep" / "9.png")
    (pets / "cat" / "again").symlink_to(target)
    dataset = read_dataset(pets, draw=False)
    assert dataset.count("all") == (4, 3)
    assert dataset.passed_over.repeated == ["cat/again"]


def test_a_link_from_elsewhere_back_is_passed_over(pets: Path) -> None:
    picture(pets.parent / "store" / "9.png")
    (pets.parent / "store" / "back").symlink_to(pets)
    (pets.parent / "store" / "round").symlink_to(".")
    (pets / "cat" / "more").symlink_to("../../store")
    dataset = read_dataset(pets, draw=False)
    assert dataset.count("all") == (4, 3)
    assert len(dataset.passed_over.repeated) == 2


def test_two_links_to_one_folder_read_it_once(pets: Path) -> None:
    picture(pets.parent / "store" / "below" / "9.png")
    (pets / "cat" / "more").symlink_to("../../store")
    (pets / "cat" / "once more").symlink_to("../../store/below")
    assert counts(pets)[0] == (4, 3)


def test_two_classes_that_link_to_one_folder_are_refused(pets: Path) -> None:
    picture(pets.parent / "store" / "below" / "9.png")
    (pets / "cat" / "more").symlink_to("../../store")
    (pets / "dog" / "more").symlink_to("../../store/below")
    with pytest.raises(DataError, match="two classes"):
        read_dataset(pets, draw=False)


def test_train_and_val_that_link_to_one_folder_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            picture(tmp_path / "pets" / split / name / "0.png")
    picture(tmp_path / "store" / "9.png")
    for split in ("train", "val"):
        (tmp_path / "pets" / split / "cat" / "more").symlink_to(tmp_path / "store")
    with pytest.raises(DataError, match="two splits"):
        read_dataset(tmp_path / "pets")


def split_pets(root: Path) -> Path:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            picture(root / split / name / f"{split}.png")
    return root


@pytest.mark.parametrize(
    ("link", "target", "how"),
    [
        ("val/eel", "../train/cat", "to '.*train/cat'"),
        ("test", "train", "to '.*train/cat'"),
        ("train/eel", "dog/puppy", "into '.*train/dog'"),
        ("train/eel", "../val", "to a folder that contains '.*val/cat'"),
    ],
)
def test_a_link_from_one_class_or_split_to_another_is_refused(
    link: str, target: str, how: str, tmp_path: Path
) -> None:
    root = split_pets(tmp_path / "pets")
    picture(root / "train" / "dog" / "puppy" / "9.png")
    (root / link).symlink_to(target)
    with pytest.raises(DataError, match=f"{link}(/cat)?' links {how}, so"):
        read_dataset(root)


def test_a_data_set_behind_a_link_is_read(tmp_path: Path) -> None:
    split_pets(tmp_path / "pets")
    (tmp_path / "here").symlink_to("pets")
    assert read_dataset(tmp_path / "here").sizes == {"train": 2, "val": 2}


def test_linked_files_of_other_classes_and_splits_are_passed_over(tmp_path: Path) -> None:
    root = split_pets(tmp_path / "pets")
    (root / "here").symlink_to("val")
    for link, target in (
        ("train/cat/dog.png", "../dog/train.png"),
        ("val/cat/old.png", root / "train" / "cat" / "train.png"),
        ("val/dog/way.png", "../../here/cat/val.png"),
        ("val/dog/chain.png", "way.png"),
    ):
        (root / link).symlink_to(target)
    dataset = read_dataset(root, layout="split-folders")
    assert dataset.sizes == {"train": 2, "val": 2}
    repeated = ["cat/dog.png", "cat/old.png", "dog/chain.png", "dog/way.png"]
    assert dataset.passed_over.repeated == repeated


def test_a_class_of_nothing_but_links_to_others_is_refused(pets: Path) -> None:
    (pets / "eel").mkdir()
    (pets / "eel" / "0.png").symlink_to("../dog/0.png")
    with pytest.raises(DataError, match="eel: all its images are links to those of other"):
        read_dataset(pets)


def test_a_file_that_is_reached_twice_in_a_class_is_read_once(pets: Path) -> None:
    picture(pets.parent / "store" / "9.png")
    (pets / "cat" / "same.png").symlink_to("0.png")
    (pets / "cat" / "nine.png").symlink_to("../../store/9.png")
    (pets / "cat" / "ten.png").symlink_to("../../store/9.png")
    (pets / "cat" / "more").symlink_to("../../store")
    dataset = read_dataset(pets, draw=False)
    assert dataset.count("all") == (4, 3)
    assert dataset.passed_over.repeated == ["cat/same.png", "cat/ten.png"]


def test_links_that_lead_nowhere_are_named(pets: Path) -> None:
    (pets / "cat" / "more").symlink_to("../gone")
    (pets / "cat" / "7.png").symlink_to("gone.png")
    dataset = read_dataset(pets, draw=False)
    assert dataset.passed_over.dangling == ["cat/more"]
    assert dataset.count("all") == (4, 3)  # it has an image's name: reading it says what it lacks
    told = {f.key: str(f.to_dict()) for f in check(pets, colours=False).findings}
    assert "gone.png" in told["unreadable"]


def test_a_folder_for_prediction_is_walked_as_safely(pets: Path) -> None:
    picture(pets.parent / "store" / "9.png")
    (pets / "more").symlink_to("../store")
    (pets / "up").symlink_to("..")
    passed = PassedOver()
    assert len([*pictures_in(pets, passed)]) == 7
    assert (passed.followed, passed.repeated) == (["pets/more"], ["pets/up"])


def test_the_order_is_that_of_the_names(pets: Path) -> None:
    for name in ("cat/b/1.png", "cat/a/2.png", "cat/B.png"):
        picture(pets / name)
    found = [path.relative_to(pets).as_posix() for path in pictures_in(pets / "cat")]
    files = ["cat/0.png", "cat/1.png", "cat/2.png", "cat/B.png"]
    assert found == [*files, "cat/a/2.png", "cat/b/1.png"]


def test_the_program_without_the_extra(pets: Path) -> None:
    (pets / "cat" / "1.heic").write_bytes(b"x")
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from verydeep.data.read import read_dataset\n"
        f"print(read_dataset({str(pets)!r}, draw=False).describe())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "verydeep[heic]" in done.stdout
