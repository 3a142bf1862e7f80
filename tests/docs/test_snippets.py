"""The Python blocks of every page run; the program's command lines in every page parse."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import generated
import pytest
import typer
from markdown_pages import (
    LANGUAGES,
    ROOT,
    SHELL,
    Block,
    Command,
    blocks,
    commands,
    documents,
    expects,
)
from markdown_pages import name_of as name
from run_page import Page, be_the_page
from tiny import apart

Put = Callable[[str, Path], None]
PAGES = documents()
HANGS = 900
"""Seconds after which a page is taken for one that never ends."""


def run_blocks(page: str, wanted: list[Block], folder: Path) -> list[str]:
    """Run blocks in a process of their own; fail with page, line and what was printed."""
    printed, errors = (folder.with_name(folder.name + end) for end in (".json", ".err"))
    lines = [{"line": block.line, "text": block.text} for block in wanted]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1"}
    process = apart(be_the_page, Page(page, lines), folder, environment, printed, errors)
    process.join(HANGS)
    if process.exitcode != 0:
        process.kill()
        process.join()
        pytest.fail(f"a block of {page} fails:\n{errors.read_text('utf-8')}", pytrace=False)
    return json.loads(printed.read_text("utf-8"))


def check_output(page: str, block: Block, printed: str) -> None:
    if block.output is not None and not expects(block.output, printed):
        pytest.fail(
            f"{page}:{block.line}: this block prints something else\n"
            f"--- the page says\n{block.output}\n--- it prints\n{printed}",
            pytrace=False,
        )


def python_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are to be run."""
    found = blocks(page.read_text("utf-8"))
    return [block for block in found if block.language == "python" and block.not_run is None]


@pytest.mark.slow
@pytest.mark.parametrize("page", [*filter(python_blocks, PAGES)], ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, put: Put) -> None:
    wanted = python_blocks(page)
    folder = tmp_path / "page"
    folder.mkdir()
    for prop in dict.fromkeys(prop for block in wanted for prop in block.props):
        put(prop, folder)
    printed = run_blocks(name(page), wanted, folder)
    for block, text in zip(wanted, printed, strict=True):
        check_output(name(page), block, text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_fences_say_what_they_hold(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        assert block.language in LANGUAGES, f"{name(page)}:{block.line}"
        assert block.not_run != "", f"{name(page)}:{block.line}: a reason is missing"
        comments = block.not_run is not None or block.props
        assert not comments or block.language == "python", f"{name(page)}:{block.line}"


def fault_of(command: Command) -> str | None:
    """Say why the program would refuse a command line before doing anything, if it would."""
    from verydeep.cli.app import app

    group = typer.main.get_command(app)
    try:
        outer = group.make_context("verydeep", list(command.words))
        verb, inner, words = group.resolve_command(outer, [*outer._protected_args, *outer.args])
        context = inner.make_context(verb, words, parent=outer)
        while hasattr(inner, "resolve_command"):  # a group of verbs
            verb, inner, words = inner.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            context = inner.make_context(verb, words, parent=context)
        check_settings(verb, context.params)
    except typer.Exit:  # --help, --version
        return None
    except Exception as error:
        say = getattr(error, "format_message", error.__str__)
        return f"{type(error).__name__}: {say()}"
    return None


def check_settings(verb: str, values: dict[str, object]) -> None:
    """Raise if a recipe that comes with the package has no such settings, or refuses a value."""
    from verydeep.recipe.recipe import load_recipe, said_settings, shipped

    if verb != "train":
        return
    source = ["initialize.source='model'"] if values["init_from"] else []
    settings = [*source, *(values["settings"] or ())]
    if values["recipe"] == "auto":
        said_settings(None, settings)
    elif values["recipe"] in shipped():
        load_recipe(values["recipe"], settings)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_command_lines_parse(page: Path) -> None:
    faults = []
    for block in blocks(page.read_text("utf-8")):
        if block.language in SHELL:
            for command in commands(block):
                if fault := fault_of(command):
                    words = " ".join(command.words)
                    faults.append(f"{name(page)}:{command.line}: verydeep {words}\n    {fault}")
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_examples_of_the_help_are_command_lines() -> None:
    text = generated.command_line()
    for block in blocks(text):
        if block.language == "sh":
            for line in block.text.splitlines():
                assert line.startswith(("verydeep ", "curl ")), line
                assert " | " not in line, line
            assert [fault_of(command) for command in commands(block) if fault_of(command)] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "pets", "--out", "o"], "No such command"),
        (["figures"], "out"),
        (["train", "pets", "--out", "o", "--nte", "A"], "No such option"),
        (["train", "pets", "--out", "o", "--epochs", "many"], "integer"),
        (["train", "pets", "--out", "o", "--set", "training.epoch=3"], "training.epochs"),
        (["train", "pets", "--out", "o", "--recipe", "small", "--set", "net.name=Z"], "net.name"),
    ],
)
def test_stale_command_lines_are_told(words: list[str], said: str) -> None:
    assert said in str(fault_of(Command(1, tuple(words))))


@pytest.mark.parametrize("words", [["nets"], ["nets", "D", "--size", "64"], ["train", "--help"]])
def test_true_command_lines_pass(words: list[str]) -> None:
    assert fault_of(Command(1, tuple(words))) is None


class TestRunning:
    """What a page does that it should not is told with its line."""

    def told(self, folder: Path, text: str) -> str:
        with pytest.raises(pytest.fail.Exception) as raised:
            run_blocks("page.md", [Block(7, "python", text)], folder)
        return str(raised.value)

    def test_an_error_has_page_line_and_source(self, tmp_path: Path) -> None:
        said = self.told(tmp_path, "a = 1\nraise ValueError(a)")
        assert 'File "page.md", line 8' in said
        assert "raise ValueError(a)" in said
        assert "run_page.py" not in said

    def test_a_warning_is_an_error(self, tmp_path: Path) -> None:
        assert "beware" in self.told(tmp_path, "import warnings\nwarnings.warn('beware')")

    def test_there_is_no_network(self, tmp_path: Path) -> None:
        source = "import urllib.request\nurllib.request.urlopen('http://192.0.2.1/')"
        assert "without network" in self.told(tmp_path, source)

    def test_blocks_share_names_and_folder(self, tmp_path: Path) -> None:
        first = Block(1, "python", "a = 3\nopen('x', 'w').close()")
        second = Block(9, "python", "import os\nprint(a, os.listdir())")
        assert run_blocks("page.md", [first, second], tmp_path)[1] == "3 ['x']\n"

    def test_other_output_is_told(self) -> None:
        with pytest.raises(pytest.fail.Exception, match=r"page\.md:3"):
            check_output("page.md", Block(3, "python", "", output="4"), "5\n")
