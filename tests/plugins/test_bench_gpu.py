"""detbench --ops and the steps of benchmarks/gpu/run.py on a GPU, which the CPU plays here."""

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import ladder
import numpy as np
import pytest
import torch
from test_gpu_script import FOLDER, script

from detforge.export import bench_ops
from detforge.plugins.core.abi import DTYPES

_MODULES = ("context", "installed", "layer", "operators", "prepare", "timing", "workloads")
pytestmark = pytest.mark.slow


def test_the_kernel_is_measured_against_torch_and_a_copy(emulated: Path) -> None:
    shapes = [(1, 16, 6, 7), (1, 18, 6, 7), (16, 16, 3, 3), (16,)]
    small = replace(
        next(workload for workload in bench_ops.WORKLOADS if workload.op == "DeformConv"),
        inputs=lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes),
    )
    ways = bench_ops.ways_on_gpu(small, small.inputs(np.random.default_rng(0)), emulated, "cpu")
    assert [*ways] == ["kernel", "torch", "copy", "plain convolution"]
    torch.testing.assert_close(ways["kernel"](), ways["torch"](), atol=1e-4, rtol=1e-4)
    results = bench_ops.measure(small, ways, 0.01)
    assert [row.way for row in results] == [*ways]
    assert results[0].ratio == 1


def tables(rows: dict[str, list[Any]]) -> str:
    """The tables of docs/benchmarks.md that such results give."""
    path = Path(__file__).parents[2] / "docs" / "benchmarks.py"
    spec = importlib.util.spec_from_file_location("benchmark_tables", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    steps = [{"name": name, "state": "ok", "detail": "", "results": results} for name, results in rows.items()]
    return module.gpu_table({"environment": {"gpu": "Abacus", "nvcc": "13", "packages": {}}, "steps": steps})


@pytest.fixture(scope="module")
def steps() -> Iterator[dict[str, ModuleType]]:
    """The modules of the steps, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in _MODULES}
    for name in _MODULES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folder(steps: dict[str, ModuleType], emulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare.py makes, from the emulated library and a few cases."""
    tmp_path = tmp_path_factory.mktemp("prepared")
    prepare = steps["prepare"]
    shutil.copy(emulated, tmp_path / prepare.CUDA)
    shutil.copy(emulated.parent / "ops.h", tmp_path)
    prepare.build_harness(tmp_path, emulated)
    prepare.write_cases(tmp_path / prepare.CASES, match="typical")
    return tmp_path


def test_every_step(steps: dict[str, ModuleType], folder: Path, standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step runs on the emulated GPU, or says what it lacks; wrong kernels are found."""
    context, library = steps["context"], steps["operators"].Library
    from cuda.bindings import runtime  # the stand-in

    def on_a_stream(self: Any, picture: Any, dtype: str, canvas: Any, stream: int = 0) -> None:
        """The stand-in's streams run what they are given when somebody waits."""
        work = lambda: preprocess(self, picture, dtype, canvas)  # noqa: E731
        runtime.enqueue(stream, work) if stream else work()

    preprocess = library.preprocess_cuda
    monkeypatch.setattr(library, "preprocess_cuda", on_a_stream)
    monkeypatch.setattr(ladder, "RECORDED", {})
    monkeypatch.setenv("STANDIN_GPU", "Abacus 89")
    monkeypatch.setattr(shutil, "which", lambda _: None)  # no nvcc, no compute-sanitizer
    monkeypatch.setattr(steps["installed"].importlib.util, "find_spec", lambda _: None)
    rows: dict[str, list[Any]] = {}
    details: dict[str, str] = {}
    for name, (module, function, _) in script().STEPS.items():
        rows[name] = []
        try:
            step = getattr(steps[module], function)
            details[name] = step(context.Context(folder, "cpu", "typical"), rows[name].append)
        except context.AbsentError as error:
            details[name] = f"absent: {error}"
    typical = sum("typical" in name for name in ladder.CASES) * len(DTYPES)
    assert details == {
        "build": "absent: nvcc is not on the path",
        "operators": f"{typical} checks equal the oracle",
        "preprocessing": "60 images equal the CPU's",
        "times": f"{sum('hot_us' in row for row in rows['times'])} measurements",
        "layer": "copies, a replayed graph and a full memory are as expected",
        "plugins": f"{typical} checks equal the oracle",
        "onnxruntime": "absent: ONNX Runtime is not installed",
        "tensorrt": "absent: tensorrt is not installed",
        "tensorrt-rtx": "absent: tensorrt_rtx is not installed",
        "memcheck": "absent: compute-sanitizer is not on the path",
        "racecheck": "absent: compute-sanitizer is not on the path",
    }
    deformed = [row for row in rows["times"] if row["workload"] == "DeformConv 1x16x8x8" and "hot_us" in row]
    assert {row["dtype"] for row in deformed} == {*DTYPES}
    assert {"ours", "torch", "im2col and product", "plain convolution"} <= {row["way"] for row in deformed}
    assert all(row["error"] < 8e-3 for row in rows["times"] if "error" in row)
    text = tables(rows)
    assert "| DeformConv 1x16x8x8 | float16 |" in text


def test_a_wrong_result_is_told(
    steps: dict[str, ModuleType], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other expected results for the float case; the others are as they were."""
    prepare, rows = steps["prepare"], []
    arrays = dict(np.load(folder / prepare.CASES))
    arrays["oracle/Dfl: typical/float32"] += 1
    np.savez(tmp_path / prepare.CASES, **arrays)
    (tmp_path / prepare.CUDA).symlink_to(folder / prepare.CUDA)
    monkeypatch.setattr(ladder, "RECORDED", {})
    ladder.oracle.cache_clear()
    with pytest.raises(RuntimeError, match="1 of 3 checks differ from the oracle"):
        steps["operators"].operators(steps["context"].Context(tmp_path, "cpu", "Dfl: typical"), rows.append)
    ladder.oracle.cache_clear()
    assert [(row["case"], row["dtype"]) for row in rows] == [("Dfl: typical", "float32")]
    assert "Mismatched elements" in rows[0]["error"]
