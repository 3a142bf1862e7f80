"""Text generated from the program: its ``--help`` and the keys of a recipe.

A comment in a page, ``<!-- generated: command line -->``, marks the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import typer

MARK = re.compile(r"^<!-- generated: (.+?) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Replace such comments by the generated text."""
    return MARK.sub(lambda mark: WRITERS[mark[1]](), markdown)


def command_line() -> str:
    """Return a section for each verb: purpose, usage, options, examples."""
    from verydeep.cli.app import app

    group: Any = typer.main.get_command(app)
    outer = group.make_context("verydeep", ["--version"], resilient_parsing=True)
    return "\n".join(_verbs("", group, outer))


def _verbs(before: str, group: Any, outer: Any) -> Iterator[str]:
    """Yield a section for each verb of a group, and of the groups in it."""
    for name in group.list_commands(outer):
        verb, whole = group.get_command(outer, name), f"{before}{name}"
        if hasattr(verb, "list_commands"):
            yield from _verbs(f"{whole} ", verb, type(outer)(verb, info_name=name, parent=outer))
        else:
            yield from _verb(whole, verb, outer)


def _verb(name: str, verb: Any, outer: Any) -> Iterator[str]:
    context = type(outer)(verb, info_name=name, parent=outer)
    yield f"## `verydeep {name}`\n"
    yield _plain(verb.help) + "\n"
    pieces = " ".join(verb.collect_usage_pieces(context))
    yield f"```text\nverydeep {name} {pieces}\n```\n"
    for parameter in verb.get_params(context):
        if parameter.name != "help":
            names, text = parameter.get_help_record(context)
            yield f"`{names}`\n:   {_plain(text)}\n"
    if verb.epilog:
        examples = verb.epilog.partition(":")[2].strip().splitlines()
        lines = "\n".join(example.removeprefix("$ ") for example in examples)
        yield f"{verb.epilog.partition(':')[0]}:\n\n```sh\n{lines}\n```\n"


def _plain(text: str) -> str:
    """Escape the program's text for Markdown."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    escaped = re.sub(r"([*_\[\]])", r"\\\1", "\n\n".join(paragraphs)).replace("<", "&lt;")
    # Format flags within a sentence as code.
    return re.sub(r"(?<![\w`-])(--[\w-]+)", r"`\1`", escaped)


def recipe_keys() -> str:
    """Return a table of keys for each section of a recipe."""
    from verydeep.recipe.recipe import Recipe

    schema = Recipe.model_json_schema()
    sections = {
        name: schema["$defs"][_class_of(value)] for name, value in schema["properties"].items()
    }
    return "\n".join(line for name, one in sections.items() for line in _section(name, one))


def _class_of(value: dict[str, Any]) -> str:
    """Return the class name of a section, which may be optional."""
    choices = [value, *value.get("anyOf", ())]
    return next(c["$ref"] for c in choices if "$ref" in c).rpartition("/")[2]


def _section(name: str, section: dict[str, Any]) -> Iterator[str]:
    yield f"## `{name}`\n\n{section['description'].splitlines()[0]}\n"
    yield "| key | meaning | default | values |\n|---|---|---|---|"
    for key, value in section["properties"].items():
        takes = _takes(value).replace("|", "\\|")
        what = value["description"].replace("|", "\\|")
        yield f"| `{name}.{key}` | {what} | `{_yaml(value['default'])}` | {takes} |"
    yield ""


def _yaml(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            same = len(set(value)) == 1 and len(value) == 2 and value[0] > 50
            return str(value[0]) if same else f"[{', '.join(map(_yaml, value))}]"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _takes(value: dict[str, Any]) -> str:
    """Describe in words the values that a JSON schema allows."""
    match value:
        case {"anyOf": choices}:
            return " or ".join(_takes(choice) for choice in choices)
        case {"enum": names}:
            return ", ".join(f"`{name}`" for name in names)
        case {"const": name}:
            return f"`{name}`"
        case {"type": "array", "prefixItems": items}:
            return f"{len(items)} whole numbers"
        case {"type": "array", "items": items}:
            inside = _takes(items)
            return f"a list of {inside}" if "`" in inside else f"a list of {inside}s"
        case {"type": "integer" | "number"}:
            return _number(value)
        case {"type": kind}:
            return {"boolean": "true, false", "string": "text", "null": "null"}[kind]
    raise AssertionError(value)


def _number(value: dict[str, Any]) -> str:
    kind = "whole number" if value["type"] == "integer" else "number"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {value[key]:g}"
        for key, sign in bounds.items()
        if key in value and abs(value[key]) < 2**31  # skip bounds of the integer type
    ]
    return " ".join([kind, " and ".join(limits)]).strip()


def recipes() -> str:
    """Return the shipped recipes verbatim."""
    from verydeep.recipe.recipe import shipped

    folder = resources.files("verydeep.recipe") / "shipped"
    files = [(name, (folder / f"{name}.yaml").read_text("utf-8").strip()) for name in shipped()]
    return "\n".join(f"### `{name}`\n\n```yaml\n{text}\n```\n" for name, text in files)


WRITERS: dict[str, Callable[[], str]] = {
    "command line": command_line,
    "keys of a recipe": recipe_keys,
    "recipes": recipes,
}
