"""The page in a browser, opened from a file and without a network."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CAMERA, chromium
from page_faults import page_faults
from PIL import Image, ImageOps
from telling_nets import plain_distances, telling
from tiny import run_program
from web_parts import knowing, narrow, tempered

from verydeep import load
from verydeep.data.geometry import rescaled_size
from verydeep.errors import InputError
from verydeep.models.classifier import Classifier
from verydeep.models.export.web import page
from verydeep.models.export.web.page import PageOptions, write_web_page
from verydeep.models.export.web.runtime import find_runtime
from verydeep.system.settings import Compute

pytestmark = pytest.mark.slow
pytest.importorskip("onnx")

PATIENCE = 120_000
"""Milliseconds to wait on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window, with a camera that shows a test image."""
    with chromium(*CAMERA) as opened:
        yield opened


@pytest.fixture(scope="module")
def models(images: dict[str, Image.Image]) -> dict[str, Classifier]:
    """One scale with mirror images; two scales, without them, calibrated.

    Two tell unlike images: by one view, and by two scales with mirror images.
    """
    several = narrow("C", classes=12, test_scales=(33, 48), test_flip=False)
    shown = [image.convert("RGB") for image in images.values()]
    one = narrow(test_flip=False)
    views = narrow(test_scales=(33, 48), test_flip=True)
    return {
        "plain": narrow(),
        "several": tempered(several, 2.5),
        "knowing": knowing(),
        "telling": telling(one, shown[:3], shown, least=0.45),
        "telling by views": telling(views, shown[:3], shown, least=0.45),
    }


@pytest.fixture(scope="module")
def pages(
    models: dict[str, Classifier], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    try:
        find_runtime()
    except InputError as error:
        pytest.skip(f"ONNX Runtime Web cannot be fetched: {error}")
    folder = tmp_path_factory.mktemp("pages")
    for name, model in models.items():
        write_web_page(model, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in models}


@pytest.fixture(scope="module")
def images(photographs: list[Image.Image]) -> dict[str, Image.Image]:
    """Images of all kinds that every decoder reads alike."""
    noise = np.random.default_rng(3).integers(0, 256, (33, 57, 3), np.uint8)
    return {
        "photo.png": photographs[0],
        "flower.png": photographs[1].rotate(90, expand=True),
        "noise.png": Image.fromarray(noise),
        "tiny.png": Image.fromarray(noise[:7, :5]),
        "grey.png": photographs[1].convert("L").resize((101, 77)),
        "palette.png": photographs[1].resize((120, 90)).quantize(64),
        "wide.png": photographs[0].resize((300, 40)),
        "lossless.webp": photographs[0].resize((90, 130)),
    }


def stored(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, Path(name).suffix[1:], **({"lossless": True} if "webp" in name else {}))
    return buffer.getvalue()


class Opened:
    """A page in the browser, with everything it said and asked."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.wait("Ready")

    def wait(self, text: str) -> str:
        line = self.page.locator("#status", has_text=re.compile(text))
        line.wait_for(timeout=PATIENCE)
        return str(line.text_content())

    def choose(self, name: str, content: bytes) -> None:
        file = {"name": name, "mimeType": "image/png", "buffer": content}
        self.page.evaluate("document.getElementById('status').textContent = ''")
        self.page.set_input_files("#file", [file])

    def answers(self) -> list[tuple[int, float]]:
        self.wait("^Done")
        rows = self.page.evaluate(
            "[...document.querySelectorAll('#ranking li')].map(one => "
            "[Number(one.dataset.label), Number(one.dataset.probability)])"
        )
        return [(int(label), float(p)) for label, p in rows]


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """A function that opens a page; all are closed in the end."""
    all_opened: list[Opened] = []

    def open_page(name: str = "plain", **options: Any) -> Opened:
        all_opened.append(Opened(browser, pages[name], **options))
        return all_opened[-1]

    yield open_page
    for one in all_opened:
        one.context.close()


def assert_same(found: list[tuple[int, float]], model: Classifier, image: Image.Image) -> None:
    (expected,) = model.predict_proba([image])
    assert len(found) == min(10, len(expected))
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert found[0][1] == pytest.approx(expected.max(), abs=1e-5)
    for label, p in found:
        assert p == pytest.approx(expected[label], abs=1e-5)


@pytest.mark.parametrize("name", ["plain", "several"])
def test_the_answers_are_those_of_predict(
    opened: Any, models: dict[str, Classifier], images: dict[str, Image.Image], name: str
) -> None:
    shown = opened(name)
    for file, image in images.items():
        shown.choose(file, stored(image, file))
        assert_same(shown.answers(), models[name], image.convert("RGB"))
    assert shown.said == []


def test_the_program_exports_a_run(
    browser: Any, pages: dict[str, Path], trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    assert run_program(["export", str(trained_run), "--to=web", f"--out={tmp_path}/a.html"]) == 0
    shown, model = Opened(browser, tmp_path / "a.html"), load(trained_run, Compute("cpu", "fp32"))
    for file in sorted((pictures / "test").rglob("*.png"))[::4]:
        shown.choose(file.name, file.read_bytes())
        assert_same(shown.answers(), model, Image.open(file))
    shown.context.close()


def test_a_jpeg_turned_by_its_camera(
    opened: Any, models: dict[str, Classifier], photographs: list[Image.Image], tmp_path: Path
) -> None:
    """JPEG decoders may differ by a level here and there, hence the wider bound."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photographs[0].save(tmp_path / "turned.jpg", quality=95, exif=exif)
    shown = opened()
    shown.choose("turned.jpg", (tmp_path / "turned.jpg").read_bytes())
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "turned.jpg")).convert("RGB")
    (expected,) = models["plain"].predict_proba([upright])
    assert dict(shown.answers())[int(expected.argmax())] == pytest.approx(expected.max(), abs=1e-3)


def test_transparent_parts_are_white(opened: Any, models: dict[str, Classifier]) -> None:
    image = Image.new("RGBA", (60, 40), (200, 30, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 30, 40))
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    shown = opened()
    shown.choose("half.png", stored(image, "half.png"))
    assert_same(shown.answers(), models["plain"], white)


def test_int8_differs_little(
    browser: Any,
    pages: dict[str, Path],
    models: dict[str, Classifier],
    images: dict[str, Image.Image],
) -> None:
    path = pages["plain"].with_name("int8.html")
    write_web_page(models["plain"], path, PageOptions(int8=True))
    shown = Opened(browser, path)
    shown.choose("photo.png", stored(images["photo.png"], "photo.png"))
    found = dict(shown.answers())
    shown.context.close()
    (expected,) = models["plain"].predict_proba([images["photo.png"]])
    assert max(abs(found[label] - p) for label, p in enumerate(expected)) < 0.05


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_quiet_alone_and_accessible(
    opened: Any, images: dict[str, Image.Image], scheme: str, width: int
) -> None:
    shown = opened(viewport={"width": width, "height": 844}, color_scheme=scheme)
    shown.choose("photo.png", stored(images["photo.png"], "photo.png"))
    shown.answers()
    assert shown.page.locator(".maps canvas").count() == 60 - 6  # conv1 has only six channels
    wide = shown.page.evaluate("document.documentElement.scrollWidth")
    small = shown.page.evaluate(
        "[...document.querySelectorAll('button, .button')].map(one => "
        "one.getBoundingClientRect()).filter(box => box.height && box.height < 44).length"
    )
    assert (wide <= width, small) == (True, 0)
    assert [url for url in shown.asked if not url.startswith(("blob:", "file:"))] == []
    assert len([url for url in shown.asked if url.startswith("file:")]) == 1
    assert shown.said == []
    assert page_faults(shown.page) == []


def test_the_page_may_ask_nobody(opened: Any) -> None:
    shown = opened()
    tried = shown.page.evaluate(
        """async () => {
          const image = new Image();
          image.src = 'https://example.org/x.png?pixels=1';
          const fetched = await fetch('data:,x').then(() => 'sent', () => 'refused');
          return fetched;
        }"""
    )
    assert tried == "refused"
    assert any("img-src" in line or "image" in line.lower() for line in shown.said)


def test_feature_maps_are_those_of_the_net(
    opened: Any, models: dict[str, Classifier], images: dict[str, Image.Image]
) -> None:
    import torch

    shown, image = opened(), images["noise.png"]
    shown.choose("noise.png", stored(image, "noise.png"))
    shown.answers()
    height, width = rescaled_size(image.height, image.width, 36)
    pixels = np.array(image.resize((width, height), Image.Resampling.BILINEAR))
    maps = models["plain"].maps(torch.from_numpy(pixels).permute(2, 0, 1)[None], ["pool2", "pool5"])
    titles = shown.page.locator("#layers h3").all_text_contents()
    for name, found in maps.items():
        channels, rows, columns = found.shape[1:]
        place = int(name[-1]) - 1
        assert titles[place] == f"{name}: {channels} channels of {rows}×{columns}"
        captions = shown.page.locator(".maps").nth(place).locator("figcaption")
        means = found[0].mean((1, 2))
        order = means.argsort(descending=True, stable=True)[:12].tolist()
        assert captions.all_text_contents() == [f"channel {channel}" for channel in order]


@pytest.mark.parametrize(
    ("content", "type_"), [(b"no image", "image/png"), (b"", "image/png"), (b"x", "text/plain")]
)
def test_a_file_that_is_no_image(
    opened: Any, images: dict[str, Image.Image], content: bytes, type_: str
) -> None:
    shown = opened()
    shown.choose("noise.png", stored(images["noise.png"], "noise.png"))
    shown.answers()
    assert shown.page.locator("#results").is_visible()
    file = {"name": "x", "mimeType": type_, "buffer": content}
    shown.page.set_input_files("#file", [file])
    assert shown.wait("^This image cannot be used: this browser cannot read it")
    assert shown.page.locator("#results").is_hidden()


def test_a_thin_image_is_refused(opened: Any) -> None:
    shown = opened()
    shown.choose("thin.png", stored(Image.new("RGB", (1200, 2)), "thin.png"))
    assert shown.wait("1200×2 is too thin")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_an_image_may_be_dropped_or_pasted(
    opened: Any, models: dict[str, Classifier], images: dict[str, Image.Image], event: str
) -> None:
    shown, image = opened(), images["noise.png"]
    encoded = base64.b64encode(stored(image, "noise.png")).decode()
    shown.page.evaluate("document.getElementById('status').textContent = ''")
    shown.page.evaluate(
        """([encoded, kind]) => {
          const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], 'x.png', {type: 'image/png'}));
          const event = kind === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true})
            : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
          document.getElementById('drop').dispatchEvent(event);
        }""",
        [encoded, event],
    )
    assert_same(shown.answers(), models["plain"], image)


def test_the_camera_and_the_keyboard(opened: Any) -> None:
    shown = opened()
    shown.page.locator("#camera").focus()
    shown.page.keyboard.press("Enter")
    shown.page.locator("#take:focus").wait_for(timeout=PATIENCE)
    shown.page.keyboard.press("Escape")
    assert shown.page.locator("#live").is_hidden()
    assert shown.page.evaluate("document.activeElement.id") == "camera"
    shown.page.keyboard.press("Enter")
    shown.page.locator("#take:focus").wait_for(timeout=PATIENCE)
    shown.page.keyboard.press("Enter")
    assert sum(p for _, p in shown.answers()) == pytest.approx(1, abs=1e-5)


def test_without_a_camera_a_file_is_asked_for(opened: Any) -> None:
    shown = opened()
    shown.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none')); }"
    )
    shown.page.locator("#camera").click()
    assert shown.wait(r"No camera can be used \(none\); choose an image instead")
    shown.page.evaluate(
        "() => { Object.defineProperty(navigator, 'mediaDevices', {value: undefined}); }"
    )
    with shown.page.expect_file_chooser():
        shown.page.locator("#camera").click()


def test_rescaling_is_pillows(browser: Any, photographs: list[Image.Image]) -> None:
    """Any image to any scale, larger or smaller, to the last digit."""
    script = (Path(page.__file__).parent / "resize.js").read_text("utf-8")
    blank = browser.new_page()
    blank.add_script_tag(content=script)
    generator = np.random.default_rng(0)
    for number in range(30):
        width, height = (int(side) for side in generator.integers(8, 240, 2))
        scale = int(generator.integers(32, 90))
        if max(width, height) > 4 * min(width, height):
            continue
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        if number % 3 == 0:
            pixels = np.asarray(photographs[number % 2].crop((0, 0, width, height)))
        found = blank.evaluate(
            """([text, width, height, scale]) => {
              const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              const made = rescale(bytes, width, height, scale);
              return [made.width, made.height, [...made.pixels]];
            }""",
            [base64.b64encode(pixels.tobytes()).decode(), width, height, scale],
        )
        size = rescaled_size(height, width, scale)[::-1]
        expected = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        assert tuple(found[:2]) == size
        assert found[2] == np.asarray(expected).ravel().tolist(), (width, height, scale)
    blank.close()


def test_halves_round_to_even(browser: Any) -> None:
    script = (Path(page.__file__).parent / "resize.js").read_text("utf-8")
    blank = browser.new_page()
    blank.add_script_tag(content=script)
    values = [0.5, 1.5, 2.5, 2.4999, 3.5001, 7]
    found = blank.evaluate("(values) => values.map(roundHalfEven)", values)
    blank.close()
    assert json.dumps(found) == json.dumps([round(value) for value in values])


# ---- what is not known ----


def test_the_page_says_what_it_does_not_know(
    browser: Any,
    models: dict[str, Classifier],
    pages: dict[str, Path],
    images: dict[str, Image.Image],
) -> None:
    opened = Opened(browser, pages["knowing"])
    found = models["knowing"].predict(list(images.values()))
    assert {one.abstained for one in found} == {True, False}
    for (name, image), one in zip(images.items(), found, strict=True):
        opened.choose(name, stored(image, name))
        opened.wait("Done in")
        text = opened.page.locator("#known").inner_text()
        assert ("I don’t know: 45.0 % is needed" in text) == one.abstained
        assert one.class_set is not None
        assert f"Possible at 90 % coverage: {', '.join(one.class_set)}." in text
    assert "at most 5 % of its answers" in opened.page.content()
    opened.context.close()


@pytest.mark.parametrize("name", ["telling", "telling by views"])
@pytest.mark.parametrize("int8", [False, True])
def test_the_page_refuses_unlike_images(
    browser: Any,
    models: dict[str, Classifier],
    pages: dict[str, Path],
    images: dict[str, Image.Image],
    name: str,
    int8: bool,
) -> None:
    model, path = models[name], pages[name]
    if int8:
        path = path.with_name("small.html")
        write_web_page(model, path, PageOptions(int8=True))
    assert model.abstention is not None
    assert model.abstention.familiar is not None
    limit = model.abstention.familiar.limit
    far = plain_distances(model, [one.convert("RGB") for one in images.values()], "dense")
    found = model.predict(list(images.values()))
    assert sum(str(one.reason).startswith("unlike the training images") for one in found) == 4
    opened = Opened(browser, path)
    for (image_name, image), one, distance in zip(images.items(), found, far, strict=True):
        opened.choose(image_name, stored(image, image_name))
        opened.wait("Done in")
        text = opened.page.locator("#known").inner_text()
        told = re.search(
            r"unlike the training images \(distance ([\d.e-]+), limit ([\d.e-]+)\)", text
        )
        if int8 and abs(distance - limit) < 0.1 * limit:
            continue
        assert bool(told) == (distance > limit), (image_name, distance, limit)
        if told:
            assert float(told[2]) == pytest.approx(limit, rel=5e-3)
            assert float(told[1]) == pytest.approx(distance, rel=0.2 if int8 else 6e-3)
        elif not int8:
            assert ("I don’t know: 45.0 % is needed" in text) == one.abstained
    opened.context.close()
