"""Run exported models on the CPU and on CUDA side by side: do they agree, and how much faster is the GPU?

    pip install '.[gpu,export]'
    detexport --model gfl_r50 --checkpoint random -o m.onnx
    python benchmarks/gpu/ort_cuda.py m.onnx [more.onnx ...] [--device cuda:0]

Prints, for each file and batch, the worst difference of every output and the ratio of the median times, measured
in turns in one run. Without CUDA it ends with the one line that the runtime gives.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np

from detforge.deploy.backends.open import open_backend
from detforge.deploy.contract.port import Backend
from detforge.deploy.system.errors import DetforgeError

CANVAS = (800, 1344)
ROUNDS = 10


def main() -> int:
    """Compare every file; gives the exit code."""
    parser = argparse.ArgumentParser(description="Compare ONNX Runtime on CUDA with the CPU.")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    try:
        for model in arguments.models:
            cpu, gpu = open_backend(model), open_backend(model, device=arguments.device)
            for batch in (1, 4):
                compare(model, cpu, gpu, batch)
    except DetforgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def compare(model: str, cpu: Backend, gpu: Backend, batch: int) -> dict[str, Any]:
    """Print the differences and the ratio of times for one batch size; gives them."""
    port = cpu.inputs[0]
    fixed = [size or free for size, free in zip(port.shape, (batch, 3, *CANVAS), strict=True)]
    feeds = {port.name: np.random.default_rng(0).standard_normal(fixed, np.float32)}
    ours, theirs = cpu.run(feeds), gpu.run(feeds)
    differences = {name: float(np.abs(theirs[name] - expected).max()) for name, expected in ours.items()}
    for name, difference in differences.items():
        print(f"{model} batch {fixed[0]}: {name} differs by {difference:.2e}")
    times: dict[str, list[float]] = {"cpu": [], "gpu": []}
    for _ in range(ROUNDS):
        for side, backend in (("cpu", cpu), ("gpu", gpu)):
            started = time.perf_counter()
            backend.run(feeds)
            times[side].append(time.perf_counter() - started)
    medians = {side: statistics.median(values) * 1e3 for side, values in times.items()}
    ratio = medians["cpu"] / medians["gpu"]
    print(f"{model} batch {fixed[0]}: cpu {medians['cpu']:.1f} ms, gpu {medians['gpu']:.1f} ms, {ratio:.1f}x")
    return {"model": model, "batch": fixed[0], "differences": differences, "ms": medians, "ratio": ratio}


if __name__ == "__main__":
    sys.exit(main())
