"""Check of the graph in a program of PyTorch.

``torch.export.load`` looks up the functions that a graph names anywhere below ``torch``, evaluates
the expressions of its sizes as Python, and compiles its guards. So every text of the graph must be
one that ``verydeep export`` may write.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?:_assert_tensor_metadata|_softmax|_to_copy|adaptive_avg_pool2d|add|"
    r"addmm|alias|"
    r"amax|avg_pool[23]d|batch_norm|bmm|cat|chunk|clamp|clamp_min|clone|constant_pad_nd|contiguous|"
    r"conv2d|convolution|detach|div|dropout|exp|expand|flatten|full|index_select|"
    r"lift_fresh_copy|linalg_vector_norm|linear|matmul|max|max_pool2d|mean|mm|mul|narrow|neg|norm|"
    r"ones|pad|permute|pow|relu|reshape|rsqrt|rsub|select|sigmoid|slice|softmax|split|"
    r"split_with_sizes|sqrt|squeeze|stack|sub|sum|sym_size|t|tanh|to|transpose|unbind|unsqueeze|"
    r"view|zeros|zeros_like)\.\w+"
    r"|_operator\.(?:add|sub|mul|floordiv|mod|ge|gt|le|lt|eq|getitem)|torch\.sym_(?:max|min)",
    re.ASCII,
)
"""Operators that our nets need, and others that versions of PyTorch may use for them."""

_SIZE = re.compile(
    r"(?:Symbol\('[a-z]+\d+'(?:, (?:positive|integer)=True)*\)"
    r"|(?:Integer|Add|Mul|Max|Min|FloorDiv|CleanDiv|Mod|PythonMod)\("
    r"|[su]\d{1,9}\b|\d{1,19}\b|\*(?!\*)|[-+/%(), ])+",
    re.ASCII,
)
"""Expressions of sizes; without powers, which could take for ever."""

_GUARD = re.compile(
    r"(?:L\['images'\]\.size\(\)\[\d\]|\b(?:and|or|not)\b"
    r"|(?:torch\.sym_(?:max|min)|[Mm]ax|[Mm]in|Mod|FloorDiv|PythonMod|Eq|Ne)\("
    r"|\d{1,19}\b|\*(?!\*)|[-+/%()<>=!, ])+",
    re.ASCII,
)
"""Conditions on the sizes of the input."""

_NAME = re.compile(r"(?!.*__)[\w.+-]*", re.ASCII)
"""Names of values, weights, layers, devices and versions."""

_INERT = frozenset({"stack_trace", "nn_module_stack", "torch_fn", "from_node"})
"""Descriptions of a node that nothing evaluates."""

_ARGUMENT = re.compile(
    r"as_(?:none|(?:tensor|int|float|bool|sym_int|sym_bool|optional_tensor)s?"
    r"|string|name|expr|scalar_type|memory_format|layout|device)"
)
"""Kinds of arguments; not functions, graphs and objects."""

_EMPTY = frozenset({"custom_obj_values", "treespec_namedtuple_fields"})

_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")

_LONGEST = 10_000
"""Maximum length of an expression."""


class UnexpectedContent(ValueError):
    """Something that ``verydeep export`` does not write."""


def check_program(value: Any, key: str = "") -> None:
    """Refuse a graph that may do anything but compute with tensors.

    Args:
        value: The graph, or a part of it, as parsed from JSON.
        key: Key under which the part stands.

    Raises:
        UnexpectedContent: A text, a key or an operator is none of ours.
    """
    if key in _EMPTY and value:
        raise UnexpectedContent(f"{key} are not empty")
    if isinstance(value, dict):
        for name, part in value.items():
            _check_key(name, key)
            if key != "metadata":
                check_program(part, name)
    elif isinstance(value, list):
        for part in value:
            check_program(part, key)
    elif isinstance(value, str):
        _check_text(value, key)


def _check_key(name: str, parent: str) -> None:
    known = not name.startswith("as_") or _ARGUMENT.fullmatch(name) is not None
    if parent == "metadata":
        known = name in _INERT
    if not known or not _NAME.fullmatch(name):
        raise UnexpectedContent(f"{name[:100]!r} in its graph")


def _check_text(text: str, key: str) -> None:
    match key:
        case "target":
            fits = _OPERATOR.fullmatch(text) is not None
        case "expr_str":
            fits = len(text) <= _LONGEST and _SIZE.fullmatch(text) is not None
        case "guards_code":
            fits = len(text) <= _LONGEST and _GUARD.fullmatch(text) is not None
        case "in_spec" | "out_spec":
            fits = _is_plain(json.loads(text))
        case _:
            fits = _NAME.fullmatch(text) is not None
    if not fits:
        raise UnexpectedContent(f"{text[:100]!r} in its graph")


def _is_plain(spec: Any) -> bool:
    """Return whether a structure of inputs or outputs is made of tuples, lists and dicts."""
    match spec:
        case [1, {"type": kind, "context": context, "children_spec": list(parts), **other}]:
            plain = kind in _CONTAINERS and context in (None, "null", "[]") and not other
            return plain and all(_is_plain([1, part]) for part in parts)
        case _:
            return False
