"""Run the Python blocks of a page, in order and in one namespace, in a process of its own.

Stops at the first block that fails, whose traceback names the page and its line. There is no
network, and warnings are errors.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import sys
import traceback
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page's name and its blocks: ``{"line": …, "text": …}`` of each."""

    name: str
    blocks: list[dict[str, Any]]


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Let no socket of this process leave the machine."""
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        raise OSError(f"the blocks of a page run without network; asked for {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(f"the blocks of a page run without network; asked for {host}")


def run(page: Page, printed: list[str]) -> None:
    """Run blocks; add what each printed, the failing one included."""
    module = types.ModuleType("__page__")
    sys.modules["__page__"] = module
    for block in page.blocks:
        # Empty lines in front make Python count as the page does.
        source = "\n" * (block["line"] - 1) + block["text"] + "\n"
        cached = (len(source), None, source.splitlines(keepends=True), page.name)
        linecache.cache[page.name] = cached
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(source, page.name, "exec"), module.__dict__)
        finally:
            printed.append(out.getvalue())


def be_the_page(
    page: Page, folder: Path, environment: dict[str, str], printed: Path, errors: Path
) -> None:
    """Be a process that runs the blocks of a page.

    Args:
        page: The page.
        folder: Folder to run in.
        environment: Variables of this process and of those that it starts.
        printed: File for what each block printed, a list in JSON.
        errors: File for stderr.
    """
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with errors.open("w", encoding="utf-8") as file, contextlib.redirect_stderr(file):
        sys.exit(main(page, printed))


def main(page: Page, file: Path) -> int:
    """Run blocks; write down what they printed, and return the exit code."""
    sys.addaudithook(refuse_network)
    warnings.simplefilter("error")
    printed: list[str] = []
    try:
        run(page, printed)
    except BaseException as error:
        # The frames of this file say nothing about the page.
        frames = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in frames if frame.filename != __file__]
        sys.stderr.writelines(traceback.format_list(mine))
        sys.stderr.writelines(traceback.format_exception_only(error))
        return 1
    finally:
        file.write_text(json.dumps(printed), "utf-8")
    return 0
