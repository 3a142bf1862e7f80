"""Routes of the service: from a request to an answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from verydeep.serve.answers import StateAnswer
from verydeep.serve.explaining import ExplainWish, explain
from verydeep.serve.metrics import CONTENT_TYPE
from verydeep.serve.openapi import document, documentation_page
from verydeep.serve.page import page_routes
from verydeep.serve.problems import Problem
from verydeep.serve.security import Guard, cors_headers
from verydeep.serve.service import Service, fault_of_server
from verydeep.serve.settings import Access
from verydeep.serve.uploads import only_one, read_uploads
from verydeep.serve.watch import Watched, Watcher

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

MOST_TOP = 1000
"""Maximum number of classes in a ranking."""

GONE = 499
"""Status in the counters of requests whose client has gone."""


def build_app(
    service: Service,
    access: Access | None = None,
    *,
    loopback: bool = True,
    on_loaded: Callable[[BaseException | None], object] = lambda error: None,
    watched: Watched | None = None,
) -> Starlette:
    """Return the application.

    Its start-up begins to load the models and does not wait for them.

    Args:
        service: What answers.
        access: Who may ask.
        loopback: Whether the server is reached from this machine only.
        on_loaded: Called once the models are loaded, or with the error if they cannot be.
        watched: Folder whose images are named, too.
    """
    access = access or Access()
    routes = Routes(service)

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(_run(service, on_loaded, watched))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.to_thread(service.close)

    middleware = [Middleware(Guard, access=access, loopback=loopback)]
    if access.allow_origins:
        cors: dict[str, Any] = cors_headers(access.allow_origins)
        middleware.insert(0, Middleware(CORSMiddleware, **cors))
    return Starlette(
        routes=[
            Mount("/v1", routes=routes.versioned()),
            Route("/healthz", routes.healthz),
            Route("/readyz", routes.readyz),
            Route("/metrics", routes.metrics),
            Route("/openapi.json", routes.openapi),
            Route("/docs", routes.documentation),
            *page_routes(),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _refuse, Exception: _apologize},
        lifespan=life,
    )


async def _run(
    service: Service,
    on_loaded: Callable[[BaseException | None], object],
    watched: Watched | None,
) -> None:
    """Load the models, and then watch the folder until the end."""
    try:
        await service.start()
        watcher = Watcher(watched, service) if watched else None
    except Exception as error:
        on_loaded(error)
        return
    on_loaded(None)
    if watcher:
        try:
            await watcher.run()
        except Exception as error:
            service.log("".join(traceback.format_exception(error)))


class Routes:
    """Handlers of the addresses.

    Args:
        service: What answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def versioned(self) -> list[Route]:
        """Return the routes below /v1."""
        return [
            Route("/predict", self.counted("predict", self.predict), methods=["POST"]),
            Route("/explain", self.counted("explain", self.explain), methods=["POST"]),
            Route("/models", self.counted("models", self.models)),
            Route("/models/{name}", self.counted("model", self.model)),
        ]

    def counted(self, route: str, handler: Handler) -> Handler:
        """Return a handler that counts its requests, and answers problems as JSON."""
        metrics = self.service.metrics

        async def handle(request: Request) -> Response:
            started = time.monotonic()
            try:
                response = await handler(request)
            except Problem as problem:
                response = problem.response()
            except ClientDisconnect:
                response = Response(status_code=GONE)
            metrics.requests.labels(route, str(response.status_code)).inc()
            metrics.seconds.labels(route).observe(time.monotonic() - started)
            return response

        return handle

    async def predict(self, request: Request) -> Response:
        """Answer /v1/predict."""
        served = self.service.find(request.query_params.get("model"))
        top = whole_number(request, "top", default=5, most=MOST_TOP)
        with self.service.admission.request() as place:
            uploads = await read_uploads(request, place)
            work = self.service.predict(served, uploads, top)
            return _json(await self._in_time(request, work, place.deadline))

    async def explain(self, request: Request) -> Response:
        """Answer /v1/explain."""
        served = self.service.find(request.query_params.get("model"))
        wish = ExplainWish.of(request.query_params)
        with self.service.admission.request() as place:
            upload = only_one(await read_uploads(request, place))
            work = explain(self.service, served, upload, wish)
            drawn = await self._in_time(request, work, place.deadline)
        return Response(drawn.png, media_type="image/png", headers=drawn.headers)

    async def models(self, request: Request) -> Response:
        """Answer /v1/models."""
        return _json(self.service.describe())

    async def model(self, request: Request) -> Response:
        """Answer /v1/models/NAME."""
        return _json(self.service.find(request.path_params["name"]).with_classes())

    async def healthz(self, request: Request) -> Response:
        """Answer /healthz: the process runs."""
        return _json(StateAnswer(state="ok"))

    async def readyz(self, request: Request) -> Response:
        """Answer /readyz: whether the models are loaded and the server is not stopping."""
        state = self.service.state
        return _json(StateAnswer(state=state), 200 if state == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        """Answer /metrics."""
        return Response(self.service.metrics.text(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Answer /openapi.json."""
        return JSONResponse(document())

    async def documentation(self, request: Request) -> Response:
        """Answer /docs: the same for people."""
        return documentation_page()

    async def _in_time(self, request: Request, work: Coroutine[Any, Any, T], deadline: float) -> T:
        """Return the result of work, which ends with the time or with the client.

        Raises:
            Problem: The time is over, or the server is at fault.
            ClientDisconnect: The client has gone.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await _unless_gone(request, work)
        except TimeoutError:
            limit = self.service.limits.max_seconds
            raise Problem(
                504, "too-late", f"the answer was not ready within {limit:g} s: send fewer images"
            ) from None
        except (Problem, ClientDisconnect):
            raise
        except Exception as error:
            self.service.log("".join(traceback.format_exception(error)))
            raise fault_of_server(error) from error


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work, and give it up as soon as the client has gone.

    Raises:
        ClientDisconnect: The client has gone.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def whole_number(request: Request, name: str, *, default: int, most: int) -> int:
    """Return a parameter of the query.

    Raises:
        Problem: It is not a whole number from 1 to ``most``.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Problem(
            422,
            "bad-parameter",
            f"{name} must be a number from 1 to {most}, got {text[:32]!r}",
        )
    return int(text)


def _json(value: BaseModel, status: int = 200) -> Response:
    return Response(value.model_dump_json(by_alias=True), status, media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer as JSON what Starlette refuses: unknown addresses and methods."""
    assert isinstance(error, HTTPException)
    allowed = dict(error.headers or {}).get("Allow", "")
    code, message = {
        404: ("no-such-address", "there is no such address; /docs lists them"),
        405: ("wrong-method", f"{request.method} is not for this address, which takes {allowed}"),
    }.get(error.status_code, ("refused", str(error.detail)))
    response = Problem(error.status_code, code, message).response()
    response.headers.update(error.headers or {})
    return response


async def _apologize(request: Request, error: Exception) -> Response:
    return fault_of_server(error).response()
