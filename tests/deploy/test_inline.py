"""Functions in place of the nodes that call them, against ONNX Runtime, which runs both, and onnx's own inliner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx.parser
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy.choose import BUNDLED
from detforge.deploy.model_file.inline import inline_functions
from detforge.deploy.model_file.metadata import metadata_of

NESTED = """
<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
agraph (float[n, 4] x, float[n, 4] w) => (float[n, 4] y, float[n, 4] z)
{
    t = own.Scale <factor = 3.0> (x)
    y = own.Twice (t, w)
    z = own.Twice (y)
}
<domain: "own", opset_import: ["" : 20]>
Scale <factor: float, offset: float = 1.5> (a) => (b)
{
    by = Constant <value_float: float = @factor> ()
    more = Constant <value_float: float = @offset> ()
    t = Mul (a, by)
    b = Add (t, more)
}
<domain: "own", opset_import: ["" : 20, "own" : 1]>
Twice (a, m) => (b)
{
    limits = Constant <value = float {-2.0}> ()
    t = own.Scale <factor = 0.5, offset = 0.25> (a)
    u = own.Scale <factor = 2.0> (t)
    b = Clip (u, limits)
}
"""

LOOP = """
<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
agraph (float[4, 3] x) => (float[4, 3] y, float[4, 3] z)
{
    y = own.Running (x)
    z = own.Running (y)
}
<domain: "own", opset_import: ["" : 20]>
Running (x) => (maxima)
{
    axis = Constant <value = int64[1] {0}> ()
    first = Constant <value = int64 {0}> ()
    start = Gather <axis = 0> (x, first)
    last, maxima = Scan <num_scan_inputs = 1,
        body = step (float[3] before, float[3] row) => (float[3] after, float[3] seen)
        { after = Max (before, row) seen = Identity (after) }> (start, x)
}
"""


def results(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


@pytest.mark.parametrize("text", [NESTED, LOOP], ids=["nested", "loop"])
def test_the_results_stay(text: str) -> None:
    model = onnx.parser.parse_model(text)
    own = onnx.ModelProto.FromString(inline_functions(model.SerializeToString()))
    onnx.checker.check_model(own)
    assert not own.functions and {node.domain for node in own.graph.node} == {""}
    rng = np.random.default_rng(0)
    feeds = {i.name: rng.standard_normal((4, 3 if text is LOOP else 4), np.float32) for i in model.graph.input}
    for mine, expected in zip(results(own, feeds), results(model, feeds), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_the_bundled_model_keeps_everything_else() -> None:
    before = onnx.load(BUNDLED)
    after = onnx.ModelProto.FromString(inline_functions(BUNDLED.read_bytes()))
    assert before.functions and not after.functions
    assert metadata_of(BUNDLED.read_bytes()) == {p.key: p.value for p in before.metadata_props}
    theirs = onnx.inliner.inline_local_functions(before)
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in theirs.graph.node]
    for name in ("input", "output", "initializer"):
        assert getattr(after.graph, name) == getattr(before.graph, name)
    names = [name for node in after.graph.node for name in node.output if name]
    assert len(names) == len(set(names))


def test_a_file_without_functions_stays_as_it_is(color_model: Path) -> None:
    data = color_model.read_bytes()
    assert inline_functions(data) is data


@given(st.data())
def test_broken_files_are_value_errors(data: st.DataObject) -> None:
    model = bytearray(onnx.parser.parse_model(NESTED).SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(model[: data.draw(st.integers(0, len(model)))])
    try:
        inline_functions(broken)
        metadata_of(broken)
    except ValueError:
        pass
