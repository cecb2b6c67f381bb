"""The TensorRT plugins' own code, driven by a harness in TensorRT's place."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.driver import OURS, Field, Headers, Plugins, build, build_plugins, tensorrt
from ladder import (
    CASES,
    assert_equals_oracle,
    oracle,
    run_cuda,
    stored,
)

from detforge.plugins.core.abi import DTYPES
from detforge.plugins.core.libraries import library

LIBRARY = library("detforge_trt")
ROOTS = [Path(root) for root in os.environ.get("TENSORRT_ROOT", "").split(os.pathsep) if root]
HEADERS = [*OURS, *map(tensorrt, ROOTS)]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")]

INT32, INT64, FLOAT32 = 5, 10, 1  # of TensorRT's PluginFieldType


def emulate(folder: Path, kernels: Path, headers: Headers) -> Plugins:
    """The plugins over those kernels, in a harness with these headers."""
    shutil.copy(kernels.parent / "ops.h", folder)
    return Plugins(build(folder, headers), build_plugins(folder, kernels))


@pytest.fixture(scope="module")
def emulated_plugins(tmp_path_factory: pytest.TempPathFactory, emulated: Path) -> Plugins:
    return emulate(tmp_path_factory.mktemp("harness"), emulated, OURS[-1])


@pytest.fixture(scope="module", params=HEADERS, ids=str)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, emulated: Path) -> Plugins:
    return emulate(tmp_path_factory.mktemp("each"), emulated, request.param)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """The library of plugins in the harness."""
    if LIBRARY is None:
        pytest.skip("libdetforge_trt was not built: no nvcc")
    return Plugins(build(tmp_path_factory.mktemp("harness"), OURS[-1]), LIBRARY)


def test_every_operator_is_a_plugin(plugins: Plugins) -> None:
    assert set(plugins.ops()) == {case.op for case in CASES.values()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_all_before_enqueue(plugins: Plugins, name: str, dtype: str) -> None:
    with stored(name, dtype) as call:
        assert plugins.shape(call) == oracle(name, "float32").shape
        assert plugins.workspace(call) >= 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_enqueue_on_an_emulated_gpu(emulated_plugins: Plugins, name: str, dtype: str) -> None:
    assert_equals_oracle(run_cuda(emulated_plugins, name, dtype, "cpu"), name, dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_enqueue(plugins: Plugins, name: str, dtype: str) -> None:
    assert_equals_oracle(run_cuda(plugins, name, dtype, "cuda"), name, dtype)


@pytest.mark.parametrize("name", {case.op: name for name, case in CASES.items()}.values())
def test_every_tensorrt_runs_every_operator(each: Plugins, name: str) -> None:
    assert_equals_oracle(run_cuda(each, name, "float32", "cpu"), name, "float32")


def field(name: str, values: list[int], kind: int = INT32) -> Field:
    data = np.array(values, {INT32: np.int32, INT64: np.int64, FLOAT32: np.float32}[kind])
    made = Field(name.encode(), data.ctypes.data, kind, data.size)
    made.keep = data
    return made


@pytest.mark.parametrize("kind", [INT32, INT64])
def test_integers_of_both_widths_are_attributes(each: Plugins, kind: int) -> None:
    each.make("BorderAlign", [field("other", [1]), field("pool_size", [10], kind)])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "pool_size is missing"),
        ([field("pool", [10])], "pool_size is missing"),
        ([field("pool_size", [10], FLOAT32)], "pool_size is not of integers"),
        ([field("pool_size", [10, 10])], "pool_size has 2 values"),
        ([field("pool_size", [])], "pool_size has 0 values"),
        ([field("pool_size", [2**31], INT64)], "pool_size is out of range"),
    ],
)
def test_wrong_attributes_are_refused(each: Plugins, given: list[Field], problem: str) -> None:
    with pytest.raises(ValueError, match=f"detforge BorderAlign: attribute {problem}; export the model again"):
        each.make("BorderAlign", given)


def test_a_logger_of_unknown_class_is_not_called(tmp_path: Path, emulated: Path, capfd: pytest.CaptureFixture) -> None:
    """A TensorRT that was built without run-time types gives one."""
    plugins = emulate(tmp_path, emulated, replace(OURS[-1], flags=("-fno-rtti",)))
    with pytest.raises(ValueError, match=r"^no plugin was made$"):
        plugins.make("BorderAlign", [])
    assert "detforge BorderAlign: attribute pool_size is missing" in capfd.readouterr().err


def test_inputs_that_do_not_fit_are_refused(each: Plugins) -> None:
    with stored("BorderAlign: typical", "float32") as call:
        x, boxes = call.inputs
        odd = replace(x, shape=(x.shape[0], x.shape[1] + 1, *x.shape[2:]))
        problem = re.escape(f"detforge BorderAlign: x is not (n, 4 * c, h, w): the inputs are {odd.shape}, ")
        with pytest.raises(ValueError, match=problem + ".*; check what the model feeds this node"):
            each.shape(replace(call, inputs=(odd, boxes)))
        with pytest.raises(ValueError, match="detforge BorderAlign: the node has 1 inputs and not 2; export the model"):
            each.shape(replace(call, inputs=(x,)))


def test_the_library_stands_alone() -> None:
    """It exports what TensorRT asks for and nothing else, and needs neither TensorRT nor CUDA to be loaded."""
    if LIBRARY is None:
        pytest.skip("libdetforge_trt was not built")

    def symbols(kind: str) -> set[str]:
        listed = subprocess.run(["nm", "-D", kind, LIBRARY], capture_output=True, text=True, check=True)
        return {line.split()[-1].partition("@")[0] for line in listed.stdout.splitlines()}

    assert symbols("--defined-only") == {"getCreators", "setLoggerFinder"}
    foreign = re.compile("cuda|cu[A-Z]|getLogger|getInfer|getPlugin")
    assert not [name for name in symbols("--undefined-only") if foreign.match(name)]
