"""The program beside an exported file: right for any name of the file."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_nets import random_classifier

from verydeep.models.export.describe import describe
from verydeep.models.export.example import example_script, script_of
from verydeep.models.export.targets import Target

ABOUT = describe(random_classifier(name="A"), dense=False)

NAMES = st.text(st.characters(exclude_characters="/\\0"), min_size=1, max_size=20)


def check(name: str, target: Target) -> None:
    """Check that a program opens a file of this name, and that its text shows how to call it."""
    script = script_of(Path(name))
    tree = ast.parse(example_script(target, ABOUT, name, script))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (opened,) = [call for call in calls if getattr(call.func, "attr", "") == "with_name"]
    assert ast.literal_eval(opened.args[0]) == name
    text = ast.get_docstring(tree, clean=False)
    assert text is not None
    assert text.startswith(f"Name an image with {name}:  python {shlex.quote(script)} cat.jpg\n")


@pytest.mark.parametrize("target", ["onnx", "openvino", "torch"])
@pytest.mark.parametrize(
    "name", ["a.onnx", 'a"b.onnx', "it's.onnx", 'a\\b".onnx', '"""', "a\nb", "a b\udc80", "{x}"]
)
def test_a_name_is_quoted(name: str, target: Target) -> None:
    check(name, target)


@given(NAMES)
def test_any_name_is_quoted(name: str) -> None:
    check(name, "onnx")
