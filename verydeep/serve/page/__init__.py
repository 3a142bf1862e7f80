"""The page at ``/``: plain files for the browser, which loads nothing from elsewhere.

===================  ============================================================================
``index.html``       the document; ``page.css`` adds to the style of every page of the package
``page.js``          start: what the user brings is classified, one image large, many in a table
``inputs.js``        images from a drop, the clipboard and file choosers; ``camera.js``: from the
                     camera
``classifier.js``    the models, and what they say of an image
``labels.js``        the likeliest class of an answer, or the labels of a multi-label model
``server.js``        requests: token, waiting for a busy server, faults; ``token.js``: its form
``shrink.js``        smaller copies of images that exceed the server's limits, thumbnails
``viewer.js``        one image: classes, map, box, abstention; ``detail.js``: those of the table
``batch.js``         many images, a few requests at a time; ``batch_view.js``, ``table.js``,
                     ``download.js``: on the page and as files
``elements.js``      elements and text
===================  ============================================================================
"""

from __future__ import annotations

from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from verydeep.system import pages

MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Media types of the page's files, by their endings."""


def page_routes() -> list[Route]:
    """Return the routes of the page: ``/`` and the files below ``/page/``."""
    package = resources.files(__name__)
    files = [one for one in package.iterdir() if _ending(one.name) in MEDIA_TYPES]
    routes = [_route(f"/page/{one.name}", one.name, one.read_bytes()) for one in files]
    style = resources.files(pages.__name__) / "page.css"
    return [
        _route("/", "index.html", (package / "index.html").read_bytes()),
        _route("/page/base.css", "base.css", style.read_bytes()),
        *routes,
    ]


def _route(address: str, name: str, content: bytes) -> Route:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=MEDIA_TYPES[_ending(name)])

    return Route(address, answer)


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
