"""What a page of the documentation holds: its fenced blocks, and the command lines in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("", "sh", "bash", "shell", "console")
LANGUAGES = (
    *SHELL,
    "python",
    "text",
    "yaml",
    "toml",
    "json",
    "csv",
    "slurm",
    "mermaid",
    "ini",
    "dockerfile",
)
"""What a fence may say it holds: a word misspelt would be a block that nothing checks."""

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<marks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)(?P<rest>.*)$")
_NOTE = re.compile(r"^\s*<!--\s*(not run|with):\s*(.*?)\s*-->\s*$")
_ASSIGNMENT = re.compile(r"^\w+=.*$")
_REDIRECTION = re.compile(r"(?<!\S)[0-9]?&?>>?(?:&[0-9]|\s*\S+)")
_LEADING = ("do", "then", "else", "time", "nohup", "exec", "env", "srun", "!", "{", "(")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: Number of its first line of text in the page, from 1.
        language: The first word behind the fence, lower case; empty if there is none.
        text: Without the indentation of its fence.
        not_run: The reason why it is not run, from a comment directly before it.
        props: What the tests put into the folder first, from a comment directly before it.
        output: Of a Python block, the text block behind it.
    """

    line: int
    language: str
    text: str
    not_run: str | None = None
    props: tuple[str, ...] = ()
    output: str | None = None


def documents() -> list[Path]:
    """Return the README and every page under ``docs/``."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's name within the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, each Python block with its output.

    Raises:
        ValueError: A fence is never closed.
    """
    lines = text.splitlines()
    found: list[Block] = []
    number, previous_end = 0, -1
    while number < len(lines):
        if opening := _FENCE.match(lines[number]):
            end = _closing(lines, number, opening)
            block = _block(lines, number, end, opening)
            directly = not any(line.strip() for line in lines[previous_end + 1 : number])
            if block.language == "text" and found and directly and found[-1].language == "python":
                found[-1] = replace(found[-1], output=block.text)
            found.append(block)
            number = previous_end = end
        number += 1
    return found


def _closing(lines: list[str], start: int, opening: re.Match[str]) -> int:
    marks = opening["marks"]
    for number in range(start + 1, len(lines)):
        stripped = lines[number].strip()
        if stripped.startswith(marks) and not stripped.strip(marks[0]):
            return number
    raise ValueError(f"line {start + 1}: this fence is never closed")


def _block(lines: list[str], start: int, end: int, opening: re.Match[str]) -> Block:
    indent = len(opening["indent"])
    text = "\n".join(
        line[indent:] if not line[:indent].strip() else line for line in lines[start + 1 : end]
    )
    said = dict(_notes(lines, start))
    props = tuple(said["with"].replace(",", " ").split()) if "with" in said else ()
    language = opening["language"].lower()
    return Block(start + 2, language, text, said.get("not run"), props)


def _notes(lines: list[str], fence: int) -> Iterator[tuple[str, str]]:
    """Yield the comments that stand directly above a fence, one a line."""
    while fence and (note := _NOTE.match(lines[fence - 1])):
        yield note[1], note[2]
        fence -= 1


def expects(output: str, found: str) -> bool:
    """Say whether text is what a page promises: space at the end of lines is left out.

    ``…`` stands for anything, line ends included.

    >>> expects("a … c", "a b c\\n"), expects("a", "b")
    (True, False)
    """
    pattern = ".*".join(re.escape(part) for part in _trimmed(output).split("…"))
    return re.fullmatch(pattern, _trimmed(found), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


@dataclass(frozen=True)
class Command:
    """A command line of the program in a page: the line's number, the words behind its name."""

    line: int
    words: tuple[str, ...]


def commands(block: Block) -> Iterator[Command]:
    """Yield every call of the program in a block of shell.

    Lines that begin with ``$`` are the commands where there are any, and the others their output.

    Raises:
        ValueError: A quotation is never closed.
    """
    lines = block.text.splitlines()
    prompted = any(line.lstrip().startswith("$ ") for line in lines)
    number = 0
    while number < len(lines):
        first, line = number, lines[number]
        while line.endswith("\\") and number + 1 < len(lines):
            number += 1
            line = line[:-1] + " " + lines[number].lstrip().removeprefix("> ")
        number += 1
        if prompted and not line.lstrip().startswith("$ "):
            continue
        yield from _calls(line.lstrip().removeprefix("$ "), block.line + first)


def _calls(line: str, number: int) -> Iterator[Command]:
    if "verydeep" not in line:
        return
    for words in _simple_commands(line):
        while words and (words[0] in _LEADING or _ASSIGNMENT.match(words[0])):
            words.pop(0)
        if words and Path(words[0]).name == "verydeep":
            yield Command(number, tuple(words[1:]))
        for place in range(1, len(words) - 1):
            if words[place : place + 2] == ["-m", "verydeep"]:
                yield Command(number, tuple(words[place + 2 :]))


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Split a line at pipes, semicolons and the like, and leave out its redirections."""
    lexer = shlex.shlex(_REDIRECTION.sub(" ", line), posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            yield words
            words = []
        else:
            words.append(word)
    yield words
