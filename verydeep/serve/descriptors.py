"""File descriptors of the process, of which every open connection takes one."""

from __future__ import annotations

import sys

WANTED = 16_384
"""Number of descriptors that the server asks for, where the system allows so many."""

AT_ONCE = 64
"""Maximum number of connections that are accepted before others are looked at."""

QUEUE = 1024
"""Connections that the system keeps until they are accepted."""

RESERVED = 4 * AT_ONCE + 128
"""Descriptors that are kept free of connections, for files and for those that are being refused.

The event loop learns of a connection two rounds after accepting it, and closes it one round later.
"""

FEWEST = 32
"""Connections that are let in however few descriptors there are."""


def raise_limit() -> None:
    """Raise the number of files that this process may open, where the system allows it.

    Usual is a soft limit of 1,024, which a thousand clients reach. Whoever accepts connections
    without a free descriptor can do nothing but fail, again and again.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """Return the number of connections that may be open at a time."""
    if sys.platform == "win32":
        return WANTED - RESERVED
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WANTED if soft == resource.RLIM_INFINITY else min(WANTED, soft)
    return max(FEWEST, files - RESERVED)
