"""The process that decodes images for the service: ``python -m … DESCRIPTOR OWNER BYTES``.

It is a fresh process, so that its memory limit counts nothing of the server's models.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from multiprocessing.connection import Connection

from verydeep.serve.decoding import Decoded, Fault, decode_for
from verydeep.system.workers.parent_watch import Owner, end_with
from verydeep.system.workers.transport import can_share, receive, send

STARTED = b"started"
"""First message to the server."""


def limit_memory(most: int) -> None:
    """Limit the address space of this process, and write no memory of it to disk at a crash.

    Args:
        most: Bytes.
    """
    try:
        import resource
    except ImportError:  # there is none on Windows
        return
    with contextlib.suppress(OSError, ValueError):  # a lower limit may be in force
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(connection: Connection) -> None:
    """Say that it has started; then answer one request after another until the server closes."""
    shared = can_share()
    with contextlib.suppress(EOFError, ConnectionError):
        connection.send_bytes(STARTED)
        while True:
            data, plan = receive(connection)
            found: Decoded | Fault = decode_for(bytes(data), plan)
            del data
            try:
                send(connection, found, shared=shared)
            except MemoryError:
                send(connection, Fault("not enough memory to decode it"), shared=False)
            del found


if __name__ == "__main__":
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # sent to the whole group; the server decides
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    end_with(Owner(int(sys.argv[2]), main_thread=False))
    limit_memory(int(sys.argv[3]))
    main(Connection(int(sys.argv[1])))
