"""Run the Python blocks of a page, in order and in one namespace, as a process of its own.

Reads ``{"page": …, "blocks": [{"line": …, "text": …}, …]}`` from stdin, runs in the current
folder, and writes what each block printed to the file named on the command line, as a list of JSON.
Stops at the first block that fails, whose traceback names the page and its line. There is no
network.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import sys
import traceback
import types
import warnings
from pathlib import Path
from typing import Any


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Let no socket of this process leave the machine."""
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        raise OSError(f"the blocks of a page run without network; asked for {arguments[0]}")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(f"the blocks of a page run without network; asked for {host}")


def run(page: str, blocks: list[dict[str, Any]], printed: list[str]) -> None:
    """Run blocks; add what each printed, the failing one included."""
    module = types.ModuleType("__page__")
    sys.modules["__page__"] = module
    for block in blocks:
        # Empty lines in front make Python count as the page does.
        source = "\n" * (block["line"] - 1) + block["text"] + "\n"
        linecache.cache[page] = (len(source), None, source.splitlines(keepends=True), page)
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(source, page, "exec"), module.__dict__)
        finally:
            printed.append(out.getvalue())


def main() -> int:
    """Do as the text at the top says; return the exit code."""
    request = json.load(sys.stdin)
    sys.addaudithook(refuse_network)
    warnings.simplefilter("error")
    printed: list[str] = []
    try:
        run(request["page"], request["blocks"], printed)
    except BaseException as error:
        # The frames of this file say nothing about the page.
        frames = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in frames if frame.filename != __file__]
        sys.stderr.writelines(traceback.format_list(mine))
        sys.stderr.writelines(traceback.format_exception_only(error))
        return 1
    finally:
        Path(sys.argv[1]).write_text(json.dumps(printed), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
