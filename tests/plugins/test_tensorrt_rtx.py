"""Our ONNX nodes in TensorRT-RTX, which parses and builds without a GPU: as plugins, and as functions without them."""

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import onnx
import pytest
from ladder import CASES, FLOAT_INPUTS, FUNCTIONS, model, oracle, rounded_inputs
from onnx import TensorProto

from detforge.plugins.core.libraries import library

LIBRARY = library("detforge_trt")
RUNTIME = importlib.util.find_spec("tensorrt_rtx_libs")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(RUNTIME is None, reason="tensorrt-rtx is not installed")]

TYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16"}  # and TensorRT's names for them
# Their functions have ONNX's DeformConv, NonMaxSuppression, NonZero and loops.
_LACKED = ("DeformConv", "ModulatedDeformConv", "Nms", "RoiAlign", "PrRoiPool", "BezierAlign")
NOT_IN_RTX = {op for op in FUNCTIONS if op.startswith(_LACKED)}
EXAMPLES = {case.op: name for name, case in reversed(CASES.items())}  # each operator's first case
VARIANTS = list(product(EXAMPLES, TYPES, ("static", "dynamic")))

Built = dict[str, Any]


def write(folder: Path, name: str, op: str, made: onnx.ModelProto) -> None:
    """Write a model of an operator's example as build_rtx.py takes it."""
    path = folder / f"{name}.onnx"
    path.write_bytes(made.SerializeToString())
    shapes = [x.shape for x in rounded_inputs(EXAMPLES[op], "float32")]
    path.with_suffix(".shapes.json").write_text(json.dumps(dict(zip(FUNCTIONS[op].input, shapes, strict=True))))


def write_all(folder: Path) -> None:
    """Write every operator's example in every type, with dimensions that are fixed, and with those of vectors alone.

    A vector is a bias or a threshold, whose size a network knows.
    """
    for op, dtype, dimensions in VARIANTS:
        made = model(EXAMPLES[op], "float32")
        for i, value in enumerate((*made.graph.input, *made.graph.output)):
            kind = "float32" if i in FLOAT_INPUTS.get(op, ()) else dtype
            value.type.tensor_type.elem_type = TensorProto.DataType.Value(kind.upper().removesuffix("32"))
            dims = value.type.tensor_type.shape.dim
            for axis, dim in enumerate(dims):
                if dimensions == "dynamic" and len(dims) > 1:
                    dim.dim_param = f"{value.name}{axis}"
        write(folder, f"{op}.{dtype}.{dimensions}", op, made)


def build(folder: Path, *plugins: Path) -> str:
    """Build every model of a folder, with or without a library of plugins; what TensorRT-RTX logged."""
    # The parser loads the library of plugins' interface by a name that the wheel does not have.
    assert RUNTIME is not None and RUNTIME.submodule_search_locations is not None
    (link := folder / "libtensorrt_rtx.so").symlink_to(Path(RUNTIME.submodule_search_locations[0]) / f"{link.name}.1")
    script = [sys.executable, Path(__file__).parent / "harness" / "build_rtx.py", folder, *plugins]
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def result(folder: Path, *name: str) -> Built:
    """What became of one file."""
    return json.loads((folder / f"{'.'.join(name)}.built.json").read_text())


@pytest.fixture(scope="module")
def plugins() -> Path:
    """The library of plugins."""
    if LIBRARY is None:
        pytest.skip("libdetforge_trt was not built: no nvcc")
    if tuple(map(int, version("tensorrt_rtx").split(".")[:2])) < (1, 7):
        pytest.skip("TensorRT-RTX takes plugins from 1.7 on")
    return LIBRARY


@pytest.fixture(scope="module")
def with_plugins(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Path:
    """The models, built with the library of plugins."""
    write_all(folder := tmp_path_factory.mktemp("with"))
    build(folder, plugins)
    return folder


@pytest.fixture(scope="module")
def without_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models, built without."""
    write_all(folder := tmp_path_factory.mktemp("without"))
    build(folder)
    return folder


@pytest.mark.parametrize(("op", "dtype", "dimensions"), VARIANTS)
def test_the_plugin_is_chosen_and_builds(with_plugins: Path, op: str, dtype: str, dimensions: str) -> None:
    built = result(with_plugins, op, dtype, dimensions)
    assert built["problems"] == []
    assert built["layers"] == [f"PLUGIN_V3 {op}"]
    shape, kind = built["output"]
    assert kind == TYPES[dtype]
    known = oracle(EXAMPLES[op], "float32").shape
    unknown = () if dimensions == "static" else (-1,)
    assert all(dim in (size, *unknown) for dim, size in zip(shape, known, strict=True))
    assert built["engine"] > 0


@pytest.mark.parametrize(("op", "dtype", "dimensions"), [each for each in VARIANTS if each[0] not in NOT_IN_RTX])
def test_the_function_takes_over_without_plugins(without_plugins: Path, op: str, dtype: str, dimensions: str) -> None:
    built = result(without_plugins, op, dtype, dimensions)
    assert built["problems"] == []
    assert len(built["layers"]) > 1
    assert not [layer for layer in built["layers"] if layer.startswith("PLUGIN")]
    assert built["output"][1] == TYPES[dtype]
    assert built["engine"] > 0


def test_what_a_function_samples_is_interpolated(without_plugins: Path) -> None:
    layers = result(without_plugins, "BorderAlign", "float32", "static")["layers"]
    assert [layer for layer in layers if layer.startswith("GRID")] == ["GRID_SAMPLE LINEAR"]


def test_no_function_names_an_interpolation() -> None:
    """TensorRT 10's parser takes the nearest pixel for the names of opset 20; the default is linear in all."""
    samplers = [node for function in FUNCTIONS.values() for node in function.node if node.op_type == "GridSample"]
    assert samplers and all(attribute.name != "mode" for node in samplers for attribute in node.attribute)


@pytest.mark.parametrize("op", sorted(NOT_IN_RTX & set(EXAMPLES)))
def test_what_it_lacks_needs_the_plugin(without_plugins: Path, op: str) -> None:
    built = result(without_plugins, op, "float32", "static")
    assert built["problems"] or not built["engine"]


def test_a_missing_attribute_is_told(tmp_path: Path, plugins: Path) -> None:
    made = model(EXAMPLES["BorderAlign"], "float32")
    (node,) = made.graph.node
    kept = [attribute for attribute in node.attribute if attribute.name != "pool_size"]
    del node.attribute[:]
    node.attribute.extend(kept)
    write(tmp_path, "incomplete", "BorderAlign", made)
    assert "detforge BorderAlign: attribute pool_size is missing; export the model again" in build(tmp_path, plugins)
    assert result(tmp_path, "incomplete")["problems"]
