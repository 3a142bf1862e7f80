"""A session with Ray: on this machine for one job, or with a cluster by its address."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from verydeep.errors import InputError, MachineError, MissingExtra
from verydeep.system.device import usable_cores
from verydeep.system.option_names import option

OBJECT_STORE = 256 * 2**20
"""Bytes of Ray's object store on this machine. Parts of results pass through it one at a time."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # which prints each line of a worker twice
}
"""Environment of Ray: nothing is sent to its makers, and nothing is printed."""


class Session(NamedTuple):
    """A connection to Ray.

    Attributes:
        ray: Module of Ray.
        local: Whether Ray was started on this machine, for this job alone.
    """

    ray: Any
    local: bool


@contextmanager
def ray_session(
    address: str | None, what: str = "bulk work", named: str = "address"
) -> Iterator[Session]:
    """Connect to Ray. What is started here ends with the context.

    A program that has connected to Ray before keeps its connection.

    Args:
        address: Address of a cluster; None starts Ray on this machine.
        what: What needs Ray, for a message.
        named: Name of the option that gives the address, for a message.

    Raises:
        InputError: There is no cluster at the address.
        MachineError: Ray does not start on this machine.
        MissingExtra: Ray is not installed.
    """
    # Its logs, which Ray would leave behind.
    folder = tempfile.TemporaryDirectory(prefix="verydeep-ray-", ignore_cleanup_errors=True)
    with folder as logs, _environment(QUIET):
        with _signals_kept(), _silence():
            ray = _package(what)
            connected = ray.is_initialized()
            if not connected:
                _connect(ray, address, logs, named)
        with _without_messages():
            try:
                yield Session(ray, local=not connected and address is None)
            finally:
                if not connected:
                    with _silence():
                        ray.shutdown()


def check_installed(what: str = "bulk work") -> None:
    """Refuse to begin without Ray, before any slow work.

    Args:
        what: What needs Ray, for a message.

    Raises:
        MissingExtra: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra(what, "ray")


def _package(what: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra(what, "ray") from error
    return ray


def _connect(ray: Any, address: str | None, logs: str, named: str) -> None:
    local = {
        "_temp_dir": logs,
        "num_cpus": usable_cores(),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
    }
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else local),
        )
    except Exception as error:  # depends on the version
        ray.shutdown()  # of what has started
        reason = " ".join(str(error).split())
        if address is None:
            raise MachineError(f"Ray does not start on this machine ({reason})") from error
        raise InputError(
            f"{option(named, address)}: cannot connect to a Ray cluster there ({reason}); "
            "ray status on that machine tells whether one is running"
        ) from error


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set yet, for this process and those that it starts."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the handlers that Ray replaces when it is imported."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _without_messages() -> Iterator[None]:
    """Drop Ray's messages about lost actors, which it prints to stdout even with logs turned off.

    The pool reports them itself.
    """
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    if before is not None:
        worker.print_to_stdstream = lambda *data, **options: None
    try:
        yield
    finally:
        if before is not None:
            worker.print_to_stdstream = before


@contextmanager
def _silence() -> Iterator[None]:
    """Ignore warnings of Ray about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
