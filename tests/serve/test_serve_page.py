"""The page of the server in a browser: what people bring is answered as ``/v1/predict`` does."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_faults import page_faults
from PIL import Image
from served_page import (
    File,
    ServedPage,
    canned,
    error_reply,
    file,
    json_reply,
    noise,
    served_page,
)
from serving import random_served, serving
from tiny import plant

from verydeep.system.csv_text import csv_text, digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a server with two models."""
    models = [random_served("pets", num_classes=5), random_served("others", num_classes=3)]
    with serving(models) as (found, _):
        yield found


@pytest.fixture(scope="module")
def images() -> list[File]:
    """Images, one of which is broken; their names are hostile."""
    names = ["a.png", "<img src=x onerror=alert(1)>.png", '=1+1,"b".png', "ü 10.png", "ü 9.png"]
    good = [file(name, png(noise(k))) for k, name in enumerate(names)]
    return [*good, file("broken.jpg", b"\xff\xd8\xff broken", "image/jpeg")]


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[ServedPage]:
    with served_page(browser, address) as one:
        yield one


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def ask(address: str, image: File, model: str) -> dict[str, Any]:
    """Return what the server answers for an image, without the page."""
    url = f"{address}v1/predict?model={model}"
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, image["buffer"], headers)
    with urllib.request.urlopen(request) as response:
        (answer,) = json.load(response)["images"]
    return dict(answer)


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


@pytest.mark.parametrize("how", ["choose", "drop", "paste"])
def test_one_image_is_answered_as_by_the_server(
    page: ServedPage, images: list[File], how: str
) -> None:
    page.open()
    if how == "choose":
        page.choose(images[0])
    else:
        page.bring(how, images[0])
    verdict = page.verdict()
    expected = ask(page.address, images[0], "pets")["ranking"]
    assert page.ranking() == [(one["title"], percent(one["probability"])) for one in expected]
    assert verdict == " ".join(page.ranking()[0])
    assert page.said == []
    assert all(url.startswith((page.address, "blob:")) for url in page.asked)


@pytest.mark.parametrize("how", ["choose", "drop"])
def test_the_images_of_a_folder_go_to_the_table(page: ServedPage, tmp_path: Path, how: str) -> None:
    """A real drop, by the browser's own protocol."""
    folder = tmp_path / "pets"
    plant(folder, "b/2.png", "b/10.png", "a.png", "notes.txt")
    for place in folder.rglob("*.png"):
        place.write_bytes(png(noise(0)))
    page.open()
    if how == "choose":
        page.page.set_input_files("#folder", folder)
    else:
        page.drop(folder)
    page.wait_for_table()
    names = page.page.locator("tbody th").all_inner_texts()
    assert names == ["pets/a.png", "pets/b/2.png", "pets/b/10.png"]
    assert page.text("#status") == "1 file of the folder left out: no images."


def test_text_that_is_dropped_is_no_image(page: ServedPage) -> None:
    page.open()
    page.page.evaluate(
        "() => { const transfer = new DataTransfer(); transfer.setData('text/plain', 'a');"
        "const event = new DragEvent('drop', {dataTransfer: transfer, bubbles: true});"
        "document.body.dispatchEvent(event); }"
    )
    assert page.text("#alert").startswith("That was no file.")


def test_a_photograph_of_the_camera_is_classified(page: ServedPage) -> None:
    page.open()
    page.page.click("#camera")
    page.wait("document.querySelector('#video').videoWidth > 0")
    page.page.click("#take")
    assert re.fullmatch(r".* \d+\.\d %", page.verdict())
    assert page.page.locator("#live").is_hidden()
    assert page.page.evaluate("document.querySelector('#video').srcObject") is None
    assert page.said == []


def test_another_model_answers_when_it_is_chosen(page: ServedPage, images: list[File]) -> None:
    page.open()
    page.choose(images[0])
    page.verdict()
    page.page.select_option("#models", "others")
    page.wait("document.querySelector('#one .how').textContent.endsWith('others')")
    expected = ask(page.address, images[0], "others")["ranking"]
    assert page.ranking() == [(one["title"], percent(one["probability"])) for one in expected]
    page.page.click("#class-names summary")
    page.page.wait_for_selector("#names li")
    assert sorted(page.page.locator("#names li").all_inner_texts()) == sorted(
        one["title"] for one in expected
    )


def test_the_map_of_a_class_lies_over_the_image(page: ServedPage, images: list[File]) -> None:
    page.open()
    page.choose(images[0])
    page.verdict()
    page.page.check("#one .map-switch input")
    page.page.wait_for_selector("#one .map[src]")
    second = page.ranking()[1][0]
    page.page.locator("#one .class").nth(1).click()
    page.page.wait_for_selector(f"#one .map[alt$='{second}']")
    page.page.fill("#one .opacity input", "40")
    shape, opacity = page.page.evaluate(
        "(() => { const map = document.querySelector('#one .map');"
        "return [[map.naturalWidth, map.naturalHeight], map.style.opacity]; })()"
    )
    assert shape == [60, 40]
    assert opacity == "0.4"
    assert page.page.locator("#one .class").nth(1).get_attribute("aria-pressed") == "true"
    page.page.uncheck("#one .map-switch input")
    assert page.page.locator("#one .map").is_hidden()
    assert page.said == []


def test_a_table_and_its_files_say_what_the_server_says(
    page: ServedPage, images: list[File]
) -> None:
    page.open()
    page.choose(*images)
    page.wait_for_table()
    expected = {image["name"]: ask(page.address, image, "pets") for image in images}
    rows = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in page.page.locator("tbody tr").all()
    }
    assert list(rows)[-2:] == ["ü 9.png", "ü 10.png"]
    assert rows.pop("broken.jpg") == [capital(expected["broken.jpg"]["fault"])]
    assert rows == {
        name: [answer["ranking"][0]["title"], percent(answer["ranking"][0]["probability"])]
        for name, answer in expected.items()
        if not answer["fault"]
    }
    saved = json.loads(page.download("#save-json"))
    assert {one["name"]: one | {"name": None} for one in saved["images"]} == expected
    assert saved["model"]["name"] == "pets"
    cells = list(csv.reader(io.StringIO(page.download("#save-csv"))))
    assert {row[0].removeprefix("'"): float(row[2]) for row in cells[1:] if row[2]} == {
        name: answer["ranking"][0]["probability"]
        for name, answer in expected.items()
        if not answer["fault"]
    }
    assert page.said == []


def test_csv_files_are_written_as_everywhere_in_the_package(page: ServedPage) -> None:
    """With names that a spreadsheet might evaluate, quotes and line breaks."""
    names = [
        "=1",
        "-1",
        "a,b",
        'say "x"',
        "two\nlines",
        "'@x",
        "'tis",
        " +1",
        "＝1",
        "plain",
        "\tx",
    ]
    ranking = {name: 0.9 / 2**k for k, name in enumerate(names)}
    box = [1.5, 2, 30, 40]
    (image,) = canned(ranking, set=names[:2], boxes=[{"class": "=1", "box": box}])["images"]
    items = [{"name": name, "image": image, "fault": None} for name in names]
    items.append({"name": "-x.png", "image": None, "fault": "=broken"})
    page.open()
    found = page.page.evaluate(
        "async (items) => (await import('./page/download.js')).csv(items)", items
    )
    ranked = [
        cell
        for k, (name, p) in enumerate(ranking.items())
        for cell in (name, digits(p, ""), *(box if k == 0 else [None] * 4))
    ]
    head = [
        f"{what}_{k + 1}"
        for k in range(11)
        for what in ("class", "probability", *["x0", "y0", "x1", "y1"])
    ]
    expected = [["file", *head, "abstained", "reason", "set", "fault"]]
    expected += [[name, *ranked, None, None, "|".join(names[:2]), None] for name in names]
    expected += [["-x.png", *[None] * 69, "=broken"]]
    assert list(csv.reader(io.StringIO(found))) == list(csv.reader(io.StringIO(csv_text(expected))))


def test_names_are_text(page: ServedPage, images: list[File]) -> None:
    hostile = "<b>bold</b><script>document.title='run'</script>"
    page.answer("v1/predict?*", lambda request: json_reply(canned({hostile: 0.7, "b": 0.3})))
    page.open()
    page.choose(images[1])
    assert page.verdict() == f"{hostile} 70.0 %"
    assert page.text("#one .name") == images[1]["name"]
    assert page.page.title() == "Classify images"
    assert page.page.locator("#one b, #one script").count() == 0


def test_a_model_that_abstains_says_that_it_does_not_know(
    page: ServedPage, images: list[File]
) -> None:
    reason = "the probability 40 % is below the threshold 55 %"
    known = {"set": ["cat", "dog"], "coverage": 90}
    answer = canned({"cat": 0.4, "dog": 0.35}, abstained=True, reason=reason, **known)
    page.answer("v1/predict?*", lambda request: json_reply(answer))
    page.open()
    page.choose(images[0])
    assert page.verdict() == "I don’t know"
    assert "Set of classes with 90 % coverage, if the image is of one" in page.text("#one .set")
    assert page.text("#one .reason") == capital(reason)
    assert page.page.locator("#one .chip").all_inner_texts() == ["cat", "dog"]
    page.choose(*images[:2])  # an empty table begins
    page.wait_for_table()
    assert page.page.locator("tr.abstained .badge").all_inner_texts() == ["I don’t know"] * 2
    assert page.text("#counts") == "images 2 answered 0 “I don’t know” 2 faults 0"
    page.page.select_option("#shown", "answered")
    assert page.page.locator("tbody tr:visible").count() == 0
    (_, *rows) = csv.DictReader(io.StringIO(page.download("#save-csv")))
    assert [(row["abstained"], row["reason"], row["set"]) for row in rows] == [
        ("yes", reason, "cat|dog")
    ]


def test_boxes_lie_where_the_server_says(page: ServedPage, images: list[File]) -> None:
    boxes = [{"class": "cat", "box": [15, 10, 45, 30]}, {"class": "dog", "box": [0, 0, 30, 40]}]
    page.answer(
        "v1/predict?*", lambda request: json_reply(canned({"cat": 0.6, "dog": 0.4}, boxes=boxes))
    )
    page.open()
    page.choose(images[0])
    page.verdict()

    def place() -> list[float]:
        box = page.page.locator("#one .box").bounding_box()
        frame = page.page.locator("#one .photo").bounding_box()
        return [
            (box["x"] - frame["x"]) / frame["width"],
            (box["y"] - frame["y"]) / frame["height"],
            box["width"] / frame["width"],
            box["height"] / frame["height"],
        ]

    assert place() == pytest.approx([0.25, 0.25, 0.5, 0.5], abs=0.01)
    page.page.locator("#one .class").nth(1).click()
    assert place() == pytest.approx([0, 0, 0.5, 1], abs=0.01)
    page.page.uncheck("#one .box-switch input")
    assert page.page.locator("#one .box").count() == 0


def test_a_busy_server_is_asked_again_when_it_says_so(page: ServedPage, images: list[File]) -> None:
    tries: list[str] = []

    def reply(request: Any) -> dict[str, Any] | None:
        tries.append(request.url)
        busy = error_reply(429, "too many images wait", Retry_After="1")
        return busy if len(tries) <= 5 else None

    page.answer("v1/predict?*", reply)
    page.open()
    page.choose(*images)
    page.wait("document.querySelector('#pace').textContent.includes('busy')")
    assert page.text("#pace").endswith("the server is busy and asked again in 1 s")
    page.wait_for_table()
    assert len(tries) == 5 + len(images)
    assert page.page.locator("tr.answered").count() == len(images) - 1


def test_the_page_waits_for_a_server_that_loads_its_models(page: ServedPage) -> None:
    tries = 0

    def reply(request: Any) -> dict[str, Any] | None:
        nonlocal tries
        tries += 1
        error = {"error": {"status": 503, "code": "loading", "message": "it loads"}}
        return json_reply(error, 503, Retry_After="0") if tries <= 12 else None

    page.answer("v1/models", reply)
    page.page.goto(page.address)
    assert page.text("#status") == "The server is loading its models …"
    page.page.wait_for_selector("#facts:not(:empty)")
    assert page.page.locator("#status").inner_text() == ""


def test_an_image_that_is_replaced_is_no_longer_asked_for(
    page: ServedPage, images: list[File]
) -> None:
    held: list[bytes] = []
    given_up: list[bytes] = []

    def hold_first(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route.request.post_data_buffer)

    page.page.route("**/v1/predict?*", hold_first)
    page.page.on("requestfailed", lambda request: given_up.append(request.post_data_buffer))
    page.open()
    with page.page.expect_request("**/v1/predict?*"):
        page.choose(images[0])
    page.choose(images[3])
    assert page.verdict()
    assert page.text("#one .name") == images[3]["name"]
    assert given_up == held == [images[0]["buffer"]]


def test_the_wait_is_what_the_header_says(page: ServedPage) -> None:
    page.open()
    found = page.page.evaluate(
        "async () => { const {retryAfter} = await import('./page/server.js');"
        "const date = new Date(Date.now() + 5000).toUTCString();"
        "return [retryAfter('3'), retryAfter(null), retryAfter('soon'), retryAfter(date)]; }"
    )
    assert found[:3] == [3, 1, 1]
    assert 3 < found[3] <= 5


def test_the_token_is_asked_for_and_kept_for_the_tab(page: ServedPage, images: list[File]) -> None:
    token = "a-token-of-this-server"

    def reply(request: Any) -> dict[str, Any] | None:
        given = request.headers.get("authorization")
        return None if given == f"Bearer {token}" else error_reply(401, "a token is needed")

    page.answer("v1/**", reply)
    page.open()
    secret = page.page.locator("#secret")
    assert page.page.evaluate("document.activeElement.id") == "secret"
    secret.fill("another")
    secret.press("Enter")
    page.wait("document.querySelector('#token-fault').textContent")
    assert page.text("#token-fault") == "The server refuses this token."
    secret.fill(token)
    secret.press("Enter")
    page.choose(images[0])
    assert page.verdict()
    assert page.page.locator("#token").is_hidden()
    page.open()
    assert page.page.locator("#token").is_hidden()
    page.page.click("#forget")
    page.page.reload()
    page.page.wait_for_selector("#token:not([hidden])")
    assert page.page.evaluate("localStorage.length + document.cookie.length") == 0


def test_images_beyond_the_limits_are_made_smaller_and_it_is_said(page: ServedPage) -> None:
    limits = {"max_pixels": 10_000, "max_bytes": 8_000, "max_images": 4, "max_seconds": 9}
    sent: list[bytes] = []

    def models(request: Any) -> dict[str, Any]:
        with urllib.request.urlopen(request.url) as response:
            return json_reply(json.load(response) | {"limits": limits})

    def predict(request: Any) -> None:
        sent.append(request.post_data_buffer)

    page.answer("v1/models", models)
    page.answer("v1/predict?*", predict)
    page.open()
    page.choose(file("large.png", png(noise(0, 300, 200))))
    page.verdict()
    with Image.open(io.BytesIO(sent[0])) as image:
        size = image.size
    assert len(sent[0]) <= 8_000
    assert size[0] * size[1] <= 10_000
    assert size[0] / size[1] == pytest.approx(2 / 3, abs=0.02)
    assert page.text("#one .note") == (
        f"Made smaller before it was sent, from 200×300 to {size[0]}×{size[1]} pixels: "
        "the server takes at most 10,000 pixels."
    )
    page.choose(file("small.png", png(noise(0, 20, 20))))
    page.wait("document.querySelector('#one .name').textContent === 'small.png'")
    page.verdict()
    assert page.page.locator("#one .note").inner_text() == ""
    assert sent[1] == png(noise(0, 20, 20))
    page.choose(file("large.txt", b"x" * 9_000, "text/plain"))
    page.page.wait_for_selector("#one .faulty .reason")
    assert page.text("#one .reason").startswith("Too large: the server takes at most 0.01 MB")
    assert len(sent) == 2


def test_an_image_that_only_the_server_can_read_is_shown_as_its_overlay(page: ServedPage) -> None:
    page.open()
    page.choose(file("scan.tif", png(noise(1), "TIFF"), "image/tiff"))
    assert re.search(r"\d %", page.verdict())
    assert page.text("#one .unseen").startswith("This browser cannot show images of this kind")
    page.page.check("#one .map-switch input")
    page.page.wait_for_selector("#one .map[src]")
    assert page.page.locator("#one .map").evaluate("one => one.naturalWidth") == 60


def test_a_batch_stops_when_the_server_is_gone_and_goes_on_later(
    page: ServedPage, images: list[File]
) -> None:
    gone = True
    page.page.route("**/v1/predict?*", lambda route: route.abort() if gone else route.continue_())
    page.open()
    page.choose(*images)
    page.page.wait_for_selector("#rest:not([hidden])")
    assert page.text("#alert") == "The server cannot be reached."
    assert page.text("#rest-text") == "6 images left."
    gone = False
    page.page.click("#go-on")
    page.wait_for_table()
    assert page.text("#counts") == "images 6 answered 5 faults 1"


def test_a_batch_can_be_stopped_and_a_fault_tried_again(
    page: ServedPage, images: list[File]
) -> None:
    tries = 0

    def reply(request: Any) -> dict[str, Any] | None:
        nonlocal tries
        tries += 1
        return error_reply(504, "the answer was not ready in time") if tries == 1 else None

    page.answer("v1/predict?*", reply)
    page.open()
    page.choose(*images[:5])
    page.wait_for_table()
    assert page.text("tr.fault td") == "The answer was not ready in time"
    page.page.click("#retry")
    page.wait("document.querySelectorAll('tr.answered').length === 5")
    page.answer("v1/predict?*", lambda request: error_reply(429, "busy", Retry_After="60"))
    page.choose(*images[:5])
    page.page.wait_for_selector("tr.running")
    page.page.click("#stop")
    assert page.text("#rest-text") == "5 images left."
    assert page.page.locator("tr.running").count() == 0
    page.page.click("#clear")
    assert page.page.locator("tbody tr").count() == 0


def test_a_long_table_is_shown_in_parts(page: ServedPage) -> None:
    answer = json_reply(canned({"cat": 0.6, "dog": 0.4}))
    unsure = json_reply(canned({"cat": 0.4, "dog": 0.3}, abstained=True, reason="unlike"))
    large = png(noise(0, 99, 99))

    def reply(request: Any) -> dict[str, Any]:
        return unsure if request.post_data_buffer == large else answer

    page.answer("v1/predict?*", reply)
    page.open()
    small = png(noise(0, 2, 2))
    page.choose(*[file(f"{k}.png", large if k == 107 else small) for k in range(110)])
    page.wait_for_table()
    first = page.page.locator("tbody th")
    assert first.all_inner_texts() == [f"{k}.png" for k in range(100)]
    assert page.text("#part") == "1–100 of 110"
    page.page.click("#later")
    assert first.all_inner_texts() == [f"{k}.png" for k in range(100, 110)]
    assert page.page.locator("#later").is_disabled()
    page.page.locator("tbody button").first.click()
    page.page.click("#previous")
    assert page.text("#detail .name") == "99.png"
    assert page.text("#place") == "100 of 110"
    page.page.click("#close-detail")
    page.page.select_option("#shown", "abstained")
    assert first.all_inner_texts() == ["107.png"]
    assert len(page.download("#save-csv").splitlines()) == 111


def test_the_table_is_used_by_the_keyboard(page: ServedPage, images: list[File]) -> None:
    page.open()
    page.choose(*images)
    page.wait_for_table()
    page.page.focus("[data-sort=probability]")
    page.page.keyboard.press("Enter")
    assert page.page.locator("th[aria-sort=ascending]").inner_text().startswith("Probability")
    shown = page.page.locator("tbody tr.answered td:last-child").all_inner_texts()
    assert shown == sorted(shown, key=lambda text: float(text.removesuffix(" %")))
    opener = page.page.locator("tbody tr.answered button").first
    opener.focus()
    page.page.keyboard.press("Enter")
    first = page.text("#detail .name")
    page.page.keyboard.press("ArrowRight")
    assert page.text("#detail .name") != first
    page.page.keyboard.press("ArrowLeft")
    assert page.text("#detail .name") == first
    for _ in images:
        page.page.keyboard.press("ArrowRight")
    assert page.text("#place") == f"{len(images)} of {len(images)}"
    assert page.page.evaluate("document.activeElement.id") == "previous"
    page.page.keyboard.press("ArrowLeft")
    assert page.text("#place") == f"{len(images) - 1} of {len(images)}"
    page.page.keyboard.press("Escape")
    assert page.page.locator("#detail").is_hidden()
    assert opener.evaluate("one => one === document.activeElement")


def test_the_keyboard_reaches_everything_in_order(page: ServedPage, images: list[File]) -> None:
    page.open()
    reached = []
    for _ in range(7):
        page.page.keyboard.press("Tab")
        reached.append(
            page.page.evaluate(
                "(({id, ariaLabel, textContent}) => id || ariaLabel || textContent)"
                "(document.activeElement)"
            )
        )
    assert reached == [
        "To the content",
        "models",
        "Classes",
        "files",
        "folder",
        "camera",
        "All requests and answers of this server",
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_and_accessible_in_every_state(
    browser: Any, address: str, images: list[File], scheme: str, width: int
) -> None:
    with served_page(browser, address, width=width, scheme=scheme) as shown:
        page = shown.page
        found: dict[str, Any] = {}

        def look(state: str) -> None:
            wide = page.evaluate("document.documentElement.scrollWidth")
            found[state] = (wide, page_faults(page))

        answer = canned({"cat": 0.6, "dog": 0.4}, boxes=[{"class": "cat", "box": [9, 9, 30, 30]}])
        shown.answer("v1/predict?*", lambda request: json_reply(answer))
        shown.open()
        look("empty")
        shown.choose(images[0])
        shown.verdict()
        look("one image")
        page.unroute("**/v1/predict?*")
        unsure = canned({"cat": 0.4, "dog": 0.3}, abstained=True, reason="unlike", set=["cat"])
        shown.answer(
            "v1/predict?*",
            lambda r: json_reply(unsure) if r.post_data_buffer[:2] == b"\x89P" else None,
        )
        shown.choose(*images)
        shown.wait_for_table()
        page.click("#found summary") if page.locator("#found").is_visible() else None
        look("table")
        page.locator("tbody button").nth(1).click()
        look("dialog")
    assert found == {state: (width, []) for state in ("empty", "one image", "table", "dialog")}
    assert shown.said == []
