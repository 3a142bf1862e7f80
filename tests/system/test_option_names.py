"""Option names in messages: keywords in Python, flags in the shell."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import Outcome, recipe

import verydeep as package
from verydeep.errors import VeryDeepError
from verydeep.system.option_names import flags_in_messages, option

SOURCES = Path(package.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z]")
OF_THE_PROGRAM = ("cli/", "run/slurm.py", "visualization/report/", "system/option_names.py")
"""Code that only the program runs, and pages that print commands."""

OF_OTHERS = ("--set ", "--pack-destination", "--prefer-offline", "--silent")
"""Beginning of a setting, and flags of npm."""


def strings(tree: ast.AST) -> Iterator[str]:
    """Every text of a module but its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def names_a_flag(text: str) -> bool:
    """Return whether a text names a flag of this program; other programs have only flags."""
    return bool(FLAG.search(text)) and text not in OF_OTHERS and "docker run" not in text


def test_no_message_of_the_core_names_a_flag_by_itself() -> None:
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        if not name.startswith(OF_THE_PROGRAM):
            texts = strings(ast.parse(path.read_text("utf-8")))
            found += [(name, text) for text in texts if names_a_flag(text)]
    assert found == []


def test_the_language_ends_with_the_program() -> None:
    with flags_in_messages():
        assert option("out") == "--out"
    assert option("out") == "out="


CASES: dict[str, tuple[Callable[..., object], list[str]]] = {
    "a run is there": (lambda p, r: package.train(p, recipe(), r), ["resume", "out"]),
    "no run to resume": (
        lambda p, r: package.train(p, recipe(), r.parent / "nowhere", resume=True),
        ["resume"],
    ),
    "layout without data": (lambda p, r: package.evaluate(r, layout="table"), ["layout", "data"]),
    "no data": (lambda p, r: package.evaluate(package.load(r)), ["data"]),
    "grid without boxes": (
        lambda p, r: __import__("verydeep.run.predict").run.predict.predict(
            r, p, package.BoxProtocol(name="crops", grid=(2, 2))
        ),
        ["boxes"],
    ),
    "channel without place": (
        lambda p, r: package.explain(r, p, "o", channels=["conv1_1:1"]),
        ["among"],
    ),
    "a box regressor's settings": (
        lambda p, r: package.load_recipe("localization", ["localization.fine_tune=fc"]),
        ["init_from"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_exceptions_speak_python(case: str, pictures: Path, trained_run: Path) -> None:
    call, names = CASES[case]
    with pytest.raises(VeryDeepError) as raised:
        call(pictures, trained_run)
    message = str(raised.value)
    assert not FLAG.search(message)
    for name in names:
        assert f"{name}=" in message


def test_the_program_speaks_in_flags(
    pictures: Path, trained_run: Path, verydeep: Callable[..., Outcome]
) -> None:
    outcome = verydeep("train", pictures, "--out", trained_run)
    assert "--resume" in outcome.err
    assert "--out" in outcome.err
    assert "resume=" not in outcome.err
