"""The page of a server in a browser, which notes what it says and asks for."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE = 60_000
"""Milliseconds to wait on a busy machine."""

File = dict[str, Any]

BRING = """([how, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  const event = how === "drop"
    ? new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})
    : new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true});
  document.body.dispatchEvent(event);
}"""
"""Drop or paste a file."""


class ServedPage:
    """The page.

    Attributes:
        said: Messages and errors of its console.
        asked: Addresses of its requests.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self) -> ServedPage:
        self.page.goto(self.address)
        self.page.wait_for_selector("#facts:not(:empty), #token:not([hidden])")
        return self

    def choose(self, *files: File) -> None:
        self.page.set_input_files("#files", [*files])

    def bring(self, how: str, file: File) -> None:
        data = base64.b64encode(file["buffer"]).decode()
        self.page.evaluate(BRING, [how, file["name"], file["mimeType"], data])

    def drop(self, path: Path) -> None:
        """Drop a file or folder of the disk."""
        protocol = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            place = {"x": 200, "y": 200, "data": data}
            protocol.send("Input.dispatchDragEvent", {"type": kind, **place})

    def answer(self, path: str, reply: Callable[[Any], dict[str, Any] | None]) -> None:
        """Answer requests in the server's stead; a reply of None leaves them to the server."""

        def handle(route: Any) -> None:
            found = reply(route.request)
            if found is None:
                route.continue_()
            else:
                route.fulfill(**found)

        self.page.route(f"**/{path}", handle)

    def text(self, selector: str) -> str:
        found = self.page.locator(selector)
        found.wait_for()
        return " ".join(str(found.inner_text()).split())

    def verdict(self) -> str:
        """Return the answer for the one image, as soon as it is there."""
        self.page.locator("#one .how, #one .faulty .reason").and_(
            self.page.locator(":not(:empty)")
        ).first.wait_for()
        return self.text("#one .verdict")

    def ranking(self, place: str = "#one") -> list[tuple[str, str]]:
        rows = self.page.locator(f"{place} .class").all_inner_texts()
        return [tuple(row.split("\n")) for row in rows]

    def wait(self, condition: str) -> None:
        """Wait until a condition in JavaScript holds.

        Playwright's own waiting evaluates text in the page, which its policy forbids.
        """
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(30)

    def wait_for_table(self) -> None:
        self.wait(
            "document.querySelector('tbody tr')"
            "&& !document.querySelector('tr.waiting, tr.running')"
            "&& document.querySelector('#running').hidden"
        )

    def download(self, button: str) -> str:
        with self.page.expect_download() as found:
            self.page.click(button)
        return str(found.value.path().read_text("utf-8"))


@contextmanager
def served_page(
    browser: Any, address: str, *, width: int = 820, scheme: str = "light", **options: Any
) -> Iterator[ServedPage]:
    """Give a page that has not been opened."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, **options
    )
    try:
        yield ServedPage(context.new_page(), address)
    finally:
        context.close()


def file(name: str, data: bytes, kind: str = "image/png") -> File:
    return {"name": name, "mimeType": kind, "buffer": data}


def json_reply(value: Any, status: int = 200, **headers: str) -> dict[str, Any]:
    return {
        "status": status,
        "content_type": "application/json",
        "body": json.dumps(value),
        "headers": {key.replace("_", "-"): text for key, text in headers.items()},
    }


def error_reply(status: int, message: str, **headers: str) -> dict[str, Any]:
    error = {"status": status, "code": "test", "message": message}
    return json_reply({"error": error}, status, **headers)


def canned(ranking: dict[str, float], **more: Any) -> dict[str, Any]:
    """Return an answer of /v1/predict for one image of 60x40 pixels."""
    model = {"name": "pets", "net": "A", "version": "0" * 32, "classes": 3, "engine": "torch"}
    ranked = [{"class": k, "title": k, "probability": p} for k, p in ranking.items()]
    image = {"name": None, "width": 60, "height": 40, "ranking": ranked, "boxes": []}
    nothing = dict.fromkeys(("abstained", "reason", "set", "fault"))
    model |= {"precision": "fp32", "calibrated": False}
    return {"model": model, "images": [image | nothing | more], "seconds": 0.01}


def noise(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
