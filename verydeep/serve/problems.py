"""Refusals of requests: a status, a code for programs and a message for people."""

from __future__ import annotations

from starlette.responses import JSONResponse


class Problem(Exception):
    """A request that is not answered as wished.

    Args:
        status: HTTP status.
        code: Word for programs; see :data:`CODES`.
        message: What is wrong, the limit or rule, and the value found.
        retry_after: Seconds after which the client may ask again.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        """Return the answer to the client."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        error = {"status": self.status, "code": self.code, "message": self.message}
        return JSONResponse({"error": error}, self.status, headers)


CODES = {
    400: "The body cannot be parsed.",
    401: "The token is missing or wrong.",
    403: "Another web page asks, whose origin is not allowed.",
    404: "There is no such address or model.",
    405: "The address does not take this method.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes.",
    421: "The server is not addressed under this name.",
    422: "A parameter is out of range, or there are no or too many images.",
    429: "Too many images wait; ask again after the seconds in Retry-After.",
    500: "The server is at fault.",
    501: "The model cannot do this.",
    503: "The models are being loaded, the server is stopping, or it has too many connections.",
    504: "The answer was not ready in time.",
}
"""Meaning of each status of a refusal."""
