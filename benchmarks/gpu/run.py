"""Everything that only a GPU can show, in one command, into one JSON file that docs/benchmarks.md is made from.

    pip install '.[export,dev]'        # PyTorch with CUDA; nvcc of CUDA >= 12 on the path
    python benchmarks/gpu/run.py [--json gpu.json]

Where they are installed, ONNX Runtime with CUDA, TensorRT and TensorRT-RTX take part. Every step is told with its
state: ok, failed, or absent with what it lacks. Ends with exit code 0, with 1 when a step failed, and with 4 when there
is no GPU, which leaves every step absent.
"""

import argparse
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUNTIMES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
FAILED, NO_GPU = 1, 4


@dataclass
class Step:
    """What became of one step, and what it measured."""

    name: str
    state: str
    detail: str
    seconds: float = 0.0
    results: Any = field(default=None)


class AbsentError(Exception):
    """What a step needs is not here; says what."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run all steps; gives the exit code."""
    parser = argparse.ArgumentParser(description="Run all checks and measurements that need a GPU.")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where to write (default: %(default)s)")
    arguments = parser.parse_args(argv)
    environment = describe()
    steps: list[Step] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, step in steps_of(Path(folder)).items():
            steps.append(run_step(name, step, gpu=environment["gpu"]))
            print(f"{name:<24} {steps[-1].state:<7} {steps[-1].detail}")
            # Written after every step: what hangs or crashes later costs nothing of what was measured.
            document = {"environment": environment, "steps": [asdict(each) for each in steps]}
            arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {arguments.json}")
    if environment["gpu"] is None:
        print("error: no CUDA GPU here, so nothing was measured; run this where nvidia-smi finds one", file=sys.stderr)
        return NO_GPU
    return FAILED if any(step.state == "failed" for step in steps) else 0


def steps_of(folder: Path) -> dict[str, Callable[[], tuple[str, Any]]]:
    """Each step by its name: what runs it, and gives a line and its results. `folder` is for what they build."""
    library = folder / "libdetforge_cuda.so"
    return {
        "build": partial(build, folder),
        "operators, all cases": partial(check_operators, library),
        "operators, sanitized": partial(sanitize, library),
        "operators, times": partial(time_operators, library),
        "preprocessing": partial(preprocessing, library),
        "suppression": partial(suppression, library),
        "plugins in the harness": plugins,
        "ONNX Runtime, CUDA": onnx_runtime,
        **{name: partial(engine, name, module, folder) for name, module in RUNTIMES.items()},
    }


def run_step(name: str, step: Callable[[], tuple[str, Any]], gpu: str | None) -> Step:
    """Run one step; whatever it raises is its result."""
    if gpu is None:
        return Step(name, "absent", "no CUDA GPU")
    started = time.perf_counter()
    try:
        detail, results = step()
        state = "ok"
    except AbsentError as error:
        state, detail, results = "absent", str(error), None
    except Exception as error:  # a step that fails must not keep the others from running
        state, detail, results = "failed", next(iter(str(error).splitlines()), type(error).__name__), None
    return Step(name, state, detail, round(time.perf_counter() - started, 1), results)


def describe() -> dict[str, Any]:
    """The GPU, its driver, and the versions of what is installed; None for what is not."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm",
        "--format=csv,noheader",
    ]
    packages = "torch torchvision onnxruntime onnxruntime-gpu tensorrt tensorrt_rtx cuda-bindings cuda-core detforge"
    return {
        "gpu": (output(query) or "").splitlines()[0] if output(query) else None,
        "nvcc": (output(["nvcc", "--version"]) or "").splitlines()[-1] if shutil.which("nvcc") else None,
        "commit": output(["git", "-C", str(ROOT), "rev-parse", "HEAD"]),
        "packages": {name: version(name) for name in packages.split()},
    }


def version(package: str) -> str | None:
    """The installed version of a package."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def output(command: Sequence[str]) -> str | None:
    """What a command prints; None where it is missing, fails or prints nothing."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def need(condition: object, what: str) -> None:
    """AbsentError unless the condition holds."""
    if not condition:
        raise AbsentError(what)


def build(folder: Path) -> tuple[str, Any]:
    """libdetforge_cuda for this GPU."""
    need(shutil.which("nvcc"), "nvcc is not on the path")
    import ops

    path = ops.build(folder)
    return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB", None


def opened(library: Path) -> Any:
    """The library, with a GPU that PyTorch can put tensors on."""
    import torch

    need(torch.cuda.is_available(), f"PyTorch {torch.__version__} finds no GPU; install one built with CUDA")
    need(library.exists(), "the library was not built")
    from detforge.plugins.core.abi import Library

    return Library(library)


def check_operators(library: Path) -> tuple[str, Any]:
    """Every case on the GPU against its float64 oracle."""
    kernels = opened(library)
    import ops

    failures = ops.check(kernels)
    if failures:
        raise RuntimeError(f"{failures} cases differ from the oracle")
    return f"{len(ops.ladder.CASES)} cases in {len(ops.DTYPES)} precisions equal the oracle", None


def sanitize(library: Path) -> tuple[str, Any]:
    """The same under compute-sanitizer, which sees every access out of bounds."""
    need(shutil.which("compute-sanitizer"), "compute-sanitizer is not on the path")
    opened(library)
    run([sys.executable, str(Path(__file__).with_name("ops.py")), "--sanitize", "--library", str(library)])
    return "no error under compute-sanitizer", None


def time_operators(library: Path) -> tuple[str, Any]:
    """Every workload against its alternatives."""
    kernels = opened(library)
    import ops

    rows = ops.time_all(kernels)
    return f"{len(rows)} measurements", [asdict(row) for row in rows]


def preprocessing(library: Path) -> tuple[str, Any]:
    """The kernel before the network: equal to the CPU's in every case, and how much faster on a 1280 x 720 picture."""
    kernels = opened(library)
    import numpy as np
    import ops
    import test_preprocess_cuda as cases

    from detforge.deploy.inputs.resize import Pad, Resize

    for name in cases.SPECS:
        for dtype in ops.DTYPES:
            cases.check(kernels, name, dtype, "cuda")
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    place = Resize((640, 640), pad=Pad((640, 640)))
    spec = cases.ImageInput(place, "rgb", cases.MEAN, cases.STD)
    call, _alive = cases.call(kernels, image, spec, "float16", "cuda")
    gpu = ops.time_in_turns({"kernel": call})["kernel"][0]
    cpu = milliseconds(lambda: cases.on_cpu(image, spec))
    return f"equal to the CPU; {gpu:.4f} ms, {cpu / gpu:.0f} times faster", {"gpu_ms": gpu, "cpu_ms": cpu}


def suppression(library: Path) -> tuple[str, Any]:
    """The kernel behind the network: what the runtime keeps of 5000 boxes of 80 classes, and how much faster."""
    kernels = opened(library)
    import numpy as np
    import ops
    import torch

    from detforge.deploy import _native
    from detforge.export.bench_ops import WORKLOADS

    workload = next(each for each in WORKLOADS if each.op == "Nms")
    inputs = workload.inputs(np.random.default_rng(0))
    boxes, scores, labels = inputs[0][0], inputs[1][0], inputs[2][0].astype(np.int64)
    limit = workload.attributes["limit"]
    call, y = ops.ours(kernels, "Nms", "float32", [torch.from_numpy(x).cuda() for x in inputs], workload.attributes)
    call()
    got = y[0, :limit, 1].long().cpu().numpy()
    expected = _native.nms(boxes, scores, labels, float(inputs[3][0]), limit)
    if got.tolist() != expected.tolist():
        raise RuntimeError("it keeps other boxes than the runtime")
    gpu = ops.time_in_turns({"kernel": call})["kernel"][0]
    cpu = milliseconds(lambda: _native.nms(boxes, scores, labels, float(inputs[3][0]), limit))
    return f"equal to the runtime; {gpu:.4f} ms, {cpu / gpu:.1f} times faster", {"gpu_ms": gpu, "cpu_ms": cpu}


def milliseconds(call: Callable[[], object]) -> float:
    """The median of 30 calls."""
    times: list[float] = []
    for _ in range(30):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def plugins() -> tuple[str, Any]:
    """The TensorRT plugins' enqueue on the GPU, in a harness in TensorRT's place."""
    from detforge.plugins.core.libraries import library

    need(library("detforge_trt"), "libdetforge_trt was not built; install where nvcc is")
    tests = ["-q", "-rs", "-k", "enqueue", str(ROOT / "tests" / "plugins" / "test_tensorrt.py")]
    return run([sys.executable, "-m", "pytest", *tests]).strip().splitlines()[-1], None


def onnx_runtime() -> tuple[str, Any]:
    """The bundled model on CUDA and on the CPU, and our operators' kernels in between."""
    need(importlib.util.find_spec("onnxruntime"), "ONNX Runtime is not installed")
    import onnxruntime

    need(
        "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
        f"ONNX Runtime {onnxruntime.__version__} has no CUDA; pip install 'detforge[gpu]'",
    )
    from ort_cuda import compare

    from detforge.deploy.backends.open import open_backend
    from detforge.deploy.choose import BUNDLED

    cpu, gpu = (open_backend(str(BUNDLED), backend="ort", device=device) for device in ("cpu", "cuda:0"))
    results = [compare(BUNDLED.name, cpu, gpu, batch) for batch in (1, 4)]
    return f"{results[0]['ratio']:.1f} times the CPU at batch 1", results


def engine(name: str, module: str, folder: Path) -> tuple[str, Any]:
    """The bundled model as an fp16 engine with its suppression inside: built, run on a picture, and timed."""
    need(importlib.util.find_spec(module), f"{module} is not installed")
    path = folder / f"{name}.onnx"
    command = ["--model", "gfl_markers", "--fp16", "--nms", "graph", "--format", "engine", "--runtime", name]
    run([sys.executable, "-m", "detforge.export.cli", *command, "-o", str(path)])
    plan, report = path.with_suffix(".engine"), folder / f"{name}.json"
    bench = ["--model", str(plan), "--model", str(path), "--backend", "auto", "--batch", "1,8", "--duration", "3"]
    run([sys.executable, "-m", "detforge.deploy.bench.cli", *bench, "--device", "cuda:0", "--json", str(report)])
    sidecar = json.loads(plan.with_name(plan.name + ".json").read_text(encoding="utf-8"))
    results = {"engine": sidecar, "bench": json.loads(report.read_text(encoding="utf-8"))}
    return f"{plan.stat().st_size / 1e6:.1f} MB, built and run", results


def run(command: Sequence[str]) -> str:
    """A command's output; RuntimeError with its last line of complaint when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise RuntimeError(f"exit code {done.returncode}: {said}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
