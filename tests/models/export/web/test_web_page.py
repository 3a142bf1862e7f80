"""The page as text: what is in it, and what is refused."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html import unescape
from pathlib import Path

import pytest
from progresses import Listening
from telling_nets import odd_images, telling
from web_parts import FILES, knowing, narrow, packed, tempered

from verydeep.errors import InputError, ModelError
from verydeep.models.export.web import page
from verydeep.models.export.web.page import PageOptions, write_web_page
from verydeep.models.export.web.runtime import WASM

onnx = pytest.importorskip("onnx")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return packed(tmp_path / "runtime.tgz")


def part(text: str, name: str) -> str:
    found = re.search(rf'<script [^>]*id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return found[1]


def unpacked(text: str, name: str) -> bytes:
    return gzip.decompress(base64.b64decode(part(text, name)))


def test_everything_is_in_the_page(tmp_path: Path, runtime: Path) -> None:
    model = tempered(narrow(test_scales=(36, 40), test_flip=False), 1.5)
    written = write_web_page(model, tmp_path / "page.html", PageOptions(runtime=runtime))
    text = written.path.read_text("utf-8")
    assert (written.size, written.runtime) == (written.path.stat().st_size, "9.8.7")
    graph = onnx.load_from_string(unpacked(text, "model"))
    onnx.checker.check_model(graph, full_check=True)
    pools = [f"features.pool{number}" for number in range(1, 6)]
    assert [one.name for one in graph.graph.output] == ["scores", *pools]
    assert written.net_size == len(unpacked(text, "model"))
    assert unpacked(text, "ort-wasm") == FILES[f"package/dist/{WASM}"]
    facts = json.loads(part(text, "facts"))
    assert facts["classes"] == [f"class {label}" for label in range(4)]
    assert (facts["scales"], facts["flip"], facts["temperature"]) == ([36, 40], False, 1.5)
    assert facts["layers"] == pools
    assert f"{written.net_size / 1e6:,.1f} MB" in text


def test_a_page_has_what_the_distance_is_computed_of(tmp_path: Path, runtime: Path) -> None:
    model = telling(narrow(), odd_images(6, 1), odd_images(6), least=0.4)
    written = write_web_page(model, tmp_path / "page.html", PageOptions(int8=True, runtime=runtime))
    text = written.path.read_text("utf-8")
    graph = onnx.load_from_string(unpacked(text, "model"))
    onnx.checker.check_model(graph, full_check=True)
    names = [one.name for one in graph.graph.output]
    assert names[:4] == ["scores", "features", "projections", "features.pool1"]
    facts = json.loads(part(text, "facts"))
    assert model.abstention is not None
    assert model.abstention.familiar is not None
    assert (facts["limit"], facts["threshold"]) == (model.abstention.familiar.limit, 0.4)
    assert "It refuses images whose fc7 features lie far from those of 6 training images" in text
    write_web_page(knowing(), tmp_path / "other.html", PageOptions(runtime=runtime))
    text = (tmp_path / "other.html").read_text("utf-8")
    assert json.loads(part(text, "facts"))["limit"] is None
    assert "It refuses images" not in text


def test_only_the_pages_own_script_may_run_and_nothing_may_be_asked(
    tmp_path: Path, runtime: Path
) -> None:
    write_web_page(narrow(), tmp_path / "page.html", PageOptions(runtime=runtime))
    text = (tmp_path / "page.html").read_text("utf-8")
    policy = unescape(re.search(r'Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (own,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}' 'wasm-unsafe-eval' blob:"
    assert (rules["default-src"], rules["connect-src"]) == ("'none'", "'none'")
    assert rules["img-src"] == "data: blob:"


def test_names_of_classes_are_text(tmp_path: Path, runtime: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    model = narrow(titles={"class 0": hostile}, source={"licence": hostile, "name": "x"})
    write_web_page(model, tmp_path / "page.html", PageOptions(runtime=runtime))
    text = (tmp_path / "page.html").read_text("utf-8")
    assert hostile not in text
    assert json.loads(part(text, "facts"))["classes"][0] == hostile
    assert "Weights: &lt;/script&gt;" in text


def test_int8_takes_less(tmp_path: Path, runtime: Path) -> None:
    whole = write_web_page(narrow(), tmp_path / "a.html", PageOptions(runtime=runtime))
    small = write_web_page(narrow(), tmp_path / "b.html", PageOptions(True, runtime))
    assert small.net_size < 0.5 * whole.net_size
    assert (whole.weights, small.weights) == ("float32", "int8")


def test_large_pages(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Listening()
    monkeypatch.setattr(page, "LARGE", 10_000)
    write_web_page(narrow(), tmp_path / "page.html", PageOptions(runtime=runtime), log)
    assert re.fullmatch(r"the page has 0 MB: slow .*int8=True takes a quarter, or .*", log.lines[0])
    monkeypatch.setattr(page, "LARGEST", 10_000)
    with pytest.raises(ModelError, match=r"more than browsers can read: train a narrow net"):
        write_web_page(narrow(), tmp_path / "other.html", PageOptions(True, runtime))
    assert not (tmp_path / "other.html").exists()


def test_what_cannot_be_a_page(tmp_path: Path, runtime: Path) -> None:
    with pytest.raises(InputError, match=r"a folder; name a file like page.html \(out=\)"):
        write_web_page(narrow(), tmp_path, PageOptions(runtime=runtime))
    model = narrow()
    model.classes = ()
    with pytest.raises(ModelError, match="convolutions only"):
        write_web_page(model, tmp_path / "page.html", PageOptions(runtime=runtime))
