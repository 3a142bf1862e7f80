"""Start of the service: what is checked before a process begins to listen."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.errors import InputError, MissingExtra, plural
from verydeep.serve.descriptors import raise_limit
from verydeep.serve.settings import PORT, Access, Limits, is_loopback, named_models
from verydeep.system.option_names import option
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.serve.models import ServedModel, Views


def serve_models(
    models: str | Path | Iterable[str | Path],
    *,
    boxes: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = PORT,
    views: Views | None = None,
    compute: Compute | str | None = None,
    limits: Limits | None = None,
    access: Access | None = None,
    decoders: int | None = None,
    watch: str | Path | None = None,
    out: str | Path | None = None,
    progress: ProgressWish = True,
) -> None:
    """Answer HTTP requests with trained models until a signal asks for the end.

    SIGTERM and SIGINT end it: what was accepted is answered, new requests are refused. A second
    signal ends it at once.

    Args:
        models: Models as for :func:`verydeep.run.predict.predict`, each named after its folder or
            file, or as ``NAME=MODEL``. The first answers unless a request names another.
        boxes: Model or run folders of box regressors.
        host: Address to listen at.
        port: Port; 0 takes a free one. The address is logged.
        views: Scales, mirror images and crops.
        compute: Device, precision and engine; a string names the device.
        limits: Limits of requests.
        access: Token, origins and host names.
        decoders: Number of decoding processes; None decides by the cores.
        watch: Folder whose images are named into the table ``out``.
        out: Table for ``watch``: ``.csv`` or ``.parquet``.
        progress: Whether and where lines are logged, such as the address; as for
            :meth:`verydeep.Classifier.predict`.

    Raises:
        InputError: A model or setting cannot be used, or the port is taken.
        MissingExtra: The extra ``serve`` is not installed.
    """
    check_installed()
    share_cores()
    raise_limit()
    from verydeep.serve.models import load_models
    from verydeep.serve.process import Process
    from verydeep.serve.service import Service
    from verydeep.serve.watch import Watched

    log = choose_progress(progress)
    given = [models] if isinstance(models, str | Path) else [*models]
    named = named_models(given)
    if not named:
        raise InputError("name at least one model to serve")
    watched = Watched.of(watch, out)
    access, compute = access or Access(), Compute.of(compute)

    def load() -> list[ServedModel]:
        return load_models(
            named, boxes=[*map(str, boxes)], views=views, compute=compute, progress=log
        )

    held = watched.held() if watched else contextlib.nullcontext()
    with held, contextlib.closing(bind(host, port)) as listener:
        service = Service(load, limits, decoders=decoders, log=log.log)
        address = address_of(listener)
        log.log(f"{address}  (loading {plural(len(named), 'model')})")
        if not is_loopback(host) and access.token is None:
            log.log(
                f"warning: everybody who reaches {address} may ask; require a token with "
                f"{option('token_file')}"
            )
        Process(service, access, listener, log, loopback=is_loopback(host), watched=watched).run()


def check_installed() -> None:
    """Refuse to start where the service cannot run.

    Raises:
        MissingExtra: A package is missing.
        InputError: The system is Windows, whose processes inherit no sockets.
    """
    if sys.platform == "win32":
        raise InputError("the HTTP service does not run on Windows: start it in WSL")
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the HTTP service", "serve") from error


def share_cores() -> None:
    """Let PyTorch's threads sleep while they wait for each other, instead of keeping their core.

    They share the cores with decoding processes and clients. A thread that spins keeps the core
    from the one it waits for: with two cores that were busy otherwise, batches of a small net took
    thirty times as long. It works only before PyTorch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        InputError: There is no such address, or the port is taken or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise InputError(f"{host}: no address to listen at ({error})") from error
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except (OSError, OverflowError) as error:
        bound.close()
        if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise InputError(
                f"{host}: no address of this machine; {option('host', '0.0.0.0')} listens at all"  # noqa: S104 - advice
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"port {port} of {host} cannot be used ({reason}); choose another with "
            f"{option('port')}, 0 for a free one"
        ) from error
    return bound


def address_of(listener: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
