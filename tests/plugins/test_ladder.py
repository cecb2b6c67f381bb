"""Every way to run an operator gives the float64 oracle's answer, on every case."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from emulator.build import build_ort
from ladder import (
    CASES,
    FUNCTIONS,
    assert_equals_oracle,
    model,
    oracle,
    rounded_inputs,
    run_cpu,
    run_cuda,
    stored_inputs,
)

from detforge.plugins.core.abi import DTYPES, Library
from detforge.plugins.core.libraries import library
from detforge.plugins.operators import REFERENCES

# Every installed ONNX Runtime: the environment's own, and those beside it that `make test` installs.
RUNTIMES = {onnxruntime.__version__: None} | {
    path.name.removeprefix("onnxruntime-"): path for path in sorted(Path(sys.prefix).glob("onnxruntime-*"))
}
# Stock ONNX Runtime has DeformConv, which our functions of it call, on the CPU from 1.25 on; our kernels run before.
FIRST_WITH_DEFORM_CONV = (1, 25)


@pytest.mark.parametrize("name", CASES)
def test_torch_reference(name: str) -> None:
    inputs = (torch.from_numpy(x).double() for x in rounded_inputs(name, "float32"))
    result = REFERENCES[CASES[name].op](*inputs, **CASES[name].attributes)
    expected = oracle(name, "float32")
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-11, atol=1e-11)


@pytest.fixture(scope="module")
def c_library() -> Library:
    path = library("detforge_cpu")
    assert path is not None
    return Library(path)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_c_function(c_library: Library, name: str, dtype: str) -> None:
    assert_equals_oracle(run_cpu(c_library, name, dtype), name, dtype)


@pytest.fixture(scope="session")
def emulated_ort(emulated: Path) -> Library:
    """The emulated kernels, called through the interface of ONNX Runtime."""
    return Library(build_ort(emulated))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_cuda_kernel_on_an_emulated_gpu(emulated_gpu: Library, name: str, dtype: str) -> None:
    assert_equals_oracle(run_cuda(emulated_gpu, name, dtype, "cpu"), name, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_cuda_kernel_in_onnx_runtime_on_an_emulated_gpu(emulated_ort: Library, name: str, dtype: str) -> None:
    assert_equals_oracle(run_cuda(emulated_ort, name, dtype, "cpu"), name, dtype)


@pytest.mark.skipif(
    library("detforge_cuda") is None or not torch.cuda.is_available(),
    reason="needs libdetforge_cuda (nvcc) and a GPU that torch can use; the emulated GPU stands in",
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_cuda_kernel(name: str, dtype: str) -> None:
    path = library("detforge_cuda")
    assert path is not None
    assert_equals_oracle(run_cuda(Library(path), name, dtype, "cuda"), name, dtype)


@pytest.mark.skipif(library("detforge_cuda") is None, reason="libdetforge_cuda was not built: no nvcc")
def test_a_cuda_kernel_without_a_gpu_tells_so() -> None:
    script, path = Path(__file__).with_name("run_without_gpu.py"), library("detforge_cuda")
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, script, str(path)], env=hidden, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no call ended the process\n"), done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case as an ONNX file with its inputs, in both precisions."""
    folder = tmp_path_factory.mktemp("cases")
    for i, name in enumerate(CASES):
        for dtype in ("float32", "float16"):
            path = folder / f"{i}.{dtype}.onnx"
            path.write_bytes(model(name, dtype).SerializeToString())
            inputs = zip(FUNCTIONS[CASES[name].op].input, stored_inputs(name, dtype), strict=True)
            np.savez(path.with_suffix(".npz"), **dict(inputs))
    return folder


def run_all(files: Path, version: str, kernels: Path | None) -> None:
    """Run the files in one version of ONNX Runtime; each result is compared with the oracle."""
    old = tuple(map(int, version.split(".")[:2])) < FIRST_WITH_DEFORM_CONV
    script = [sys.executable, str(Path(__file__).with_name("run_onnx.py")), str(files)]
    others = RUNTIMES[version]
    environment = None if others is None else {"PYTHONPATH": str(others)}
    done = subprocess.run(
        [*script, *([str(kernels)] if kernels else [])], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for i, name in enumerate(CASES):
        for dtype in ("float32", "float16"):
            result = files / f"{i}.{dtype}.{'kernel' if kernels else 'stock'}.npy"
            if old and kernels is None and "DeformConv" in CASES[name].op:
                assert not result.exists()
            else:
                assert_equals_oracle(np.load(result).astype(np.float32), name, dtype)


@pytest.mark.parametrize("version", RUNTIMES)
def test_function_in_onnx_runtime(files: Path, version: str) -> None:
    run_all(files, version, None)


@pytest.mark.parametrize("version", RUNTIMES)
def test_kernel_in_onnx_runtime(files: Path, version: str) -> None:
    kernels = library("detforge_ort")
    assert kernels is not None
    run_all(files, version, kernels)


class _InUse(ctypes.Structure):
    """glibc's mallinfo2: ten sizes, of which the eighth counts the bytes that were taken and not given back."""

    _fields_ = (("sizes", ctypes.c_size_t * 10),)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="counts bytes with glibc 2.33 or newer")
@pytest.mark.parametrize("op", FUNCTIONS)
def test_kernel_in_onnx_runtime_gives_back_what_it_takes(op: str) -> None:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _InUse
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # all of it in this thread, whose memory is what is counted
    options.register_custom_ops_library(str(library("detforge_ort")))
    name = next(name for name, case in CASES.items() if case.op == op)
    session = onnxruntime.InferenceSession(model(name, "float32").SerializeToString(), options)
    inputs = dict(zip(FUNCTIONS[op].input, rounded_inputs(name, "float32"), strict=True))
    counts: list[int] = []
    for runs in (20, 500):
        for _ in range(runs):
            session.run(None, inputs)
        counts.append(mallinfo2().sizes[7])
    assert counts[1] - counts[0] < 500 * 8


def test_three_versions_of_onnx_runtime_are_tested() -> None:
    assert len(RUNTIMES) >= 3, "install others beside this one, as `make test` does"
