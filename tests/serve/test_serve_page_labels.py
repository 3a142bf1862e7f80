"""The page of the server for multi-label models."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from page_faults import page_faults
from PIL import Image
from served_page import File, ServedPage, file, noise, served_page
from serving import as_file, labelled_served, random_served, serving

from verydeep.serve.models import ServedModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(photographs: list[Image.Image]) -> list[File]:
    """A photograph with two labels, and noise with other ones."""
    given = [photographs[0], Image.fromarray(noise(1)), Image.fromarray(noise(2))]
    return [file(f"{k}.png", as_file(one, "PNG")) for k, one in enumerate(given)]


@pytest.fixture(scope="module")
def labelled(photographs: list[Image.Image]) -> ServedModel:
    """A model that gives the photograph the likeliest and the least likely of 7 labels."""
    return labelled_served(photographs[0], [0, 6])


@pytest.fixture(scope="module")
def address(labelled: ServedModel) -> Iterator[str]:
    with serving([labelled, random_served("single")]) as (found, _):
        yield found


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[ServedPage]:
    with served_page(browser, address) as one:
        yield one.open()


def ask(address: str, image: File) -> dict[str, Any]:
    """Return what the server answers for an image, with the titles of its labels."""
    headers = {"Content-Type": "application/octet-stream"}
    url = f"{address}v1/predict?model=labels&top=7"
    with urllib.request.urlopen(urllib.request.Request(url, image["buffer"], headers)) as response:
        (answer,) = json.load(response)["images"]
    titles = {one["class"]: one["title"] for one in answer["ranking"]}
    return dict(answer) | {"titles": [titles[name] for name in answer["labels"]]}


def without_labels(page: ServedPage) -> None:
    """Let the page see answers of the server without their labels."""

    def handle(route: Any) -> None:
        response = route.fetch()
        value = response.json()
        value["images"] = [one | {"labels": []} for one in value["images"]]
        route.fulfill(response=response, json=value)

    page.page.route("**/v1/predict?*", handle)


def test_the_labels_are_the_headline(page: ServedPage, pictures: list[File]) -> None:
    expected = ask(page.address, pictures[0])
    assert len(expected["titles"]) == 2
    page.choose(pictures[0])
    assert page.verdict() == ", ".join(expected["titles"])
    marks = page.page.locator("#one .mark").evaluate_all("all => all.map((one) => one.style.left)")
    shown = [*expected["ranking"][:5], expected["ranking"][6]]  # the seventh is a label
    assert [float(left.removesuffix("%")) for left in marks] == pytest.approx(
        [100 * one["threshold"] for one in shown], abs=0.01
    )
    rows = page.page.locator("#one .class").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == [one["title"] for one in shown]
    strong = page.page.locator("#one .class.label bdi").all_inner_texts()
    assert strong == expected["titles"]
    assert "several labels per image" in page.text("#facts")
    assert page.said == []


def test_no_label_is_said(page: ServedPage, pictures: list[File]) -> None:
    without_labels(page)
    page.choose(pictures[0])
    assert page.verdict() == "none of the classes"
    page.choose(*pictures)
    page.wait_for_table()
    assert page.text("#counts") == "images 3 with labels 0 none of the classes 3 faults 0"
    page.page.select_option("#shown", "unlabelled")
    assert page.page.locator("tbody tr").count() == 3
    (_, *rows) = csv.reader(io.StringIO(page.download("#save-csv")))
    assert [row[-2:] for row in rows] == [["", ""]] * 3
    assert page.said == []


def test_a_table_and_its_files_have_labels(page: ServedPage, pictures: list[File]) -> None:
    page.choose(*pictures, file("broken.png", b"broken"))
    page.wait_for_table()
    expected = {image["name"]: ask(page.address, image) for image in pictures}
    assert page.text("[data-sort=class]") == "Labels"
    rows = {
        row.locator("th").inner_text(): row.locator("td").first.inner_text()
        for row in page.page.locator("tbody tr:not(.fault)").all()
    }
    assert rows == {
        name: ", ".join(answer["titles"]) or "none of the classes"
        for name, answer in expected.items()
    }
    found = list(csv.DictReader(io.StringIO(page.download("#save-csv"))))
    places = [f"{what}_{k}" for k in range(1, 6) for what in ("class", "probability")]
    assert [*found[0]] == ["file", *places, "labels", "fault"]
    assert {row["file"]: row["labels"] for row in found if not row["fault"]} == {
        name: "|".join(answer["titles"]) for name, answer in expected.items()
    }
    saved = json.loads(page.download("#save-json"))["images"]
    assert {one["name"]: one.get("labels") for one in saved} == {
        **{name: answer["labels"] for name, answer in expected.items()},
        "broken.png": None,
    }
    page.page.select_option("#models", "single")
    page.page.click("#classify-again")
    page.wait_for_table()
    assert page.text("[data-sort=class]") == "Most likely class"
    assert page.said == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 390), ("dark", 390), ("light", 1440), ("dark", 820)]
)
def test_the_page_is_whole_and_accessible(
    browser: Any, address: str, pictures: list[File], scheme: str, width: int
) -> None:
    with served_page(browser, address, width=width, scheme=scheme) as shown:
        page = shown.open().page
        found: dict[str, Any] = {}

        def look(state: str) -> None:
            wide = page.evaluate("document.documentElement.scrollWidth")
            found[state] = (wide, page_faults(page))

        shown.choose(pictures[0])
        shown.verdict()
        look("labels")
        without_labels(shown)
        shown.choose(*pictures)
        shown.wait_for_table()
        look("table")
        page.locator("tbody button").nth(1).click()
        look("no label")
    assert found == {state: (width, []) for state in ("labels", "table", "no label")}
