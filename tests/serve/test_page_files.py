"""The files of the server's page fit together, and leave nothing to load from elsewhere."""

from __future__ import annotations

import asyncio
import re
from importlib import resources
from typing import Any

import pytest
from html_page import Page

from verydeep.serve import page as package
from verydeep.serve.page import page_routes


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    """Answers by address."""

    async def answers() -> dict[str, Any]:
        return {route.path: await route.endpoint(None) for route in page_routes()}

    return asyncio.run(answers())


@pytest.fixture(scope="module")
def index(files: dict[str, Any]) -> Page:
    return Page(files["/"].body.decode())


@pytest.fixture(scope="module")
def scripts(files: dict[str, Any]) -> dict[str, str]:
    return {path: one.body.decode() for path, one in files.items() if path.endswith(".js")}


def test_every_file_is_served_under_its_type(files: dict[str, Any]) -> None:
    here = {f"/page/{one.name}" for one in resources.files(package).iterdir() if one.is_file()}
    assert here - set(files) == {"/page/__init__.py"}
    types = {path.rpartition(".")[2]: one.headers["content-type"] for path, one in files.items()}
    assert types == {
        "/": "text/html; charset=utf-8",
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }


def test_the_document_needs_only_files_of_the_server(files: dict[str, Any], index: Page) -> None:
    """And nothing inline, which the policy forbids."""
    assert {f"/{name}" for name in index.references} - {"/docs", "/#content"} <= set(files)
    attributes = {name for _, found in index.elements for name in found}
    assert not {name for name in attributes if name == "style" or name.startswith("on")}
    assert "style" not in index.tags
    assert [found for tag, found in index.elements if tag == "script"] == [
        {"type": "module", "src": "page/page.js"}
    ]


def test_scripts_import_and_find_what_there_is(
    files: dict[str, Any], index: Page, scripts: dict[str, str]
) -> None:
    imports = {name for text in scripts.values() for name in re.findall(r'from "\./(.+?)"', text)}
    assert {f"/page/{name}" for name in imports} | {"/page/page.js"} == set(scripts)
    wanted = {name for text in scripts.values() for name in re.findall(r'byId\("(.+?)"\)', text)}
    ids = [found["id"] for _, found in index.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert wanted <= set(ids)


def test_no_script_or_style_names_another_address(files: dict[str, Any]) -> None:
    """Nor does any make code of text."""
    for path, one in files.items():
        text = one.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.|innerHTML|\beval\(|new Function", text), path
