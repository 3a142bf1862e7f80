"""What is noted is cut, and nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from verydeep.system.group.connections import (
    cut_connections,
    forget_connections,
    noted_connections,
)

Pair = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture(autouse=True)
def nothing_noted() -> Iterator[None]:
    yield
    forget_connections()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Make two ends of a connection, which are closed after the test."""
    with ExitStack() as made:

        def make() -> tuple[socket.socket, socket.socket]:
            ours, theirs = map(made.enter_context, socket.socketpair())
            ours.settimeout(0)
            theirs.settimeout(0)
            return ours, theirs

        yield make


def is_cut(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False


def test_connections_made_within_are_cut(pair: Pair) -> None:
    with noted_connections():
        ours, theirs = pair()
    assert not is_cut(ours)
    cut_connections()
    assert is_cut(ours)
    assert is_cut(theirs)


def test_connections_made_before_and_after_stay(pair: Pair) -> None:
    before, _ = pair()
    with noted_connections():
        pass
    after, _ = pair()
    cut_connections()
    assert not is_cut(before)
    assert not is_cut(after)


def test_what_took_the_place_of_a_closed_connection_stays(pair: Pair) -> None:
    with noted_connections():
        replaced, _ = pair()
        other, _ = pair()
    new, _ = pair()
    os.dup2(new.fileno(), replaced.fileno())
    cut_connections()
    assert not is_cut(new)
    assert is_cut(other)


def test_a_listening_socket_goes_on_to_listen() -> None:
    with noted_connections():
        server = socket.create_server(("127.0.0.1", 0))
    cut_connections()
    with socket.create_connection(server.getsockname()), server:
        server.settimeout(5)
        server.accept()[0].close()


def test_forgotten_connections_stay(pair: Pair) -> None:
    with noted_connections():
        ours, _ = pair()
    forget_connections()
    cut_connections()
    assert not is_cut(ours)
