"""Options generated from the fields of settings classes, to define each setting once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from verydeep.cli.options import grid_in, scales_in
from verydeep.system.settings import default_of, help_of

Verb = Callable[..., None]


def option_group(parameter: str, settings: type, *names: str) -> Callable[[Verb], Verb]:
    """Replace a parameter of a verb by one option per named field of a dataclass.

    The verb receives the values by name, as a dict.

    Args:
        parameter: Name of the verb's parameter.
        settings: Dataclass with fields created by :func:`verydeep.system.settings.described`.
        names: Fields, in the order of the options.
    """

    def expand(verb: Verb) -> Verb:
        signature = inspect.signature(verb)
        hints = get_type_hints(verb, include_extras=True)
        options = [_option(settings, name) for name in names]
        parameters: list[inspect.Parameter] = []
        for one in signature.parameters.values():
            if one.name == parameter:
                parameters += options
            else:
                parameters.append(one.replace(annotation=hints[one.name]))

        @functools.wraps(verb)
        def run(**values: Any) -> None:
            group = {name: _READ.get(name, _as_it_is)(values.pop(name)) for name in names}
            verb(**values, **{parameter: group})

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        del run.__wrapped__  # otherwise inspect would use the signature of the verb itself
        return run

    return expand


def _option(settings: type, name: str) -> inspect.Parameter:
    default = _WRITTEN.get(name, _as_it_is)(default_of(settings, name))
    kind, bounds = _KINDS[name]
    option = typer.Option(help=_sentence(help_of(settings, name)), **bounds)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _sentence(text: str) -> str:
    """Return a help text as a sentence; lower-case names keep their case.

    >>> _sentence("rows x columns of crops"), _sentence("cpu, cuda")
    ('Rows x columns of crops.', 'cpu, cuda.')
    """
    first = text.split(maxsplit=1)[0].rstrip(",:;")
    return (text if first in _NAMES else text[0].upper() + text[1:]) + "."


_NAMES = ("cpu", "bf16", "paper", "mean", "auto")


def _as_it_is(value: Any) -> Any:
    return value


def _bounded(workers: int | None) -> int | None:
    """Cap an excessive number of workers and report it."""
    if workers is None:
        return None
    from verydeep.data.pipeline.workers import bounded_workers

    bounded, word = bounded_workers(workers, "--workers")
    if word:
        typer.echo(word, err=True)
    return bounded


_READ: dict[str, Callable[[Any], Any]] = {
    "scales": scales_in,
    "grid": grid_in,
    "workers": _bounded,
}
_WRITTEN: dict[str, Callable[[Any], Any]] = {"grid": lambda grid: f"{grid[0]}x{grid[1]}"}

_KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scales": (str | None, {}),
    "flip": (bool | None, {}),
    "grid": (str, {}),
    "average": (str, {}),
    "preset": (str, {}),
    "layer": (str | None, {}),
    "aggregate": (str, {}),
    "top": (int, {"min": 1}),
    "threshold": (float, {}),
    "most": (int, {"min": 1}),
    "device": (str | None, {}),
    "precision": (str | None, {}),
    "engine": (str, {}),
    "workers": (int | None, {"min": 0}),
    "address": (str | None, {}),
    "actors": (int | None, {"min": 1}),
    "cores_per_actor": (int | None, {"min": 1}),
    "processes": (int | None, {"min": 1}),
    "max_bytes": (int, {"min": 1}),
    "max_pixels": (int, {"min": 1}),
    "max_images": (int, {"min": 1}),
    "max_seconds": (float, {"min": 0.1}),
    "queue": (int, {"min": 1}),
    "wait": (float, {"min": 0}),
}
"""Type of each option, and its bounds; flags are named after the fields."""
