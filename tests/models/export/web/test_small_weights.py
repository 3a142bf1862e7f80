"""Weights in 8 bits, run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from web_parts import narrow

from verydeep.models.export.graph import onnx_graph
from verydeep.models.export.web.small_weights import rounded, with_int8_weights

pytest.importorskip("onnx")


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.floats(-1e3, 1e3, width=32),
    )
)
def test_no_weight_moves_by_more_than_half_a_step(weights: np.ndarray) -> None:
    values, scale = rounded(weights)
    assert (values.dtype, scale.dtype) == (np.int8, np.float32)
    steps = scale.astype(np.float64).reshape(-1, *[1] * (weights.ndim - 1))
    assert (np.abs(values * steps - weights) <= steps * 0.5001 + 1e-30).all()
    assert values.min() >= -127


@pytest.mark.parametrize("dense", [True, False])
def test_a_graph_of_a_quarter_answers_nearly_the_same(dense: bool) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = narrow("D")
    graph = onnx_graph(model, dense=dense)
    whole = graph.SerializeToString()
    with_int8_weights(graph)
    pytest.importorskip("onnx").checker.check_model(graph, full_check=True)
    small = graph.SerializeToString()
    side = (40, 37) if dense else (32, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *side, 3), np.uint8)
    exact, near = (
        runtime.InferenceSession(one, providers=["CPUExecutionProvider"]).run(
            ["probabilities"], {"images": pixels}
        )[0]
        for one in (whole, small)
    )
    assert len(small) < 0.5 * len(whole)  # of a net this narrow the names are much
    assert 0 < np.abs(exact - near).max() < 0.05
