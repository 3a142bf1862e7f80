"""The program: address, start, signals, and faults before it listens."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from random_nets import random_classifier
from serving import as_file, until
from tiny import Outcome, apart, be_the_program

from verydeep.errors import InputError
from verydeep.serve.start import address_of, bind, serve_models

Program = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder."""
    made = tmp_path_factory.mktemp("models") / "pets"
    random_classifier(name="A").save(made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_it_has_accepted(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    errors = tmp_path / "errors"
    words = ["serve", str(folder), "--port", "0", "--decoders", "1", "--device", "cpu"]
    process = apart(be_the_program, words, errors)
    until(
        lambda: errors.exists() and "ready: pets (net A, 4 classes, torch" in errors.read_text(), 60
    )
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", errors.read_text())
    assert found
    data = as_file(Image.new("RGB", (40, 40)))
    head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    with (
        httpx2.Client(base_url=found[0]) as client,
        socket.create_connection(("127.0.0.1", int(found[1])), timeout=20) as half,
    ):
        half.sendall(head.encode() + data[:100])
        for _ in range(3):  # answers that begin later: by now the half one has begun
            assert "verydeep_images_pending 0.0" in client.get("/metrics").text
        assert process.pid
        signal.pidfd_send_signal(_descriptor(process.pid), number)
        until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/healthz").status_code == 200
        refused = client.post("/v1/predict", content=data)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")
        half.sendall(data[100:])
        assert half.makefile("rb").readline().startswith(b"HTTP/1.1 200")
    process.join(30)
    assert process.exitcode == 0
    assert "Traceback" not in errors.read_text()
    assert "stopping: 1 request to answer" in errors.read_text()


def _descriptor(pid: int) -> int:
    import os

    return os.pidfd_open(pid)


def test_faults_are_told_before_it_listens(verydeep: Program, folder: Path, tmp_path: Path) -> None:
    def fault(*words: object) -> str:
        outcome = verydeep("serve", *words)
        assert outcome.code == 2
        assert outcome.out == ""
        return outcome.err

    assert "no such folder" in fault(tmp_path / "none")
    assert "both called 'pets'" in fault(folder, folder)
    assert "give both" in fault(folder, "--watch", tmp_path)
    assert "must end in .csv or .parquet" in fault(folder, "--watch", tmp_path, "--out", "a.txt")
    assert "no such folder to watch" in fault(
        folder, "--watch", tmp_path / "none", "--out", "a.csv"
    )
    assert "No such file" in fault(folder, "--token-file", tmp_path / "none")
    assert "--queue 3 is less than --max-images 4" in fault(folder, "--queue", 3, "--max-images", 4)
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert "in use" in fault(folder, "--port", port)


def test_a_model_that_cannot_be_loaded_ends_it(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((folder / "config.json").read_bytes())
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        serve_models(broken, port=0, decoders=1, compute="cpu")


def test_threads_sleep_while_they_wait_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As the program does, before anything brings PyTorch.
    code = (
        "import os, sys\n"
        "import verydeep.cli.serve, verydeep.serve.models\n"
        "from verydeep.serve.start import share_cores\n"
        "share_cores()\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )

    def said() -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert said() == "PASSIVE False\n"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert said() == "ACTIVE False\n"


def test_the_address_names_interfaces_of_both_kinds() -> None:
    with bind("127.0.0.1", 0) as bound:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(bound))
    with pytest.raises(InputError, match="no address to listen at"):
        bind("no such host", 0)
    with pytest.raises(InputError, match=r"192\.0\.2\.1: no address of this machine"):
        bind("192.0.2.1", 0)  # kept for documentation
