"""Sorting by class copies, never writes over, and never leaves the folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome

from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
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


def test_moving_moves_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [seen(tmp_path / folder / "a.jpg") for folder in ("x", "y")]
    sort_pictures(given, out, move=True)
    assert len(files(out)) == 2
    assert not any(one.source.exists() for one in given)
    inside = seen(out / "cat" / "a.jpg")
    sort_pictures([inside], out, move=True)  # it lies where it belongs
    assert inside.source.is_file()


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
    assert [folder_of(one) for one in (known, unknown)] == ["cat", UNSURE]
