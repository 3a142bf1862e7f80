"""Programs of PyTorch from strangers: what could run code is refused before anything is loaded."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_nets import random_classifier
from torch.export.pt2_archive import PT2ArchiveReader, PT2ArchiveWriter
from torch.export.pt2_archive import constants as names

import verydeep
from verydeep.errors import ModelError
from verydeep.models.classifier import Classifier
from verydeep.models.export.describe import describe
from verydeep.models.export.targets import write_target
from verydeep.models.exported.classifier import load_exported
from verydeep.models.exported.pt2_archive import check_archive
from verydeep.models.exported.pt2_program import UnexpectedContent, check_program
from verydeep.models.exported.session import TorchSession
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.googlenet import googlenet
from verydeep.nets.lecun1989 import lecun1989
from verydeep.nets.senet import senet154

PROGRAM = names.MODELS_FILENAME_FORMAT.format("model")
EXAMPLE = names.SAMPLE_INPUTS_FILENAME_FORMAT.format("model")
WEIGHTS = names.WEIGHTS_CONFIG_FILENAME_FORMAT.format("model")
CONSTANTS = names.CONSTANTS_CONFIG_FILENAME_FORMAT.format("model")

Members = dict[str, bytes]


class Command:
    """An object whose unpickling runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program of any size, as it is exported."""
    model = random_classifier(name="A")
    path = tmp_path_factory.mktemp("program") / "a.pt2"
    write_target(model, describe(model, dense=True), "torch", path)
    return path


def members_of(path: Path) -> Members:
    reader = PT2ArchiveReader(str(path))
    own = ("byteorder", ".data/")  # which the writer adds
    return {n: reader.read_bytes(n) for n in reader.get_file_names() if not n.startswith(own)}


def write(path: Path, members: Members) -> Path:
    with PT2ArchiveWriter(str(path)) as writer:
        for name, data in members.items():
            writer.write_bytes(name, data)
    return path


def edit(members: Members, name: str, change: Callable[[Any], object]) -> None:
    value = json.loads(members[name])
    change(value)
    members[name] = json.dumps(value).encode()


def first(config: dict[str, Any]) -> dict[str, Any]:
    return next(iter(config["config"].values()))  # type: ignore[no-any-return]


# ---- ours ----


def test_an_exported_program_is_loaded(file: Path) -> None:
    check_archive(file)
    answers = load_exported(file).predict(np.zeros((40, 48, 3), np.uint8))
    assert sum(answers[0].probabilities) == pytest.approx(1)


def test_no_file_tells_the_folders_of_the_machine_that_wrote_it(file: Path) -> None:
    folders = [Path(module.__file__).parent.as_posix().encode() for module in (verydeep, torch)]
    for data in members_of(file).values():
        assert not any(folder in data for folder in folders)


def test_the_rewriting_of_these_tests_changes_nothing(file: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "a.pt2", members_of(file))
    images = np.zeros((1, 40, 48, 3), np.uint8)
    found, wanted = (TorchSession(path).run(images) for path in (again, file))
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.slow
@pytest.mark.parametrize("make", [googlenet, senet154, lecun1989])
def test_the_other_nets_are_loaded(make: Callable[..., Any], tmp_path: Path) -> None:
    settings = {} if make is lecun1989 else {"input_size": 64, "width": 0.1}
    net = make(num_classes=3, **settings).eval()
    preprocessing = Preprocessing((120.0,) * 3, 60.0, net.channels)
    model = random_classifier(name="A", num_classes=3)
    model = dataclasses.replace(model, net=net, preprocessing=preprocessing)
    write_target(model, describe(model, dense=False), "torch", tmp_path / "a.pt2")
    check_archive(tmp_path / "a.pt2")


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(64, 64), (97, 131), (300, 64)])
def test_a_dense_program_of_the_branching_net_answers_for_every_size(
    sides: tuple[int, int], dense_googlenet: tuple[Classifier, TorchSession]
) -> None:
    model, session = dense_googlenet
    image = np.random.default_rng(0).integers(256, size=(1, *sides, 3), dtype=np.uint8)
    found = session.run(image).scores
    scores = model.score_map(image.transpose(0, 3, 1, 2).copy())
    assert found.shape == scores.shape
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def dense_googlenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, TorchSession]:
    net = googlenet(num_classes=3, input_size=64, width=0.1).eval()
    model = dataclasses.replace(random_classifier(name="A", num_classes=3), net=net)
    path = tmp_path_factory.mktemp("googlenet") / "a.pt2"
    write_target(model, describe(model, dense=True), "torch", path)
    return model, TorchSession(path)


# ---- files that have PyTorch run a command when it loads or runs them ----


def opaque(members: Members, command: str) -> None:
    meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    members[CONSTANTS] = json.dumps({"config": {"x": meta}}).encode()
    members["data/constants/opaque_obj_0"] = pickle.dumps(Command(command))


def pickled_constant(members: Members, command: str) -> None:
    meta = {"path_name": "tensor_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    members[CONSTANTS] = json.dumps({"config": {"x": meta}}).encode()
    members["data/constants/tensor_0"] = saved(Command(command))


def pickled_weight(members: Members, command: str) -> None:
    edit(members, WEIGHTS, lambda value: first(value).update(use_pickle=True))
    name = first(json.loads(members[WEIGHTS]))["path_name"]
    members[f"data/weights/{name}"] = saved(Command(command))


def old_weights(members: Members, command: str) -> None:
    members["data/weights/model.pt"] = saved(Command(command))


def old_constants(members: Members, command: str) -> None:
    members["data/constants/model.pt"] = saved(Command(command))


def example(members: Members, command: str) -> None:
    members[EXAMPLE] = saved(Command(command))


def size(members: Members, command: str) -> None:
    def change(program: Any) -> None:
        values = program["graph_module"]["graph"]["tensor_values"]
        text = f"__import__('os').system({command!r})"
        values["images"]["sizes"][0] = {"as_expr": {"expr_str": text, "hint": None}}

    edit(members, PROGRAM, change)


def guard(members: Members, command: str) -> None:
    text = f"__import__('os').system({command!r}) == 0"
    edit(members, PROGRAM, lambda program: program.update(guards_code=[text]))


def operator(members: Members, command: str) -> None:
    def change(program: Any) -> None:
        nodes = program["graph_module"]["graph"]["nodes"]
        (node,) = [node for node in nodes if node["target"].endswith("contiguous.default")]
        node["target"] = "torch.serialization.os.system"
        node["inputs"] = [{"name": "command", "arg": {"as_string": command}, "kind": 1}]

    edit(members, PROGRAM, change)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


DANGERS = [
    *(opaque, pickled_constant, pickled_weight, old_weights, old_constants, example),
    *(size, guard, operator),
]


@pytest.mark.parametrize("danger", DANGERS)
def test_a_file_that_runs_a_command_is_refused(
    danger: Callable[[Members, str], None], file: Path, tmp_path: Path
) -> None:
    members, proof = members_of(file), tmp_path / "proof"
    danger(members, f"touch {proof}")
    path = write(tmp_path / "a.pt2", members)
    with pytest.raises(ModelError, match="not written by verydeep export"):
        load_exported(path).predict(np.zeros((40, 48, 3), np.uint8))
    assert not proof.exists()


def test_code_is_refused_wherever_the_graph_has_a_text(file: Path) -> None:
    program = json.loads(members_of(file)[PROGRAM])
    check_program(program)
    found = {key: (part, place) for key, part, place in texts(program)}
    assert {"target", "expr_str", "name", "in_spec", "parameter_name", "type"} <= set(found)
    for part, place in found.values():
        for code in ("__import__('os').system('a')", "a; b", "a()", "a\nb"):
            with_code = copy.deepcopy(part)
            with_code[place] = json.dumps([1, code]) if str(place).endswith("_spec") else code
            with pytest.raises(UnexpectedContent):
                check_program(with_code)


def texts(value: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the keys of texts in dicts, with the dict, apart from descriptions of nodes."""
    for key, part in value.items() if isinstance(value, dict) else ():
        if isinstance(part, str):
            yield key, value, key
        if key != "metadata":
            yield from texts(part)
    for part in value if isinstance(value, list) else ():
        yield from texts(part)


def test_descriptions_of_nodes_are_not_evaluated(file: Path, tmp_path: Path) -> None:
    members, proof = members_of(file), tmp_path / "proof"
    code = f"__import__('os').system('touch {proof}')"

    def change(program: Any) -> None:
        for node in program["graph_module"]["graph"]["nodes"]:
            node["metadata"] = {
                "stack_trace": f"\n{code}\n",
                "nn_module_stack": f"a,{code},{code}",
                "torch_fn": f"{code};{code}",
                "from_node": json.dumps([{"name": code, "target": code, "graph_id": code}]),
            }

    edit(members, PROGRAM, change)
    load_exported(write(tmp_path / "a.pt2", members)).predict(np.zeros((40, 48, 3), np.uint8))
    assert not proof.exists()


# ---- other things that do not belong there ----


@pytest.mark.parametrize(
    "name",
    [
        "data/aotinductor/model/a.so",
        "data/constants/custom_obj_0",
        "models/other.json",
        "data/weights/../x",
        "extra/other.json",
        "data/executorch/a.pte",
    ],
)
def test_other_members_are_refused(name: str, file: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt2", {**members_of(file), name: b"x"})
    with pytest.raises(ModelError, match="it contains"):
        check_archive(path)


def test_members_that_only_the_other_reader_finds_are_refused(file: Path, tmp_path: Path) -> None:
    """PyTorch reads archives of an older format by zipfile, which may see another directory."""
    path = tmp_path / "a.pt2"
    path.write_bytes(file.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("version", "8.1")
    with pytest.raises((ModelError, RuntimeError)):
        check_archive(path)


def test_compressed_members_are_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(ModelError, match="is compressed"):
        check_archive(path)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("target", f"torch.ops.aten.{name}.default") for name in ("from_file", "set_data")),
        *(("target", name) for name in ("torch.load", "_operator.attrgetter", "math.pow", "#a.b")),
        *(("expr_str", text) for text in ("s0.__class__", "9**9**9", "eval('1')", "Symbol('x y')")),
        *(("guards_code", text) for text in ("L['images'].a", "open('a')", "9**9", "1\n2", "L")),
        ("name", "x): import os"),
        ("parameter_name", "__class__.a"),
        ("in_spec", '[1, {"type": "a.Enum", "context": null, "children_spec": []}]'),
        ("in_spec", '[1, {"type": null, "context": "{\\"__enum__\\": 1}", "children_spec": []}]'),
    ],
)
def test_texts_that_are_evaluated_must_be_ours(key: str, text: str) -> None:
    with pytest.raises(UnexpectedContent):
        check_program({"graph": [{key: text}]})


@pytest.mark.parametrize(
    "part",
    [
        {"as_operator": "torch.relu"},
        {"as_string": "a b"},
        {"as_graph": {}},
        {"custom_obj_values": {"a": 1}},
        {"metadata": {"source_fn_stack": "a,torch.load"}},
        {"a b": 1},
    ],
)
def test_other_kinds_of_values_are_refused(part: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedContent):
        check_program({"graph": part})
