"""A trained net as a web page, by the program; the page itself is tested with its builder."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import Outcome

from verydeep.models.export.web.runtime import SCRIPT, WASM

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A package with the names of ONNX Runtime Web's files."""
    with tarfile.open(tmp_path / "runtime.tgz", "w:gz") as archive:
        for name in (SCRIPT, WASM):
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"text"))
    return tmp_path / "runtime.tgz"


def test_a_page_with_its_proof(
    trained_run: Path, runtime: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    page = tmp_path / "out" / "pets.html"
    words = ("export", trained_run, "--to", "web", "--out", page, "--runtime", runtime, "--json")
    done = verydeep(*words)
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert [Path(file).name for file in value["files"]] == [
        "pets.html",
        "pets.html.parity.json",
        "pets.html.parity.txt",
    ]
    assert {file.name for file in page.parent.iterdir()} == {
        Path(file).name for file in value["files"]
    }
    assert value["parity"]["largest_difference"] < 1e-5
    whole = page.stat().st_size
    done = verydeep(*words, "--int8")
    assert (done.code, page.stat().st_size < whole) == (0, True)
    assert json.loads(done.out)["parity"]["bound"] == 0.05


def test_a_page_that_answers_otherwise_is_refused(
    trained_run: Path, runtime: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    page = tmp_path / "out" / "pets.html"
    words = ("export", trained_run, "--to", "web", "--out", page, "--runtime", runtime)
    done = verydeep(*words, "--int8", "--bound", "1e-9")
    assert (done.code, "refused and removed" in done.err) == (2, True)
    assert [*page.parent.iterdir()] == []


def test_options_that_do_not_go_together(
    trained_run: Path, runtime: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    out = ("--out", tmp_path / "a.onnx")
    done = verydeep("export", trained_run, *out, "--runtime", runtime)
    assert done.err.endswith("--runtime is of --to web\n")
    done = verydeep("export", trained_run, "--to", "torch", "--out", tmp_path / "a.pt2", "--int8")
    assert done.err.endswith("--int8 is not for --to torch\n")
    done = verydeep("export", trained_run, "--to", "web", "--out", tmp_path / "a.onnx")
    assert (done.code, "must end in .html" in done.err) == (2, True)
