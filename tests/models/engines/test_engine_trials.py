"""An engine that crashes, hangs or answers wrongly is not used, and torch takes over."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_models import noise
from progresses import Listening
from random_nets import random_classifier

from verydeep.errors import InputError, MachineError, MissingExtra
from verydeep.models.classifier import Classifier
from verydeep.models.engines import choice
from verydeep.models.engines.choice import verdict_on
from verydeep.models.engines.eager import Eager
from verydeep.models.engines.net_files import NetFiles, net_key
from verydeep.models.engines.trial import Outcome, Trial, run_trial, trial_images
from verydeep.models.engines.verdicts import Verdict, find_verdict
from verydeep.system.device import choose_machine
from verydeep.system.engine_names import KINDS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_right(model: Classifier, folder: Path) -> None:
    """Write the true scores for the images of a trial, by height."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = {}
    for images in trial_images(model.input_size):
        shown = torch.from_numpy(images).permute(0, 3, 1, 2)
        scores[str(images.shape[1])] = model.eager.answers(shown).numpy()
    np.savez(folder / "right.npz", **scores)


def tried(kind: str, folder: Path, limit: float = 60.0) -> Outcome:
    model = random_classifier(name="A")
    write_right(model, folder)
    place = f"planted_runners:{kind}"
    trial = Trial(place, folder / "net", folder / "graph", "fp32", limit)
    exact = Eager(model.net, model.preprocessing, model.machine, exact_answers=False)
    return run_trial(trial, exact, exact)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("Crashing", r"it crashed \(SIGFPE\)"),
        ("Wrong", r"its posteriors differ by up to 0\.\d+ from those of torch in fp32"),
        ("Twisted", "its scores have the wrong shape"),
        ("Endless", "its scores are not finite"),
        ("Failing", "it failed: RuntimeError: it computes in f32 instead of fp32"),
        ("Missing", "it failed: AttributeError"),
    ],
)
def test_a_fault_is_told(kind: str, fault: str, tmp_path: Path) -> None:
    import re

    outcome = tried(kind, tmp_path)
    assert outcome.fault
    assert re.search(fault, outcome.fault)


def test_files_may_be_named_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = tried("Right", Path("nets"))
    assert outcome.fault is None
    assert outcome.difference == pytest.approx(0, abs=1e-6)


def test_an_engine_that_hangs_is_ended(tmp_path: Path) -> None:
    assert tried("Hanging", tmp_path, limit=3).fault == "it gave no answer within 3 s"


def test_right_scores_pass(tmp_path: Path) -> None:
    outcome = tried("Right", tmp_path)
    assert outcome.fault is None
    assert outcome.difference == 0
    assert outcome.speed
    assert outcome.torch_speed


def plant(monkeypatch: pytest.MonkeyPatch, kind: str, *, worth: bool = True) -> None:
    """Let openvino be a planted runner, and the only one that is installed beside torch."""
    monkeypatch.setattr(choice, "RUNNERS", {"openvino": f"planted_runners:{kind}"})
    monkeypatch.setattr(choice, "candidates", lambda precision, compiling: ["openvino"])
    if worth:
        monkeypatch.setattr(choice, "WORTH_LOADING", 0)
        monkeypatch.setattr(choice, "WORTH_A_TRIAL", 0)


def test_auto_falls_back_to_torch_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    plant(monkeypatch, "Crashing")
    model, heard = random_classifier(name="A", engine="auto"), Listening()
    model.prepare(10**6, heard)
    assert model.answered_by == {"engine": "torch", "precision": "fp32"}
    assert heard.lines == [
        "trying the engine openvino (fp32) on this machine, once for this net",
        "engine openvino is not used: it crashed (SIGFPE)",
    ]
    shown = noise(1, 32, 32)
    assert torch.equal(model.answers(shown), random_classifier(name="A").answers(shown))


def test_a_named_engine_that_crashes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(KINDS["openvino"].__class__, "version", "1")
    plant(monkeypatch, "Crashing")
    model = random_classifier(name="A", engine="openvino")
    with pytest.raises(MachineError, match=r"openvino \(fp32\) cannot be used .*SIGFPE"):
        model.answers(noise(1, 32, 32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "compile"])
def test_an_engine_is_tried_on_the_last_map_of_a_net_without_head(name: str) -> None:
    if name != "compile":
        pytest.importorskip(name)
    verdict = verdict_on(random_classifier(name="A", num_classes=0), name, "fp32")
    assert verdict.passed, verdict.fault
    assert verdict.speed


def test_a_verdict_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    plant(monkeypatch, "Crashing")
    model = random_classifier(name="A", engine="auto")
    model.prepare(10**6)
    monkeypatch.setattr(choice, "run_trial", None)
    again, other = (
        random_classifier(name="A", engine="auto"),
        random_classifier(name="B", engine="auto"),
    )
    again.prepare(10**6)
    assert again.answered_by["engine"] == "torch"
    kept = find_verdict("openvino", "fp32", net_key(again))
    assert kept
    assert kept.fault == "it crashed (SIGFPE)"
    assert find_verdict("openvino", "fp32", net_key(other)) is None
    assert find_verdict("openvino", "bf16", net_key(again)) is None


def test_a_verdict_ends_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    plant(monkeypatch, "Failing")
    model = random_classifier(name="A", engine="auto")
    model.prepare(10**6)
    key = net_key(model)
    assert find_verdict("openvino", "fp32", key)
    monkeypatch.setattr("verydeep.models.engines.verdicts.__version__", "99")
    assert find_verdict("openvino", "fp32", key) is None


def test_a_broken_verdict_counts_as_none(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    pytest.importorskip("onnx")
    plant(monkeypatch, "Failing")
    model = random_classifier(name="A", engine="auto")
    model.prepare(10**6)
    (path,) = (cache / "engines" / "verdicts").iterdir()
    for text in ("", "[]", "{}", '{"passed": true}', "null"):
        path.write_text(text)
        assert find_verdict("openvino", "fp32", net_key(model)) is None


def test_a_small_job_stays_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "Crashing", worth=False)
    monkeypatch.setattr(choice, "run_trial", None)
    model = random_classifier(name="A", engine="auto")
    model.prepare(32 * 32)
    assert model.answered_by["engine"] == "torch"


def test_auto_with_torch_alone_is_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "Crashing")
    monkeypatch.setattr(choice, "candidates", lambda precision, compiling: [])
    monkeypatch.setattr(choice, "files_of", None)  # nothing is hashed
    model = random_classifier(name="A", engine="auto")
    model.prepare(10**12)
    assert model.engine is model.eager


def test_a_cache_that_cannot_be_written_leaves_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "file"))
    plant(monkeypatch, "Right")
    model, heard = random_classifier(name="A", engine="auto"), Listening()
    model.prepare(10**6, heard)
    assert model.engine is model.eager
    assert heard.lines[-1].startswith("engine torch: no other could be tried")


@pytest.mark.parametrize(("shapes_vary", "taken"), [(False, ["openvino"]), (True, ["onnxruntime"])])
def test_auto_weighs_no_engine_that_would_compile_each_of_many_shapes(
    monkeypatch: pytest.MonkeyPatch, *, shapes_vary: bool, taken: list[str]
) -> None:
    pytest.importorskip("onnx")
    speeds = {"openvino": 3.0, "onnxruntime": 2.0}
    made = []

    def verdict(model: object, name: str, *rest: object, **more: object) -> Verdict:
        return Verdict(name, "fp32", "1", "", None, 0.0, speeds[name], 1.0, 1.0, "")

    monkeypatch.setattr(choice, "candidates", lambda precision, compiling: [*speeds])
    monkeypatch.setattr(choice, "verdict_on", verdict)
    monkeypatch.setattr(choice, "make_engine", lambda model, name, *rest: made.append(name))
    model = random_classifier(name="A", engine="auto")
    choice.fastest_engine(model, 1e12, shapes_vary=shapes_vary)
    assert made == taken


def test_auto_takes_the_fastest_that_passed(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(choice, "candidates", lambda precision, compiling: ["openvino"])
    monkeypatch.setattr(choice, "WORTH_LOADING", 0)
    monkeypatch.setattr(choice, "WORTH_A_TRIAL", 0)
    monkeypatch.setattr(choice, "LEAST_GAIN", 0)
    model, heard = random_classifier(name="A", engine="auto"), Listening()
    model.prepare(10**6, heard)
    assert model.answered_by == {"engine": "openvino", "precision": "fp32"}
    assert "times as fast as torch" in heard.lines[-1]
    monkeypatch.setattr(choice, "LEAST_GAIN", 1e9)
    slow = random_classifier(name="A", engine="auto")
    slow.prepare(10**6)
    assert slow.answered_by["engine"] == "torch"
    (net,) = (cache / "engines" / "nets").iterdir()
    assert {"openvino.xml", "openvino.bin"} <= {path.name for path in net.iterdir()}


def test_files_of_old_nets_are_removed(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("verydeep.models.engines.net_files.MOST_NETS", 2)
    for name in ("A", "B", "D"):
        files = choice.files_of(random_classifier(name=name), "fp32")
        files.ready(random_classifier(name=name), "openvino")
        files.tidy("openvino")
    assert len(list((cache / "engines" / "nets").iterdir())) == 2
    assert files.file("openvino").exists()


def test_files_that_other_processes_remove_or_leave_do_not_matter(cache: Path) -> None:
    files = NetFiles("a" * 32)
    files.folder.mkdir(parents=True)
    (files.folder.parent / "removed").symlink_to("nowhere")  # as if removed after it was listed
    for name, age in ((".openvino-new", 60), (".openvino-old", 7200)):
        (files.folder / name).mkdir()
        (files.folder / name / "openvino.bin").touch()
        os.utime(files.folder / name, (time.time() - age,) * 2)
    for name, age in ((".graph.onnx.new.tmp", 60), (".graph.onnx.old.tmp", 7200)):
        (files.folder / name).touch()
        os.utime(files.folder / name, (time.time() - age,) * 2)
    files.tidy("openvino")
    left = {one.name for one in files.folder.iterdir()}
    assert left == {".openvino-new", ".graph.onnx.new.tmp"}


def test_machines_are_checked() -> None:
    assert choose_machine("cpu", "fp32", "openvino").engine == "openvino"
    assert choose_machine(None, "int8", "auto").device.type == "cpu"
    assert choose_machine(None, None, "onnxruntime").precision == "fp32"
    with pytest.raises(InputError, match="did you mean 'openvino'"):
        choose_machine("cpu", None, "openvin")
    with pytest.raises(InputError, match="precision must be bf16 or fp32, got 'int8' instead"):
        choose_machine("cpu", "int8", "torch")
    with pytest.raises(InputError, match="onnxruntime computes in fp32 or int8, got 'bf16'"):
        choose_machine("cpu", "bf16", "onnxruntime")
    with pytest.raises(InputError, match="openvino computes on the CPU, got device 'meta'"):
        choose_machine("meta", None, "openvino")


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KINDS["openvino"].__class__, "version", None)
    with pytest.raises(MissingExtra, match=r"openvino needs an extra: .*verydeep\[openvino\]"):
        random_classifier(name="A", engine="openvino").prepare(1)
