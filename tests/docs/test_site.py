"""The site builds strictly and without network, fetches nothing, and leaves nothing raw."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from broken_markdown import faults
from markdown_pages import ROOT, documents
from page_faults import COLOUR, page_faults

import verydeep
from verydeep.cli.app import app
from verydeep.recipe.recipe import Recipe, known_keys

pytestmark = pytest.mark.slow

BUILD = """
import runpy, sys
from run_page import refuse_network
sys.addaudithook(refuse_network)
sys.argv = ["mkdocs", "build", "--strict", "--site-dir", sys.argv[1]]
runpy.run_module("mkdocs", run_name="__main__")
"""
FETCHING = {"script", "img", "link", "iframe", "source", "object"}


def build(out: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Build the site strictly, in a process without network."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return subprocess.run(
        [sys.executable, "-c", BUILD, out],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("docs") / "site"
    ended = build(out)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out


def test_faults_end_the_build(tmp_path: Path) -> None:
    for name in ("docs", "mkdocs.yml", "verydeep"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.write("[link](nowhere.md), [anchor](data.md#nowhere), $\\nosuch{x}$\n")
    (tmp_path / "docs" / "how-to" / "orphan.md").write_text("# In no navigation\n")
    ended = build(tmp_path / "site", tmp_path)
    assert ended.returncode != 0
    for fault in ("nowhere.md", "#nowhere", "nosuch", "orphan.md"):
        assert fault in ended.stderr, fault


class Reader(HTMLParser):
    """What a page shows outside of code, what it fetches, and the names of its headings."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.text, self.code, self.fetched, self.ids, self.maths = "", "", [], set(), []
        self.headings: list[str] = []
        self.stack: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("img", "link", "meta", "br", "hr", "input", "source", "path", "wbr"):
            self.stack.append(tag)
        where = values.get("src") or values.get("data") or values.get("href")
        if tag in FETCHING and where and values.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(where)
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "h2":
            self.headings.append("")
        if tag == "math":
            self.maths.append(values["alttext"])

    def handle_endtag(self, tag: str) -> None:
        if tag in self.stack:
            while self.stack.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "h2" in self.stack:
            self.headings[-1] += data.strip()
        if {"code", "pre"} & set(self.stack):
            self.code += data
        elif not {"script", "style"} & set(self.stack):
            self.text += data


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Reader]:
    """Every page of the site by its name, without pages among the results."""
    names = (page.relative_to(site).as_posix() for page in sorted(site.rglob("*.html")))
    return {name: Reader(site / name) for name in names if not name.startswith("results/")}


def test_every_page_of_the_docs_is_there_and_in_the_navigation(
    site: Path, pages: dict[str, Reader]
) -> None:
    written = {page.relative_to(ROOT / "docs") for page in documents()[1:]}
    assert {page.with_suffix(".html").as_posix() for page in written} == set(pages) - {"404.html"}
    home = (site / "index.html").read_text("utf-8")
    for page in written:
        assert f'href="{page.with_suffix(".html").as_posix()}"' in home, page


def test_nothing_is_asked_of_other_hosts(site: Path) -> None:
    for page in site.rglob("*.html"):
        foreign = [where for where in Reader(page).fetched if urlparse(where).netloc]
        assert not foreign, page
    for sheet in site.rglob("*.css"):
        asked = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", sheet.read_text("utf-8"))
        assert not [where for where in asked if where.startswith(("http", "//"))], sheet


def test_scripts_name_only_hosts_that_they_never_ask(site: Path, pages: dict[str, Reader]) -> None:
    """The theme's script knows two services, for diagrams and for the numbers of a forge."""
    hosts = {
        host
        for script in site.rglob("*.js")
        for host in re.findall(r"https://([\w.-]+)", script.read_text("utf-8"))
    }
    comments = {"clipboardjs.com", "bit.ly", "github.com", "developer.mozilla.org"}
    assert hosts <= comments | {"unpkg.com", "api.github.com"}
    for page in pages:
        text = (site / page).read_text("utf-8")
        assert 'class="mermaid"' not in text, page
        assert 'data-md-component="source"' not in text, page


def test_every_public_name_has_its_reference(pages: dict[str, Reader]) -> None:
    ids = {i for name, page in pages.items() if name.startswith("reference/") for i in page.ids}
    missing = [name for name in verydeep.__all__ if f"verydeep.{name}" not in ids]
    assert missing == ["__version__"]


def test_names_that_pages_import_from_inspection_have_a_reference(pages: dict[str, Reader]) -> None:
    named = {
        f"{module}.{name.strip()}"
        for document in documents()
        for module, names in re.findall(
            r"^from (verydeep\.inspection\.\w+) import (.+)$",
            document.read_text("utf-8"),
            re.MULTILINE,
        )
        for name in names.split(",")
    }
    assert "verydeep.inspection.attribution.saliency" in named
    assert named <= pages["reference/inspection.html"].ids


def test_no_two_headings_of_a_reference_are_the_same(pages: dict[str, Reader]) -> None:
    for name, page in pages.items():
        if name.startswith("reference/"):
            assert len(page.headings) == len(set(page.headings)), name


def test_every_key_of_a_recipe_has_its_reference(pages: dict[str, Reader]) -> None:
    page = pages["reference/recipe.html"]
    assert [key for key in known_keys() if key not in page.code] == []
    for section in Recipe().model_dump():
        assert section in page.ids


def test_every_option_of_every_verb_has_its_reference(pages: dict[str, Reader]) -> None:
    import typer

    page = pages["reference/command-line.html"]
    verbs = dict(typer.main.get_command(app).commands)
    for name, verb in [*verbs.items()]:
        if inner := getattr(verb, "commands", None):
            del verbs[name]
            verbs |= {f"{name}-{word}": command for word, command in inner.items()}
    for name, verb in verbs.items():
        assert f"verydeep-{name}" in page.ids
        for parameter in verb.params:
            for option in parameter.opts:
                assert option in page.code, (name, option)


def test_nothing_is_left_raw(pages: dict[str, Reader]) -> None:
    for name, page in pages.items():
        raw = re.findall(
            r":(?:class|func|meth|attr|data|mod|exc):|<autoref|:::|generated:", page.text
        )
        assert not raw, name
        assert not re.findall(r"\\(?:frac|sum|log|exp|text|mathbb)\b|\$\$", page.text), name


def test_nothing_is_left_as_markdown(site: Path, pages: dict[str, Reader]) -> None:
    """Text that the build adds, from docstrings and from the program, is rendered, too."""
    found = {name: faults((site / name).read_text("utf-8")) for name in pages}
    assert {name: said for name, said in found.items() if said} == {}


def test_search_knows_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    assert any("McNemar" in document["text"] for document in index["docs"])
    # Mathematics is found by what it says, not by its markup.
    assert not any("<math" in document["text"] for document in index["docs"])


@pytest.mark.parametrize(
    "word", ["softmax", "pretrained", "ONNX", "fine-tune", "GPU", "vgg16", "logits", "export"]
)
def test_search_finds_what_people_look_for(word: str, site: Path) -> None:
    """The words as the search splits and trims them: the theme's separator, lunr's trimmer."""
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    separator = index["config"]["separator"]

    def words(text: str) -> set[str]:
        plain = re.sub(r"<[^>]*>", " ", text.lower())
        return {re.sub(r"^\W+|\W+$", "", part) for part in re.split(separator, plain)} - {""}

    found = [
        document["location"]
        for document in index["docs"]
        if words(word) <= words(f"{document['title']} {document['text']}")
    ]
    assert any(place.startswith("how-to/questions.html") for place in found)


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where a server on this machine shows the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


SEARCHED = """() => {
  document.querySelector("[data-md-component=search-query]").dispatchEvent(new Event("keyup"));
  return document.querySelector(".md-search-result__link");
}"""
"""A key is let go again and again: on a busy machine the search is not listening yet at first."""


PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 720}
SHARES = 4
"""Parts of the pages, one a test, so that several processes may share them."""


class Visit:
    """What the pages in a tab ask for, and what goes wrong in their scripts."""

    def __init__(self, tab: Any) -> None:
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        tab.on("request", lambda request: self.hosts.add(urlparse(request.url).netloc))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))


@pytest.fixture
def context(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A window of it, which goes with the test: an open page goes on computing."""
    opened = browser.new_context(**getattr(request, "param", {}))
    yield opened
    opened.close()


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize(
    "context",
    [{"color_scheme": scheme} for scheme in ("light", "dark")],
    indirect=True,
    ids=["light", "dark"],
)
def test_every_page_fits_a_phone_and_can_be_read_by_everyone(
    share: int, pages: dict[str, Reader], address: str, context: Any
) -> None:
    """Each page is loaded once a scheme; it asks this host alone."""
    tab = context.new_page()
    visit = Visit(tab)
    light = tab.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
    wide: list[str] = []
    faults = []
    for name in [*pages][share::SHARES]:
        tab.set_viewport_size(DESK)
        tab.goto(address + name)
        found = page_faults(tab, () if light else COLOUR)
        faults += [(name, one) for one in found if one.impact in ("serious", "critical")]
        tab.set_viewport_size(PHONE)  # the other way round, the tabs of a desk would fade in
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(name)
    assert visit.hosts == {urlparse(address).netloc}
    assert (visit.errors, wide, faults) == ([], [], [])


@pytest.mark.parametrize("context", [{"viewport": PHONE}], indirect=True, ids=["phone"])
def test_the_search_asks_this_host_alone(address: str, context: Any) -> None:
    tab = context.new_page()
    visit = Visit(tab)
    tab.goto(address + "index.html")
    tab.fill("input[data-md-component=search-query]", "McNemar", force=True)
    tab.wait_for_function(SEARCHED, polling=500, timeout=120_000)
    assert visit.hosts == {urlparse(address).netloc}
    assert not visit.errors


def test_pages_open_from_the_disk(site: Path, context: Any) -> None:
    tab = context.new_page()
    said: list[str] = []
    failed: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("requestfailed", lambda request: failed.append(request.url))
    tab.goto((site / "index.html").as_uri())
    tab.click("text=Tutorial >> nth=0")
    assert tab.inner_text("h1").startswith("Tutorial")
    tab.keyboard.press("f")  # the theme's key for the search, which needs a server
    tab.wait_for_load_state("networkidle")
    assert not tab.locator("[for=__search]:visible").count()
    assert (said, failed) == ([], [])
    header = "getComputedStyle(document.querySelector('.md-header')).position"
    assert tab.evaluate(header) == "sticky"  # the style sheet was found
