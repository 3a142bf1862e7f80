"""The program: verbs, exit codes, what goes to stdout and what to stderr.

Most of it runs in this process through ``main``, as the installed script does.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import COLOURS, Outcome, flags, strict_json, write_class_folders

Program = Callable[..., Outcome]

VERBS = (
    *("demo", "nets", "weights", "check", "train", "evaluate", "predict", "report", "figures"),
)
RESULT = {
    *("top1_error", "top5_error", "loss", "images", "unreadable", "protocol", "scales", "seconds"),
}

# Table 1 and 2 of the paper and the counts that follow from them, by hand.
PAPER = {
    "A": (11, 132_863_336, 9_220_480, 7.609),
    "A-LRN": (11, 132_863_336, 9_220_480, 7.609),
    "B": (13, 133_047_848, 9_404_992, 11.308),
    "C": (16, 133_638_952, 9_996_096, 11.771),
    "D": (16, 138_357_544, 14_714_688, 15.470),
    "E": (19, 143_667_240, 20_024_384, 19.632),
    "B-5x5": (8, 134_503_528, 10_860_672, 9.356),
}


def only_json(outcome: Outcome) -> Any:
    """Return what stdout holds: one JSON object and nothing else."""
    value = strict_json(outcome.out)
    assert isinstance(value, dict)
    return value


def fault(outcome: Outcome, code: int = 2) -> str:
    """Return the one message of a fault."""
    assert (outcome.code, outcome.out) == (code, "")
    assert "Traceback" not in outcome.err
    message = outcome.err.rstrip("\n")
    assert message.startswith("verydeep: ")
    return message.removeprefix("verydeep: ")


# ---- help ----


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str, verydeep: Program) -> None:
    outcome = verydeep(verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"Examples?:\s+\$ verydeep {verb}", outcome.out)
    assert verydeep(verb, "-h").out == outcome.out


@pytest.mark.parametrize("verb", ["check", "shard", "train", "features"])
def test_help_names_all_kinds_of_data(verb: str, verydeep: Program) -> None:
    text = verydeep(verb, "--help").out
    for kind in ("folder", "table", "COCO", "VOC", "shards", "hf:owner/name", "digits"):
        assert kind in text


def test_the_programs_help_names_the_verbs_and_a_beginning(verydeep: Program) -> None:
    outcome = verydeep("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert re.search(rf"│ {verb}\s", outcome.out)
    assert "verydeep demo" in outcome.out


def test_paragraphs_of_the_help_are_wrapped_as_a_whole(verydeep: Program) -> None:
    text = verydeep("check", "--help").out
    text = text[: text.index("Arguments")]
    paragraphs = [part.strip().splitlines() for part in re.split(r"\n\s*\n", text)]
    lines = [len(line.strip()) for part in paragraphs for line in part[:-1]]
    assert len(lines) > 3
    assert min(lines) > 60  # of 80 columns


def examples(verydeep: Program) -> list[list[str]]:
    """Return every command that the help gives as an example."""
    found = []
    for verb in VERBS:
        text = verydeep(verb, "--help").out
        for command in re.split(r"\n \$ ", text[text.index("Example") :])[1:]:
            words = command.split(" > ")[0].replace("'", "").split()
            assert words[:2] == ["verydeep", verb], command
            found.append(words[1:])
    return found


def test_the_examples_name_options_that_exist(verydeep: Program) -> None:
    commands = examples(verydeep)
    assert len(commands) > 8
    for verb, *words in commands:
        text = verydeep(verb, "--help").out
        for word in words:
            if word.startswith("--"):
                assert re.search(rf"{word}\b", text), (verb, word)


def test_the_version_is_printed(verydeep: Program) -> None:
    from verydeep import __version__

    assert verydeep("--version") == Outcome(0, f"{__version__}\n", "")


def test_the_installed_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("verydeep")
    if not script.exists():
        pytest.skip("not installed beside this Python")
    for command in ([str(script)], [sys.executable, "-m", "verydeep"]):
        done = subprocess.run([*command, "nets", "--json"], capture_output=True, check=True)
        assert len(json.loads(done.stdout)["nets"]) == len(PAPER)


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["train"], ["train", "data"], ["nets", "--size", "x"], ["predict", "--top", "0"]],
)
def test_a_wrong_command_line_is_the_users_fault(arguments: list[str], verydeep: Program) -> None:
    outcome = verydeep(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


# ---- nets ----


def test_the_table_of_nets_is_the_papers(verydeep: Program) -> None:
    rows = only_json(verydeep("nets", "--json"))["nets"]
    assert [row["name"] for row in rows] == list(PAPER)
    for row in rows:
        layers, parameters, convolutions, giga = PAPER[row["name"]]
        assert row["weight_layers"] == layers
        assert row["parameters"] == parameters
        assert row["convolution_parameters"] == convolutions
        assert round(row["multiply_adds"] / 1e9, 3) == giga


def test_the_table_for_people_has_the_same_numbers(verydeep: Program) -> None:
    outcome = verydeep("nets")
    assert (outcome.code, outcome.err) == (0, "")
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    for name, (layers, parameters, _, giga) in PAPER.items():
        for part in (f" {layers} ", f"{parameters:,}", f"{giga:.3f} G"):
            assert part in lines[name]


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (["D"], 138_357_544),
        (["a-lrn"], 132_863_336),
        # 9,220,480 in convolutions; FC: 512·2·2·4096+4096, 4096²+4096, 4096·10+10
        (["A", "--size", "64", "--classes", "10"], 9_220_480 + 8_392_704 + 16_781_312 + 40_970),
    ],
)
def test_one_net_layer_by_layer(arguments: list[str], parameters: int, verydeep: Program) -> None:
    found = only_json(verydeep("nets", *arguments, "--json"))
    assert found["parameters"] == parameters
    assert sum(layer["parameters"] for layer in found["layers"]) == parameters
    text = verydeep("nets", *arguments).out
    assert f"{parameters:,}" in text
    for layer in found["layers"]:
        assert re.search(rf"^{layer['name']} ", text, re.MULTILINE)


def test_a_net_that_is_not_there(verydeep: Program) -> None:
    assert "there is no net 'A-LNR'" in fault(verydeep("nets", "A-LNR"))
    assert "did you mean 'A-LRN'?" in fault(verydeep("nets", "A-LNR"))
    assert "at least 32" in fault(verydeep("nets", "--size", "31"))
    assert verydeep("nets", "--classes", "0").code == 2


# ---- train ----


def test_train_prints_its_metrics_and_nothing_else(
    pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    out = tmp_path / "run"
    chosen = flags("training.epochs=2")
    outcome = verydeep("train", pictures, "--out", out, *chosen, "--precision", "fp32", "--json")
    assert outcome.code == 0
    found = only_json(outcome)
    assert set(found) >= RESULT | {"epochs", "drops", "stopped_because"}
    assert found == strict_json((out / "metrics.json").read_text("utf-8"))
    for part in ("3 classes", "epoch 1:", "epoch 2:", "fp32"):
        assert part in outcome.err


def test_flags_are_settings(pictures: Path, tmp_path: Path, verydeep: Program) -> None:
    out, first = tmp_path / "run", tmp_path / "first 🐶"
    chosen = [*flags(), "--precision", "fp32"]
    assert verydeep("train", pictures, "--out", first, *chosen, "--epochs", 1).code == 0
    given = ["--net", "B", "--epochs", "1", "--seed", "7", "--device", "cpu", "--init-from", first]
    outcome = verydeep("train", pictures, "--out", out, *chosen, *given)
    assert outcome.code == 0, outcome.err
    written = yaml.safe_load((out / "recipe.yaml").read_text("utf-8"))
    assert written["net"]["name"] == "B"
    assert written["initialize"]["source"] == str(first)
    training = written["training"]
    assert (training["epochs"], training["seed"]) == (1, 7)
    assert (training["device"], training["precision"]) == ("cpu", "fp32")
    assert "conv1_1: copied" in outcome.err
    text = outcome.out
    for part in ("center, Q = 36", "dense, Q = 36", "top-1 error", str(out / "model")):
        assert part in text


def test_a_recipe_may_be_a_file(pictures: Path, tmp_path: Path, verydeep: Program) -> None:
    file, out = tmp_path / "mine.yaml", tmp_path / "run"
    file.write_text(
        "net: {name: A, input_size: 32, width: 0.125, hidden: 64}\n"
        "data: {train_scale: 32}\ntraining: {batch: 8, epochs: 1, precision: fp32}\n"
    )
    outcome = verydeep(
        "train", pictures, "--out", out, "--recipe", file, "--set", "data.flip=false"
    )
    assert outcome.code == 0, outcome.err
    written = yaml.safe_load((out / "recipe.yaml").read_text("utf-8"))
    assert (written["data"]["train_scale"], written["data"]["flip"]) == (32, False)


def test_every_fault_of_a_recipe_is_listed(tmp_path: Path, verydeep: Program) -> None:
    message = fault(
        verydeep(
            *("train", "nowhere", "--out", tmp_path / "run", "--net", "F", "--precision", "fp8"),
            *("--set", "training.bach=3", "--set", "training.momentum=2", "--epochs", 0),
        )
    )
    paths = [line.split(":")[0].strip() for line in message.splitlines()[1:]]
    assert sorted(paths) == [
        *("net.name", "training.bach", "training.epochs"),
        *("training.momentum", "training.precision"),
    ]
    assert not (tmp_path / "run").exists()


def test_faults_of_a_training_are_messages(
    pictures: Path, trained_run: Path, tmp_path: Path, verydeep: Program
) -> None:
    out = tmp_path / "run"

    def train(data: object, run: object, *more: object) -> str:
        return fault(verydeep("train", data, "--out", run, *flags("training.epochs=1"), *more))

    assert "no such file or folder" in train(tmp_path / "nowhere", out)
    assert not out.exists()
    assert "already contains a run" in train(pictures, trained_run)
    assert "no run to resume" in train(pictures, out, "--resume")
    assert "device 'gpu'" in train(pictures, out, "--device", "gpu")
    begun = verydeep(
        *("train", pictures, "--out", out, *flags(), "--init-from", tmp_path / "nowhere")
    )
    last = begun.err.splitlines()[-1]
    assert (begun.code, begun.out) == (2, "")
    assert last.startswith(f"verydeep: {tmp_path / 'nowhere'}: no such folder")


def test_a_finished_run_can_be_resumed_for_its_metrics(
    pictures: Path, trained_run: Path, verydeep: Program
) -> None:
    outcome = verydeep("train", pictures, "--out", trained_run, "--resume", "--json")
    assert only_json(outcome) == strict_json((trained_run / "metrics.json").read_text("utf-8"))
    assert "finished already" in outcome.err


def test_a_training_that_stops_exits_with_1(
    pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    chosen = flags("training.learning_rate=1e30")
    outcome = verydeep("train", pictures, "--out", tmp_path / "run", *chosen, "--json")
    assert (outcome.code, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert last.startswith("verydeep: the loss became")
    assert "Traceback" not in outcome.err


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


def test_an_interrupted_program_exits_with_130(
    tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.run.demo.train", failing(KeyboardInterrupt()))
    outcome = verydeep("demo", "--out", tmp_path / "demo")
    assert (outcome.code, outcome.out) == (130, "")


def test_an_interrupted_program_says_so(
    tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.run.demo.train", failing(KeyboardInterrupt()))
    assert "interrupted" in verydeep("demo", "--out", tmp_path / "demo").err


def test_a_fault_of_ours_is_not_hidden(
    tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.run.demo.train", failing(RuntimeError("ours")))
    with pytest.raises(RuntimeError, match="ours"):  # for which Python exits with 1
        verydeep("demo", "--out", tmp_path / "demo")


# ---- evaluate ----


def test_evaluate_prints_one_object(trained_run: Path, verydeep: Program) -> None:
    outcome = verydeep(
        *("evaluate", trained_run, "--device", "cpu", "--precision", "fp32", "--json")
    )
    found = only_json(outcome)
    assert set(found) >= RESULT
    metrics = strict_json((trained_run / "metrics.json").read_text("utf-8"))
    for key in RESULT - {"seconds"}:
        assert found[key] == metrics[key]
    assert "\x1b" not in outcome.err


def test_evaluate_does_as_it_is_told(trained_run: Path, pictures: Path, verydeep: Program) -> None:
    outcome = verydeep(
        *("evaluate", trained_run / "model", "--data", pictures, "--split", "train", "--json"),
        *("--protocol", "center", "--scales", "32,40", "--no-flip"),
    )
    found = only_json(outcome)
    assert (found["split"], found["images"]) == ("train", 24)
    assert (found["protocol"], found["scales"], found["flip"]) == ("center", [32, 40], False)


def test_several_models_are_fused(trained_run: Path, verydeep: Program) -> None:
    twice = only_json(verydeep("evaluate", trained_run, trained_run / "model", "--json"))
    once = only_json(verydeep("evaluate", trained_run, "--json"))
    assert twice["models"] == ["A", "A"]
    assert twice["loss"] == pytest.approx(once["loss"], rel=1e-6)


def test_evaluate_for_people(trained_run: Path, verydeep: Program) -> None:
    outcome = verydeep("evaluate", trained_run)
    assert (outcome.code, outcome.err) == (0, "")
    for part in ("dense, Q = 36, with mirror image", "12 counted, 0 unreadable", "accuracy"):
        assert part in outcome.out


def test_unreadable_pictures_are_listed_on_stderr(
    trained_run: Path, tmp_path: Path, verydeep: Program
) -> None:
    data = write_class_folders(tmp_path / "data", 2)
    (data / "red" / "00.png").write_bytes(b"")
    outcome = verydeep("evaluate", trained_run, "--data", data, "--json")
    found = only_json(outcome)
    assert (found["unreadable"], found["images"]) == (["red/00.png"], 5)
    assert "1 image cannot be read" in outcome.err
    assert "  red/00.png\n" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "centre"], "did you mean 'center'?"),
        (["--scales", "36,big"], "--scales must be single, multi, or whole numbers"),
        (["--scales", "31"], "at least 32"),
        (["--scales", "-36"], "at least 32"),
        (["--split", "tests"], "no split 'tests'"),
        (["--data", "nowhere"], "no such file or folder"),
        (["--precision", "fp8"], "bf16 or fp32"),
        (["--device", "gpu"], "device 'gpu'"),
    ],
)
def test_faults_of_an_evaluation_are_messages(
    arguments: list[str], words: str, trained_run: Path, verydeep: Program
) -> None:
    assert words in fault(verydeep("evaluate", trained_run, *arguments))


def test_a_folder_that_is_no_model(tmp_path: Path, verydeep: Program) -> None:
    assert "neither a model folder" in fault(verydeep("evaluate", tmp_path))
    assert "no such folder" in fault(verydeep("predict", tmp_path / "x", tmp_path))


# ---- predict ----


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    """A folder of three images, of which one is broken, and something else."""
    folder = write_class_folders(tmp_path / "holiday", 1)
    (folder / "green" / "00.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("sunny")
    return folder


def test_predictions_as_json(trained_run: Path, holiday: Path, verydeep: Program) -> None:
    outcome = verydeep("predict", trained_run, holiday, "--top", 2, "--json")
    assert outcome.code == 0
    found = only_json(outcome)
    assert found["unreadable"] == [str(holiday / "green" / "00.png")]
    files = [prediction["file"] for prediction in found["predictions"]]
    assert files == [str(holiday / name / "00.png") for name in ("blue", "red")]
    for prediction, name in zip(found["predictions"], ("blue", "red"), strict=True):
        assert prediction["classes"][0]["class"] == name
        assert len(prediction["classes"]) == 2
        assert 1 / 3 < prediction["classes"][0]["probability"] <= 1
    assert "1 image cannot be read" in outcome.err


def test_predictions_as_csv(trained_run: Path, holiday: Path, verydeep: Program) -> None:
    awkward = holiday / 'a, "b"\nc.png'
    shutil.copy(holiday / "red" / "00.png", awkward)
    outcome = verydeep("predict", trained_run, holiday, awkward, "--csv")
    assert outcome.code == 0
    head, *rows = csv.reader(io.StringIO(outcome.out))
    assert head == ["file"] + [
        f"{what}_{n}" for n in (1, 2, 3) for what in ("class", "probability")
    ]
    by_file = {row[0]: row[1:] for row in rows}
    assert set(by_file) == {
        *(str(holiday / name / "00.png") for name in COLOURS),
        str(awkward),
    }
    assert len(rows) == 5
    assert by_file[str(awkward)][0] == "red"
    for cells in by_file.values():
        if any(cells):
            assert sum(float(cell) for cell in cells[1::2]) == pytest.approx(1, abs=1e-5)


def test_all_rows_of_a_csv_are_of_one_length(
    trained_run: Path, holiday: Path, verydeep: Program
) -> None:
    rows = list(csv.reader(io.StringIO(verydeep("predict", trained_run, holiday, "--csv").out)))
    assert {len(row) for row in rows} == {7}


def test_predictions_for_people(trained_run: Path, holiday: Path, verydeep: Program) -> None:
    outcome = verydeep("predict", trained_run, holiday / "red" / "00.png", "--top", 1)
    lines = outcome.out.splitlines()
    assert lines[0] == str(holiday / "red" / "00.png")
    assert re.fullmatch(r" +\d+\.\d %  red", lines[1])
    assert (len(lines), outcome.err) == (2, "")


def test_faults_of_a_prediction_are_messages(
    trained_run: Path, holiday: Path, verydeep: Program
) -> None:
    assert "no such file" in fault(verydeep("predict", trained_run, holiday / "nowhere.png"))
    picture = holiday / "red" / "00.png"
    assert "exclude" in fault(verydeep("predict", trained_run, picture, "--json", "--csv"))
    broken = verydeep("predict", trained_run, holiday / "green", "--json")
    assert broken.code == 2
    assert only_json(broken)["predictions"] == []
    assert broken.err.splitlines()[-1] == "verydeep: none of the images can be read"


def test_a_file_name_in_another_encoding_does_not_end_a_prediction(
    trained_run: Path, holiday: Path
) -> None:
    odd = os.fsencode(holiday) + b"/caf\xe9.png"
    shutil.copy(holiday / "red" / "00.png", odd)
    done = subprocess.run(
        [sys.executable, "-m", "verydeep", "predict", str(trained_run), odd, "--json"],
        capture_output=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["predictions"]) == 1
    assert b"caf" in done.stdout


# ---- report, demo, debug ----


def test_report_names_its_file(trained_run: Path, verydeep: Program) -> None:
    before = (trained_run / "report.html").read_bytes()
    try:
        outcome = verydeep("report", trained_run)
        assert outcome == Outcome(0, f"{trained_run / 'report.html'}\n", "")
        told = strict_json(verydeep("report", trained_run, "--json").out)
        metrics = json.loads((trained_run / "metrics.json").read_text("utf-8"))
        assert told == {"report": str(trained_run / "report.html"), **metrics}
    finally:
        (trained_run / "report.html").write_bytes(before)


def test_report_tests_again_when_told_to(
    trained_run: Path, tmp_path: Path, verydeep: Program
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run" / "answers.jsonl").unlink()
    assert verydeep("report", tmp_path / "run", "--test").code == 0
    assert (tmp_path / "run" / "answers.jsonl").is_file()
    (tmp_path / "run" / "metrics.json").unlink()
    assert "no finished run" in fault(verydeep("report", tmp_path / "run", "--test"))


def test_a_report_needs_a_run(tmp_path: Path, verydeep: Program) -> None:
    assert "not a run folder" in fault(verydeep("report", tmp_path))


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verydeep", "nets", "F"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 2
    assert plain.stderr.startswith("verydeep: there is no net 'F'; the paper has A, A-LRN, B, C,")
    assert plain.stderr.count("\n") == 1
    for debug in ([*command, "--debug"], [*command[:3], "--debug", *command[3:]]):
        loud = subprocess.run(debug, capture_output=True, text=True, check=False)
        assert "Traceback (most recent call last)" in loud.stderr
        assert "there is no net 'F'" in loud.stderr
        assert loud.stdout == ""


def test_debug_keeps_the_exit_code() -> None:
    command = [sys.executable, "-m", "verydeep", "nets", "F", "--debug"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("arguments", [["nets"], ["nets", "E", "--json"], ["--help"]])
def test_a_reader_that_has_gone_gets_no_traceback(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "verydeep", *arguments]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert "Traceback" not in done.stderr
