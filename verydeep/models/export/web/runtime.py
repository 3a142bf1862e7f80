"""ONNX Runtime Web, which computes the net in a browser: two files of its npm package.

The package is too large to be part of this one. It is taken from a file or folder that the user
names, from our cache, or fetched once by ``npm``, which knows its own registry.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from verydeep.data.builtin.cache import cache_folder
from verydeep.errors import InputError
from verydeep.system.files import expanded, write_atomically
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
"""Version that is fetched, and that the tests run."""

SCRIPT, WASM, ABOUT = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "package.json"
"""Files of the package: the smallest build, for processors with SIMD; it runs on one thread too."""

_DIGESTS = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of the files of :data:`VERSION`."""

_MOST_BYTES = 64 * 2**20
_PATIENCE = 600
"""Seconds that npm may take."""


@dataclass(frozen=True)
class Runtime:
    """ONNX Runtime Web.

    Attributes:
        script: Its program, an ECMAScript module.
        wasm: Its computations, WebAssembly.
        version: Version of the package.
    """

    script: bytes
    wasm: bytes
    version: str


def find_runtime(given: str | Path | None = None, progress: Progress | None = None) -> Runtime:
    """Return ONNX Runtime Web, which npm fetches on first use.

    Args:
        given: The package as npm packs it (``.tgz``), or the folder of an installed one, of any
            version; None takes :data:`VERSION` from the cache or from npm.
        progress: Progress reporting.

    Raises:
        InputError: The given package lacks a file, or npm is missing or fails; the message tells
            how to bring the package by hand.
    """
    if given is not None:
        return _read(expanded(given))
    folder = cache_folder() / PACKAGE / VERSION
    if all(_digest_of(folder / name) == digest for name, digest in _DIGESTS.items()):
        return Runtime((folder / SCRIPT).read_bytes(), (folder / WASM).read_bytes(), VERSION)
    found = _from_npm(progress or Progress())
    for name, content in ((SCRIPT, found.script), (WASM, found.wasm)):
        write_atomically(folder / name, lambda path, content=content: path.write_bytes(content))  # type: ignore[misc]
    return found


def _read(path: Path) -> Runtime:
    """Read the package from a packed file or an installed folder."""
    try:
        files = _members(path) if path.is_file() else _files(path)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a package of npm ({error})") from error
    missing = next((name for name in (SCRIPT, WASM) if name not in files), None)
    if missing is not None:
        raise InputError(
            f"{path}: is no {PACKAGE}, for dist/{missing} is missing; {_by_hand()} "
            f"(version {VERSION} is known to work)"
        )
    return Runtime(files[SCRIPT], files[WASM], _version(files.get(ABOUT, b"")))


def _members(path: Path) -> dict[str, bytes]:
    """Return the wanted files in a packed package, by name."""
    wanted = {f"package/dist/{name}": name for name in (SCRIPT, WASM)}
    wanted[f"package/{ABOUT}"] = ABOUT
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name in wanted else None
            if stream is not None and member.size <= _MOST_BYTES:
                found[wanted[member.name]] = stream.read()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    places = {SCRIPT: folder / "dist" / SCRIPT, WASM: folder / "dist" / WASM, ABOUT: folder / ABOUT}
    return {name: place.read_bytes() for name, place in places.items() if place.is_file()}


def _version(about: bytes) -> str:
    try:
        return str(json.loads(about)["version"])
    except (ValueError, KeyError, TypeError):
        return "of an unknown version"


def _from_npm(progress: Progress) -> Runtime:
    """Let npm fetch the package, and check it."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"a web page needs {PACKAGE} once, and there is no npm: {_by_hand()}")
    progress.log(f"{PACKAGE} {VERSION}: fetched once by npm, 33 MB")
    with tempfile.TemporaryDirectory() as folder:
        _run_npm(npm, folder)
        packed = next(Path(folder).glob("*.tgz"), None)
        if packed is None:
            raise InputError(f"npm has fetched nothing: {_by_hand()}")
        found = _read(packed)
    for name, content in ((SCRIPT, found.script), (WASM, found.wasm)):
        if hashlib.sha256(content).hexdigest() != _DIGESTS[name]:
            raise InputError(
                f"{PACKAGE} {VERSION}: npm has fetched another {name} than was published; "
                f"{_by_hand()}"
            )
    return found


def _run_npm(npm: str, folder: str) -> None:
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", folder]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            [*command, "--prefer-offline", "--silent"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"npm fails ({error}): {_by_hand()}") from error
    if done.returncode:
        words = " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"
        raise InputError(f"npm cannot fetch {PACKAGE} ({words}): {_by_hand()}")


def _by_hand() -> str:
    return (
        f"on a machine with npm run npm pack {PACKAGE}@{VERSION}, and name its file with "
        f"{option('runtime')}"
    )


def _digest_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
