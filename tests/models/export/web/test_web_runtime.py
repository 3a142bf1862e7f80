"""ONNX Runtime Web from a file, a folder, the cache and a stand-in for npm."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from web_parts import FILES, packed

from verydeep.errors import InputError
from verydeep.models.export.web import runtime
from verydeep.models.export.web.runtime import SCRIPT, WASM, find_runtime

SCRIPT_BYTES, WASM_BYTES = FILES[f"package/dist/{SCRIPT}"], FILES[f"package/dist/{WASM}"]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program ``npm`` that packs the stand-in and counts its calls; an empty cache."""
    packed(tmp_path / "made.tgz")
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncp {tmp_path}/made.tgz "$4/package.tgz"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "cache"))
    digests = {SCRIPT: SCRIPT_BYTES, WASM: WASM_BYTES}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in digests.items()}
    monkeypatch.setattr(runtime, "_DIGESTS", digests)
    return program


def test_npm_fetches_it_once(program: Path, tmp_path: Path) -> None:
    first = find_runtime()
    assert (first.script, first.wasm) == (SCRIPT_BYTES, WASM_BYTES)
    again = find_runtime()
    assert (again.script, again.wasm) == (first.script, first.wasm)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith(f"pack onnxruntime-web@{runtime.VERSION} --pack-destination ")


def test_a_damaged_cache_is_fetched_again(program: Path, tmp_path: Path) -> None:
    find_runtime()
    (wasm,) = (tmp_path / "cache").rglob(WASM)
    wasm.write_bytes(b"half")
    assert find_runtime().wasm == WASM_BYTES == wasm.read_bytes()


def test_a_packed_file_and_an_installed_folder(tmp_path: Path) -> None:
    file = packed(tmp_path / "runtime.tgz")
    shutil.unpack_archive(file, tmp_path, "gztar")
    for given in (file, tmp_path / "package"):
        found = find_runtime(given)
        assert (found.script, found.wasm, found.version) == (SCRIPT_BYTES, WASM_BYTES, "9.8.7")


def test_another_file_than_was_published_is_refused(program: Path, tmp_path: Path) -> None:
    packed(tmp_path / "made.tgz", {**FILES, f"package/dist/{WASM}": b"evil"})
    with pytest.raises(InputError, match=r"another ort-wasm.* than was published; on a machine"):
        find_runtime()
    assert [*(tmp_path / "cache").rglob("*.wasm")] == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "#!/bin/sh\necho 'no network' >&2\nexit 1\n",
            "npm cannot fetch .*no network.*--run|time=",
        ),
        ("#!/bin/sh\n", "npm has fetched nothing"),
        ("#!/bin/nowhere\n", "npm fails"),
    ],
)
def test_npm_may_fail(program: Path, script: str, message: str) -> None:
    program.write_text(script)
    with pytest.raises(InputError, match=message):
        find_runtime()


def test_npm_may_be_missing(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        InputError, match=r"there is no npm: .* npm pack onnxruntime-web@.*runtime="
    ):
        find_runtime()


def test_a_file_may_be_something_else(tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    for name in ("text.tgz", "nowhere.tgz"):
        with pytest.raises(InputError, match=r"cannot be read as a package|is no onnxruntime-web"):
            find_runtime(tmp_path / name)
    packed(tmp_path / "other.tgz", {"package/index.js": b""})
    with pytest.raises(InputError, match=r"dist/ort.wasm.bundle.min.mjs is missing"):
        find_runtime(tmp_path / "other.tgz")
