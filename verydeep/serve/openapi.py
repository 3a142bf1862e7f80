"""The service as an OpenAPI document, and as a page for people.

The types of the answers are those of :mod:`verydeep.serve.answers`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse

from verydeep.serve.answers import (
    ErrorAnswer,
    ModelsAnswer,
    NamedModel,
    PredictAnswer,
    StateAnswer,
)
from verydeep.serve.problems import CODES
from verydeep.serve.security import POLICY
from verydeep.system.pages import render
from verydeep.system.version import __version__

_TYPES = (PredictAnswer, ModelsAnswer, NamedModel, ErrorAnswer, StateAnswer)

_DESCRIPTION = (
    "Names what is on images. Images are computed in memory; none is stored, and none is logged. "
    'Refusals are JSON: {"error": {"status", "code", "message"}}.'
)


def _parameter(
    name: str, text: str, schema: dict[str, Any], where: str = "query"
) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": text,
        "schema": schema,
    }


_MODEL = _parameter("model", "Name of the model; default: the first.", {"type": "string"})
_TOP = _parameter(
    "top",
    "Number of classes in each ranking; of a model with boxes, at most 20 are ranked.",
    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5},
)
_NAME = _parameter("name", "File name, for an image that is the whole body.", {"type": "string"})
_EXPLAIN = (
    _parameter(
        "show",
        "overlay: Grad-CAM over the image, with the box if the model has boxes; map: Grad-CAM "
        "alone, transparent where it is low, in the image's shape; boxes: the image with boxes.",
        {"type": "string", "enum": ["overlay", "map", "boxes"], "default": "overlay"},
    ),
    _parameter(
        "class",
        "Class to explain; default: the likeliest, or the labels that a multi-label model gives.",
        {"type": "string"},
    ),
    _parameter("layer", "Convolution to explain; default: the last.", {"type": "string"}),
    _parameter(
        "top",
        "Number of classes whose boxes are drawn, unless a class is named.",
        {"type": "integer", "minimum": 1, "maximum": 5, "default": 1},
    ),
)

_FILE = {"type": "string", "format": "binary"}
_ENTRY = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "name": {"type": "string", "description": "File name."},
        "data": {"type": "string", "format": "byte", "description": "The file in base64."},
    },
}


def _body(*, several: bool) -> dict[str, Any]:
    """Return the three forms of a body."""
    files = {"type": "array", "items": _FILE} if several else _FILE
    entries = {"type": "array", "items": {"anyOf": [_ENTRY, {"type": "string"}]}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": files}},
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {"images": entries},
                },
            },
            "image/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
        },
    }


def _operation(
    summary: str,
    answer: str | None,
    *statuses: int,
    parameters: tuple[dict[str, Any], ...] = (),
    body: dict[str, Any] | None = None,
    media: str = "application/json",
    token: bool = True,
) -> dict[str, Any]:
    """Return an operation with its answer and its refusals."""
    schema = {"$ref": f"#/components/schemas/{answer}"} if answer else {"type": "string"}
    if media == "image/png":
        schema = _FILE
    refusals = {
        str(status): {
            "description": CODES[status],
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
            },
        }
        for status in sorted(statuses)
    }
    return {
        "summary": summary,
        **({"parameters": list(parameters)} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {
            "200": {"description": "The answer.", "content": {media: {"schema": schema}}},
            **refusals,
        },
        "security": [{}, {"token": []}] if token else [{}],
    }


_ASKING = (400, 401, 403, 404, 408, 413, 421, 422, 429, 500, 503, 504)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    _, schemas = models_json_schema(
        [(one, "serialization") for one in _TYPES], ref_template="#/components/schemas/{model}"
    )
    text = "text/plain"
    return {
        "openapi": "3.1.0",
        "info": {"title": "verydeep serve", "version": __version__, "description": _DESCRIPTION},
        "paths": {
            "/v1/predict": {
                "post": _operation(
                    "Name what is on one image or several.",
                    "PredictAnswer",
                    *_ASKING,
                    parameters=(_MODEL, _TOP, _NAME),
                    body=_body(several=True),
                )
            },
            "/v1/explain": {
                "post": _operation(
                    "Draw where the net looked, and its boxes, as PNG.",
                    None,
                    *_ASKING,
                    501,
                    parameters=(_MODEL, *_EXPLAIN),
                    body=_body(several=False),
                    media="image/png",
                )
            },
            "/v1/models": {
                "get": _operation("List the models and limits.", "ModelsAnswer", 401, 503)
            },
            "/v1/models/{name}": {
                "get": _operation(
                    "Describe a model with its classes.",
                    "NamedModel",
                    401,
                    404,
                    503,
                    parameters=(_parameter("name", "Its name.", {"type": "string"}, "path"),),
                )
            },
            "/healthz": {"get": _operation("Tell that it runs.", "StateAnswer", token=False)},
            "/readyz": {
                "get": _operation(
                    "Tell whether it answers; 503 while it loads or stops.",
                    "StateAnswer",
                    token=False,
                )
            },
            "/metrics": {"get": _operation("Counters for Prometheus.", None, 401, media=text)},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def documentation_page() -> HTMLResponse:
    """Return the document as a page that loads nothing."""
    text = render("verydeep.serve", "documentation.html", api=document())
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(one.encode()).digest()) for one in styles)
    allowed = " ".join(f"'sha256-{one.decode()}'" for one in digests)
    policy = POLICY.replace("style-src 'self'", f"style-src 'self' {allowed}")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
