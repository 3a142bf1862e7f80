"""Provenance of a run: command, seed, data, mean colour, versions and machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from verydeep.data.arrays import MEMORY
from verydeep.errors import ModelError
from verydeep.nets.dimensions import INPUT_WORDS
from verydeep.system.device import without_secret
from verydeep.system.yaml import parse_yaml

UNIMPORTANT = ("command", "versions")
"""Keys of ``environment.json`` that appear elsewhere on the page."""


def command_line(words: Sequence[str]) -> str:
    """Return a command as it can be typed, with the program's name instead of its path.

    >>> print(command_line(["/opt/venv/bin/verydeep", "train", "my pets"]))
    verydeep train 'my pets'
    >>> print(command_line(["/opt/x/verydeep/__main__.py", "nets"]))
    python -m verydeep nets
    """
    program, *rest = words
    path = PurePath(program)
    if path.name == "__main__.py":
        return shlex.join(["python", "-m", path.parent.name, *map(without_secret, rest)])
    name = path.name if path.name == "verydeep" else f"python {shlex.quote(program)}"
    return " ".join([name, shlex.join(map(without_secret, rest))]).strip()


def again(data: Mapping[str, Any]) -> str:
    """Return the command that repeats the run with the recipe in its folder; a call for arrays.

    Args:
        data: ``data.json`` of the run.

    >>> again({"data": "my pets"})
    "verydeep train 'my pets' --recipe recipe.yaml --out again"
    >>> again({"data": "memory"})
    'verydeep.train((images, labels), "recipe.yaml", "again")'
    """
    if data["data"] == MEMORY:
        return 'verydeep.train((images, labels), "recipe.yaml", "again")'
    source, layout = without_secret(str(data["data"])), data.get("layout_name")
    words = ["verydeep", "train", source, *(["--layout", str(layout)] if layout else [])]
    return shlex.join([*words, "--recipe", "recipe.yaml", "--out", "again"])


def made(
    environment: Mapping[str, Any], data: Mapping[str, Any], recipe: str
) -> list[tuple[str, str]]:
    """Return the facts needed to repeat the run as pairs of a name and a value.

    Args:
        environment: ``environment.json`` of the run.
        data: ``data.json``.
        recipe: ``recipe.yaml``.

    Raises:
        ModelError: The recipe is not valid YAML.
    """
    training, level = _section(recipe, "training"), _section(recipe, "data").get("mean")
    colours = data.get("colours", {}).get("mean") if level is None else (level,) * 3
    lines = [
        ("seed", training.get("seed")),
        ("data", without_secret(str(data["data"]))),
        ("layout", data["layout"]),
        ("fingerprint of the training images (SHA-256)", data.get("fingerprint")),
        (
            "mean RGB, subtracted from every pixel",
            ", ".join(f"{value:.2f}" for value in colours) if colours else None,
        ),
        ("versions", _versions(environment)),
        *(
            (key.replace("_", " "), value)
            for key, value in environment.items()
            if key not in UNIMPORTANT
        ),
    ]
    return [(name, _plain(value)) for name, value in lines if value is not None]


def kind_of_run(recipe: str, command: Sequence[str]) -> str:
    """Return a description of the net, and of the recipe if the command names one.

    Args:
        recipe: ``recipe.yaml`` of the run.
        command: Command that started the run; may be empty.

    Raises:
        ModelError: The recipe is not valid YAML.

    >>> kind_of_run("net: {name: D, input_size: 64, width: 0.5}", ["verydeep", "train", "pets"])
    'Net D for 64x64 pixels, 0.5 times the width'
    >>> kind_of_run("net: {name: A, input_size: 32, dimensions: 3}", ["verydeep", "train", "scans"])
    'Net A for 32x32x32 voxels'
    """
    net = _section(recipe, "net")
    width, dimensions = net.get("width", 1), net.get("dimensions", 2)
    sides = "x".join([str(net.get("input_size"))] * dimensions)
    size = f"{sides} {INPUT_WORDS[dimensions].unit}"
    parts = [f"Net {net['name']} for {size}"] if "name" in net else []
    parts += [f"{width:g} times the width"] if width != 1 else []
    parts += [f"with {net['norm']} normalisation"] if net.get("norm") else []
    flag = command.index("--recipe") + 1 if "--recipe" in command else len(command)
    parts += [f"recipe {PurePath(command[flag]).name}"] if flag < len(command) else []
    return ", ".join(parts)


def has_squared_error(recipe: str) -> bool:
    """Return whether a recipe trains a classifier by a squared error.

    Args:
        recipe: ``recipe.yaml`` of the run.

    Raises:
        ModelError: The recipe is not valid YAML.
    """
    return _section(recipe, "training").get("loss") == "squared-error"


def _section(recipe: str, name: str) -> Mapping[str, Any]:
    try:
        tree = parse_yaml(recipe)
    except yaml.YAMLError as error:
        raise ModelError(f"recipe.yaml: cannot be read ({error})") from error
    section = tree.get(name) if isinstance(tree, dict) else None
    return section if isinstance(section, dict) else {}


def _versions(environment: Mapping[str, Any]) -> str | None:
    versions = environment.get("versions") or {}
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or None


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
