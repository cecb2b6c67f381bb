"""The steps of runtimes with GPU support, which need an installed detforge."""

import importlib.util
import json
import subprocess
import sys

from context import AbsentError, Context, Say, need


def onnx_runtime(context: Context, say: Say) -> str:
    """The bundled model on CUDA and on the CPU."""
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
    for result in results:
        say(result)
    return f"{results[0]['ratio']:.1f} times the CPU at batch 1"


def tensorrt(context: Context, say: Say) -> str:
    """An engine of TensorRT."""
    return _engine("tensorrt", "tensorrt", context, say)


def tensorrt_rtx(context: Context, say: Say) -> str:
    """An engine of TensorRT-RTX."""
    return _engine("tensorrt-rtx", "tensorrt_rtx", context, say)


def _engine(name: str, module: str, context: Context, say: Say) -> str:
    """The bundled model as an fp16 engine with its suppression inside: built, run on a picture, and timed."""
    need(importlib.util.find_spec(module), f"{module} is not installed")
    path = context.folder / f"{name}.onnx"
    command = ["--model", "gfl_markers", "--fp16", "--nms", "graph", "--format", "engine", "--runtime", name]
    _run("detforge.export.cli", *command, "-o", str(path))
    plan, report = path.with_suffix(".engine"), context.folder / f"{name}.json"
    bench = ["--model", str(plan), "--model", str(path), "--backend", "auto", "--batch", "1,8", "--duration", "3"]
    _run("detforge.deploy.bench.cli", *bench, "--device", "cuda:0", "--json", str(report))
    sidecar = json.loads(plan.with_name(plan.name + ".json").read_text(encoding="utf-8"))
    say({"engine": sidecar, "bench": json.loads(report.read_text(encoding="utf-8"))})
    return f"{plan.stat().st_size / 1e6:.1f} MB, built and run"


def _run(module: str, *arguments: str) -> None:
    """Run a command of ours; raises its last line of complaint, as AbsentError for exit code 4."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
    raise AbsentError(said) if done.returncode == 4 else RuntimeError(f"exit code {done.returncode}: {said}")
