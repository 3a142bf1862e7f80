"""Layout of help texts, which Typer prints with the line ends of the source."""

from __future__ import annotations

import inspect
import re

import typer

BETWEEN = "   |   "
"""Separates the examples of a verb in the source."""

PROMPT = "$ "
"""Stands before an example."""


def lay_out(app: typer.Typer) -> None:
    """Let the terminal wrap the help of every verb, and give each example a line of its own."""
    for command in app.registered_commands:
        command.help = flowing(inspect.getdoc(command.callback) or "")
        if command.epilog:
            command.epilog = one_a_line(command.epilog)
    for group in app.registered_groups:
        if group.epilog:
            group.epilog = one_a_line(group.epilog)


def flowing(text: str) -> str:
    r"""Return text whose paragraphs are one line each.

    >>> flowing("One.\n\nTwo\nand three.")
    'One.\n\nTwo and three.'
    """
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def one_a_line(examples: str) -> str:
    r"""Return examples with one on each line, after a prompt that tells where it begins.

    >>> one_a_line("Examples:  verydeep nets   |   verydeep nets D")
    'Examples:\n$ verydeep nets\n$ verydeep nets D'
    """
    title, _, commands = examples.partition(":")
    lines = [command.strip().removeprefix("then  ") for command in commands.split(BETWEEN)]
    return f"\n{PROMPT}".join([f"{title}:", *lines])
