"""The checksum that a model keeps of its source, which takes one pass over a published file."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from narrow_nets import save_state, torchvision_net

from verydeep.models.weights import download, imported, named
from verydeep.models.weights.caches import own_file
from verydeep.models.weights.checksum import digest_of
from verydeep.models.weights.published import Published, find_published


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Algorithms by which files are hashed."""
    passes: list[str] = []

    def counted(path: Path, algorithm: str, *progress: object) -> str:
        passes.append(algorithm)
        return digest_of(path, algorithm)

    for module in (download, imported):
        monkeypatch.setattr(module, "digest_of", counted)
    return passes


@pytest.mark.parametrize(("algorithm", "passes"), [("sha256", 1), ("md5", 2)])
def test_published_weights(
    homes: Path,
    hashed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
    passes: int,
) -> None:
    path = save_state(torchvision_net(), homes / "net.pth")
    content = path.read_bytes()
    known: Published = dataclasses.replace(
        find_published("torchvision/vgg11"),
        algorithm=algorithm,
        digest=hashlib.new(algorithm, content).hexdigest()[:8],
    )
    own_file(known).parent.mkdir(parents=True)
    own_file(known).write_bytes(content)
    monkeypatch.setattr(named, "find_published", lambda _: known)
    found = named.import_source("torchvision/vgg11")
    assert found.config.source is not None
    assert found.config.source["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(hashed) == passes


def test_a_file(tmp_path: Path, hashed: list[str]) -> None:
    path = save_state(torchvision_net(), tmp_path / "net.pth")
    source = imported.import_file(path).config.source
    assert source is not None
    assert source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert hashed == ["sha256"]
