"""Names of options in messages: flags in the program, keywords in Python.

``verydeep evaluate --split nope`` and ``evaluate(…, split="nope")`` share their checks; messages
built with :func:`option` and :func:`setting` show what the reader can type.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_in_program: ContextVar[bool] = ContextVar("verydeep_in_program", default=False)


@contextmanager
def flags_in_messages() -> Iterator[None]:
    """Name options as flags inside this context."""
    token = _in_program.set(True)
    try:
        yield
    finally:
        _in_program.reset(token)


def in_program() -> bool:
    """Return whether messages are for the command line."""
    return _in_program.get()


def option(name: str, value: object = None) -> str:
    """Return an option as the reader would type it.

    Args:
        name: As in Python, like ``init_from``.
        value: Its value; True for a flag without a value, None for the name alone.

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
    """Return a change of a recipe setting as the reader would type it.

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
    """A placeholder for a value, like FOLDER, which is not quoted."""

    __slots__ = ()


def placeholder(word: str) -> str:
    """Return a placeholder for a value.

    >>> option("data", placeholder("FOLDER"))
    'data=FOLDER'
    """
    return _Name(word)


def command_or_call() -> str:
    """Return ``command`` in the program, ``call`` in Python."""
    return "command" if in_program() else "call"
