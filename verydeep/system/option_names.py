"""How messages name options: as flags in the program, as keywords in Python.

The same check serves ``verydeep evaluate --split nope`` and ``evaluate(…, split="nope")``; a
message built with :func:`option` and :func:`setting` names what its reader can type.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_in_program: ContextVar[bool] = ContextVar("verydeep_in_program", default=False)


@contextmanager
def flags_in_messages() -> Iterator[None]:
    """Name options as flags of the program inside this context."""
    token = _in_program.set(True)
    try:
        yield
    finally:
        _in_program.reset(token)


def in_program() -> bool:
    """Return whether messages are for someone who types commands."""
    return _in_program.get()


def option(name: str, value: object = None) -> str:
    """Return an option as the reader writes it.

    Args:
        name: As in Python, like ``init_from``.
        value: What to give it; True for a flag that takes no value, None to name it alone.

    >>> option("init_from"), option("protocol", "crops"), option("resume", True)
    ('init_from=', "protocol='crops'", 'resume=True')
    >>> with flags_in_messages():
    ...     option("init_from"), option("protocol", "crops"), option("resume", True)
    ('--init-from', '--protocol crops', '--resume')
    """
    if not in_program():
        return f"{name}=" if value is None else f"{name}={_plain(value)}"
    flag = "--" + name.replace("_", "-")
    return flag if value is None or value is True else f"{flag} {value}"


def setting(key: str, value: object) -> str:
    """Return a change of a recipe's setting as the reader writes it.

    >>> setting("data.cache", "none"), setting("training.learning_rate", 0.001)
    ("data__cache='none'", 'training__learning_rate=0.001')
    >>> with flags_in_messages():
    ...     setting("data.cache", "none"), setting("data.stream", False)
    ('--set data.cache=none', '--set data.stream=false')
    """
    if not in_program():
        return f"{key.replace('.', '__')}={_plain(value)}"
    text = str(value).lower() if isinstance(value, bool) else value
    return f"--set {key}={text}"


def _plain(value: object) -> str:
    return str(value) if isinstance(value, _Name) else repr(value)


class _Name(str):
    """A word that stands for a value, like FOLDER; it is not quoted."""

    __slots__ = ()


def placeholder(word: str) -> str:
    """Return a word that stands for whatever the reader puts there.

    >>> option("data", placeholder("FOLDER"))
    'data=FOLDER'
    """
    return _Name(word)


def command_or_call() -> str:
    """Return what the reader repeats with another option: a command, or a call."""
    return "command" if in_program() else "call"
