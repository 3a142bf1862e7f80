"""The report in a browser: no requests, no errors, accessible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_faults import page_faults
from shown import boxed, classified, random_answers, random_boxes, save_picture
from watched_page import watched

from verydeep.run.report import report

pytestmark = pytest.mark.slow
ANIMALS = ("cat", "dog", "a bird of a rather long name, which has to be broken somewhere")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return reports of classifiers with few and many classes, a box regressor and an old run."""
    folder = tmp_path_factory.mktemp("pages")
    names = [f"test/p{number:05}.png" for number in range(60)]
    for number, name in enumerate(names):
        save_picture(folder / name, number, (40, 60) if number % 2 else (90, 30))
    few = random_answers(60, ANIMALS, names)
    many = random_answers(2000, [f"n{k:08}" for k in range(50)])
    runs = {
        "few": classified(folder / "few", folder, few),
        "many": classified(folder / "many", folder, many),
        "boxes": boxed(folder / "boxes", folder, random_boxes(60)),
        "old": classified(folder / "old", folder, few),
    }
    (runs["old"] / "answers.jsonl").unlink()
    return {name: report(run) for name, run in runs.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["few", "many", "boxes", "old"])
def test_a_page_is_whole_quiet_and_accessible(
    pages: dict[str, Path], browser: Any, name: str, scheme: str, width: int
) -> None:
    with watched(browser, pages[name], width=width, scheme=scheme) as shown:
        page = shown.page
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wide = page.evaluate("document.documentElement.scrollWidth")
        broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).length")
        smallest = page.evaluate(
            "Math.min(...[...document.querySelectorAll('.plot text')].map("
            "one => 13 * one.ownerSVGElement.getBoundingClientRect().width / 360))"
        )
        faults = page_faults(page)
    assert [url for url in shown.asked if not url.startswith("data:")] == [pages[name].as_uri()]
    assert shown.said == []
    assert wide <= width
    assert broken == 0
    assert smallest >= 10.5
    assert faults == []


@pytest.mark.parametrize(("media", "width"), [("screen", 1280), ("print", 718)])
def test_no_column_of_the_matrix_is_lost(
    pages: dict[str, Path], browser: Any, media: str, width: int
) -> None:
    """718 pixels are 190 mm: A4 with margins of 1 cm."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.emulate_media(media=media)
    page.goto(pages["many"].as_uri())
    room, side, cells = page.evaluate(
        """() => {
          const table = document.querySelector('.matrix');
          const cells = [...table.querySelectorAll('tbody td, tbody th')];
          return [table.parentElement.clientWidth, table.getBoundingClientRect().width,
                  cells.filter(one => one.scrollWidth > one.clientWidth + 1).length]
        }"""
    )
    page.close()
    assert side <= room + 1
    assert cells == 0


def test_names_of_one_letter_take_no_more_room(browser: Any, tmp_path: Path) -> None:
    answers = random_answers(1500, [str(k) for k in range(10)])
    run = classified(tmp_path / "run", tmp_path, answers)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report(run).as_uri())
    room, side = page.evaluate(
        "(() => { const table = document.querySelector('.matrix');"
        "return [table.parentElement.clientWidth, table.getBoundingClientRect().width] })()"
    )
    page.close()
    assert side <= room


def test_the_keyboard_reaches_the_content_first(pages: dict[str, Path], browser: Any) -> None:
    page = browser.new_page()
    page.goto(pages["few"].as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.close()


def test_the_policy_of_the_page_forbids_what_names_might_smuggle_in(
    pages: dict[str, Path], browser: Any, tmp_path: Path
) -> None:
    text = pages["few"].read_text("utf-8")
    smuggled = '<script>document.title = "run"</script><img src="http://localhost:9/x.png">'
    (tmp_path / "page.html").write_text(text.replace("<main", smuggled + "<main"), "utf-8")
    page, failed = browser.new_page(), []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "few: report"
    assert all("csp" in reason.lower() for reason in failed)
    page.close()
