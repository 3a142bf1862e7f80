"""Sorting by class copies, never writes over, and never leaves the folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome

from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
from verydeep.run import sort_pictures as sort_module
from verydeep.run.sort_pictures import UNSURE, folder_of, sort_pictures

Program = Callable[..., Outcome]


def seen(path: Path, name: str = "cat", probability: float = 0.9) -> Prediction:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(f"{path}")
    return Prediction(path, ((name, probability),), class_name=name)


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_pictures_go_to_their_class_or_to_unsure(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [seen(tmp_path / "a.jpg"), seen(tmp_path / "b.jpg", "dog", 0.4)]
    assert sort_pictures(given, out, least=0.5) == {"cat": 1, "unsure": 1}
    assert files(out) == {"cat/a.jpg", "unsure/b.jpg"}
    assert (tmp_path / "a.jpg").is_file()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [seen(tmp_path / folder / "a.jpg") for folder in ("x", "y", "z")]
    sort_pictures(given, out)
    assert files(out) == {"cat/a.jpg", "cat/a-2.jpg", "cat/a-3.jpg"}
    assert {(out / name).read_text() for name in files(out)} == {str(p.source) for p in given}
    sort_pictures(given, out)  # the same ones again: they are there
    assert len(files(out)) == 3


def test_no_two_classes_share_a_folder_where_case_does_not_count(tmp_path: Path) -> None:
    given = [seen(tmp_path / f"{name}.jpg", name) for name in ("Cat", "cat", "UNSURE")]
    folders = sort_pictures([*given, seen(tmp_path / "dog.jpg", "dog", 0.1)], tmp_path, least=0.5)
    assert len({name.casefold() for name in folders}) == 4


def test_moving_moves_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [seen(tmp_path / folder / "a.jpg") for folder in ("x", "y")]
    sort_pictures(given, out, move=True)
    assert len(files(out)) == 2
    assert not any(one.source.exists() for one in given)
    inside = seen(out / "cat" / "a.jpg")
    sort_pictures([inside], out, move=True)  # it lies where it belongs
    assert inside.source.is_file()


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("links", [False, True])
def test_a_kill_leaves_whole_images_and_the_source(
    move: bool, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(source: Path, part: Path) -> None:
        part.write_text(source.read_text()[:3])
        os._exit(9)

    monkeypatch.setattr(sort_module, "_link", lambda *paths: False)  # as between two disks
    out, given = tmp_path / "out", [seen(tmp_path / "a.jpg")]
    child = os.fork()
    if not child:
        monkeypatch.setattr(shutil, "copy2", cut_off)
        sort_pictures(given, out, move=move)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert given[0].source is not None
    assert given[0].source.is_file()
    assert not (out / "cat" / "a.jpg").exists()
    if links:
        monkeypatch.undo()
    sort_pictures(given, out, move=move)
    assert {name for name in files(out) if not name.endswith("lock")} == {"cat/a.jpg"}
    assert (out / "cat" / "a.jpg").read_text() == str(given[0].source)
    assert given[0].source.exists() is not move


def test_moving_on_one_disk_copies_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "copy2", None)
    one = seen(tmp_path / "a.jpg")
    assert one.source is not None
    file = one.source.stat().st_ino
    sort_pictures([one], tmp_path / "out", move=True)
    moved = (tmp_path / "out" / "cat" / "a.jpg").stat()
    assert (moved.st_ino, moved.st_nlink) == (file, 1)


def test_classes_whose_folders_would_be_the_same_stay_apart(tmp_path: Path) -> None:
    names = ["a:b", "a?b", "a_b", "\u6c49" * 150, "\u6c49" * 151, "cat"]
    given = [seen(tmp_path / f"{number}.jpg", name) for number, name in enumerate(names)]
    counts = sort_pictures(given, tmp_path / "out")
    assert len(counts) == len(names)
    assert {"a_b", "cat"} <= set(counts)
    assert counts == sort_pictures(given[::-1], tmp_path / "out")  # the same folders again
    assert len(files(tmp_path / "out")) == len(names)


@pytest.mark.parametrize("name", ["../up", "/abs", "..", ".", "a/b", "unsure", "con", "x\0y", ""])
def test_no_class_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    sort_pictures([seen(tmp_path / "p.jpg", name)], out)
    (file,) = files(out)
    assert len(Path(file).parts) == 2
    assert Path(file).parts[0] != "unsure"
    assert files(tmp_path) == {"p.jpg", f"deep/out/{file}"}


def test_pictures_that_cannot_be_read_stay(tmp_path: Path) -> None:
    broken = Prediction(tmp_path / "x.jpg", (), "broken")
    assert sort_pictures([broken, Prediction(None, (("cat", 1.0),))], tmp_path / "out") == {}


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out"):
        sort_pictures([seen(tmp_path / "a.jpg")], tmp_path / "out")


def test_the_program_sorts(
    trained_run: Path, pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    shutil.copytree(pictures / "test", tmp_path / "in")
    told = verydeep("predict", trained_run, tmp_path / "in", "--sort", tmp_path / "s", "--json")
    value = json.loads(told.out)
    assert sum(value["sorted"].values()) == 12
    right = sum(p["file"].split("/")[-2] == p["classes"][0]["class"] for p in value["predictions"])
    assert right == 12  # the net has learned them
    assert value["sorted"] == {"blue": 4, "green": 4, "red": 4}
    text = verydeep("predict", trained_run, tmp_path / "in", "--sort", tmp_path / "t", "--least", 1)
    assert "unsure" in text.out
    assert verydeep("predict", trained_run, tmp_path / "in", "--least", 0.5).code == 2


def test_images_that_the_model_does_not_know_are_unsure() -> None:
    known = Prediction(Path("a.png"), (("cat", 0.99),), class_name="cat", abstained=False)
    unknown = Prediction(Path("a.png"), (("cat", 0.99),), class_name="cat", abstained=True)
    names = {"cat": "cat"}
    assert [folder_of(one, names) for one in (known, unknown)] == ["cat", UNSURE]
