"""What the rungs of the ladder share: every operator's cases, in each precision, with the float64 oracle's answer.

A rung is one way to run an operator. It takes the same inputs as the oracle, rounded to its precision beforehand, so
that its own arithmetic alone is judged.
"""

import contextlib
import importlib
from collections.abc import Generator
from functools import cache
from typing import Any

import numpy as np
import onnx
import op_oracles as oracles
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from detforge.plugins.core.abi import Buffer, Call, Library
from detforge.plugins.core.case import Case
from detforge.plugins.core.node import DOMAIN, VERSION
from detforge.plugins.operators import FLOAT_INPUTS, FUNCTIONS, OPERATORS

Array = NDArray[Any]

# Largest difference that a rung may show, as a share of the largest value: half of it is the rounding of the result.
TOLERANCES = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}
ONNX_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
STORAGE: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


def _cases() -> dict[str, Case]:
    folders = [operator.__package__ for operator in OPERATORS if hasattr(operator, "FUNCTIONS")]
    cases = [case for folder in folders for case in importlib.import_module(f"{folder}.cases").CASES]
    named = {f"{case.op}: {case.name}": case for case in cases}
    assert len(named) == len(cases), "two cases have one name"
    return named


CASES = _cases()

RECORDED: dict[str, Array] = {}
"""Oracles' answers that were computed before, by `case/dtype`."""


@cache
def rounded_inputs(name: str, dtype: str) -> tuple[Array, ...]:
    """A case's inputs with the values that they can hold in a call of `dtype`, as float32."""
    return tuple(round_to(x, kind) for x, kind in zip(CASES[name].inputs(), input_dtypes(name, dtype), strict=True))


def input_dtypes(name: str, dtype: str) -> list[str]:
    """The type of each input of a case in a call of `dtype`."""
    op = CASES[name].op
    return ["float32" if i in FLOAT_INPUTS.get(op, ()) else dtype for i in range(len(FUNCTIONS[op].input))]


def stored_inputs(name: str, dtype: str) -> list[Array]:
    """A case's inputs in a call of `dtype`, as they are stored."""
    inputs = zip(rounded_inputs(name, dtype), input_dtypes(name, dtype), strict=True)
    return [np.ascontiguousarray(to_storage(x, kind)) for x, kind in inputs]


@cache
def oracle(name: str, dtype: str) -> Array:
    """The float64 answer to the rounded inputs."""
    if f"{name}/{dtype}" in RECORDED:
        return RECORDED[f"{name}/{dtype}"]
    case = CASES[name]
    inputs = [x.astype(np.float64) for x in rounded_inputs(name, dtype)]
    with np.errstate(all="ignore"):
        return oracles.ORACLES[case.op](*inputs, **case.attributes)


def round_to(x: Array, dtype: str) -> Array:
    """float32 values that `dtype` can hold, nearest to x."""
    if dtype == "bfloat16":
        return from_storage(to_storage(x, dtype), dtype)
    with np.errstate(over="ignore"):
        return x.astype(dtype).astype(np.float32)


def to_storage(x: Array, dtype: str) -> Array:
    """float32 to what is stored: bfloat16 as its 16 bits."""
    if dtype != "bfloat16":
        return x.astype(dtype)
    bits = x.view(np.uint32).astype(np.uint64)
    nearest = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), nearest)


def from_storage(x: Array, dtype: str) -> Array:
    """What is stored to float32."""
    return (x.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else x.astype(np.float32)


def assert_equals_oracle(result: Array, name: str, dtype: str) -> None:
    """The result is the oracle's, within the tolerance of its precision; NaN and infinities in the same places."""
    expected = oracle(name, dtype)
    assert result.shape == expected.shape
    limit = np.finfo(np.float16).max if dtype == "float16" else np.finfo(np.float32).max
    expected = np.where(np.abs(expected) > limit, np.copysign(np.inf, expected), expected)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(result[~finite], expected[~finite].astype(np.float32), f"{name}, {dtype}")
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    np.testing.assert_allclose(
        result[finite], expected[finite], rtol=0, atol=TOLERANCES[dtype] * scale, err_msg=f"{name}, {dtype}"
    )


def model(name: str, dtype: str) -> onnx.ModelProto:
    """The case's node alone in a file, with its function."""
    case = CASES[name]
    function = FUNCTIONS[case.op]
    inputs = rounded_inputs(name, dtype)
    kind = ONNX_TYPES[dtype]
    values = [
        helper.make_tensor_value_info(argument, ONNX_TYPES[own], x.shape)
        for argument, own, x in zip(function.input, input_dtypes(name, dtype), inputs, strict=True)
    ]
    marks = {"plugin_version": str(VERSION), "plugin_namespace": DOMAIN}
    node = helper.make_node(case.op, function.input, ["y"], domain=DOMAIN, **case.attributes, **marks)
    graph = helper.make_graph(
        [node], "case", values, [helper.make_tensor_value_info("y", kind, oracle(name, dtype).shape)]
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, VERSION)]
    made = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def run_cpu(library: Library, name: str, dtype: str) -> Array:
    """The case through detforge_run_cpu, as float32."""
    with stored(name, dtype) as call:
        output = np.empty(library.shape(call), STORAGE[dtype])
        library.run_cpu(call, buffer(output), threads=2)
    return from_storage(output, dtype)


def run_cuda(library: Library, name: str, dtype: str, device: str) -> Array:
    """The case through detforge_run_cuda, as float32; the "cuda" of an emulated library is "cpu"."""

    def place(x: torch.Tensor) -> Buffer:
        return Buffer(x.data_ptr(), tuple(x.shape))

    inputs = [torch.from_numpy(x).to(device) for x in stored_inputs(name, dtype)]
    call = Call(CASES[name].op, dtype, [place(x) for x in inputs], CASES[name].attributes)
    # NaN, so that what is not written shows.
    output = torch.from_numpy(to_storage(np.full(library.shape(call), np.nan, np.float32), dtype)).to(device)
    workspace = torch.full((library.workspace(call),), 255, dtype=torch.uint8, device=device)
    library.run_cuda(call, place(output), place(workspace))  # on the default stream, as .cpu() below
    return from_storage(output.cpu().numpy(), dtype)


@contextlib.contextmanager
def stored(name: str, dtype: str) -> Generator[Call]:
    """The case as a call on arrays, which live as long as the context."""
    case = CASES[name]
    inputs = stored_inputs(name, dtype)
    yield Call(case.op, dtype, [buffer(x) for x in inputs], case.attributes)


def buffer(x: Array) -> Buffer:
    """An array as the libraries take it."""
    return Buffer(x.ctypes.data, x.shape)
