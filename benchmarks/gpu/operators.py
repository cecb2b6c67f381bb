"""The steps that need the operators' CUDA library alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from context import Context, Say, need
from prepare import CASES, CUDA, HARNESS, TENSORRT, build, driver, ladder, write_cases
from timing import Run, copies_needed, time_in_turns
from torch import Tensor
from workloads import TORCH_TYPES, Workload, rivals, workloads

from detforge.plugins.core.abi import DTYPES, Buffer, Call, Library, Picture
from detforge.plugins.operators import REFERENCES

SANITIZED = "typical"  # racecheck takes long; these cases use every kernel's shared memory
REFUSED = ("Device not supported", "Unable to find")  # what compute-sanitizer says where it cannot work


def make_folder(context: Context, say: Say) -> str:
    """What prepare.py makes, for the GPU that is here."""
    need(shutil.which("nvcc"), "nvcc is not on the path")
    build(context.folder, "native")
    write_cases(context.folder / CASES)
    return f"{CUDA}, {(context.folder / CUDA).stat().st_size / 1e6:.1f} MB"


def operators(context: Context, say: Say) -> str:
    """Every case of every operator against its float64 oracle."""
    return _check(context.kernels(), context, say)


def plugins(context: Context, say: Say) -> str:
    """The same through the TensorRT plugins' enqueue, in a harness in TensorRT's place."""
    context.kernels()  # first: the plugins' library finds the kernels by their name
    return _check(driver.Plugins(context.folder / HARNESS, context.folder / TENSORRT), context, say)


def _check(kernels: Library, context: Context, say: Say) -> str:
    ladder.RECORDED.update(context.arrays("oracle"))
    names = [name for name in ladder.CASES if context.match in name]
    failures = 0
    for dtype in DTYPES:
        for name in names:
            try:
                ladder.assert_equals_oracle(ladder.run_cuda(kernels, name, dtype, context.device), name, dtype)
            except (AssertionError, ValueError) as error:
                failures += 1
                say({"case": name, "dtype": dtype, "error": " ".join(str(error).split())[:400]})
    count = len(names) * len(DTYPES)
    if failures:
        raise RuntimeError(f"{failures} of {count} checks differ from the oracle")
    return f"{count} checks equal the oracle"


def preprocessing(context: Context, say: Say) -> str:
    """The kernel that makes a network's input: equal to the CPU's result, and its time."""
    kernels, arrays = context.kernels(), context.arrays("picture")
    names = [key.removesuffix("/image") for key in arrays if key.endswith("/image")]
    for name in names:
        parts = {part: arrays[f"{name}/{part}"] for part in ("image", "sizes", "planes", "canvas")}
        for dtype in DTYPES:
            run, canvas = picture_call(kernels, parts, dtype, context.device)
            run()
            got = ladder.from_storage(canvas.cpu().numpy(), dtype)
            expected = ladder.from_storage(ladder.to_storage(parts["canvas"], dtype), dtype)
            np.testing.assert_array_equal(got, expected, f"{name}, {dtype}")
            if parts["image"].size > 1e6:
                size = parts["image"].nbytes + canvas.nbytes
                copies = range(copies_needed(size, context.device))
                runs = [picture_call(kernels, parts, dtype, context.device)[0] for _ in copies]
                timed = time_in_turns({"ours": runs}, context.device)["ours"]
                say({"workload": name, "dtype": dtype, "way": "ours", **_figures(timed)})
    return f"{len(names) * len(DTYPES)} images equal the CPU's"


def picture_call(kernels: Library, parts: dict[str, Any], dtype: str, device: str) -> tuple[Run, Tensor]:
    """What fills a canvas from a recorded picture, on PyTorch's stream, and the canvas."""
    pixels = torch.from_numpy(parts["image"]).to(device)
    canvas = torch.from_numpy(np.zeros(parts["canvas"].shape, ladder.STORAGE[dtype])).to(device)
    picture = picture_of(Buffer(pixels.data_ptr(), parts["image"].shape), parts)

    def run(_alive: object = pixels) -> None:
        kernels.preprocess_cuda(picture, dtype, _buffer(canvas), _stream(device))

    return run, canvas


def picture_of(pixels: Buffer, parts: dict[str, Any]) -> Picture:
    """A recorded picture whose pixels are at an address."""
    *sizes, swap = (int(size) for size in parts["sizes"])
    mean, std, fill = (tuple(map(float, plane)) for plane in parts["planes"])
    return Picture(pixels, (sizes[0], sizes[1]), (sizes[2], sizes[3]), mean, std, fill, bool(swap))


def times(context: Context, say: Say) -> str:
    """Every workload against its rivals, a copy of as many bytes, and the rate of a matrix product."""
    kernels, count = context.kernels(), 0
    small = context.device == "cpu"
    rates = {} if small else {dtype: _product_rate(kind) for dtype, kind in TORCH_TYPES.items()}
    for dtype, rate in rates.items():
        say({"workload": "product 8192x8192x8192", "dtype": dtype, "tflops": rate / 1e6})
    for workload in workloads(small):
        for dtype in workload.dtypes:
            count += _time(kernels, workload, dtype, context.device, rates.get(dtype), say)
    return f"{count} measurements"


def _time(kernels: Library, workload: Workload, dtype: str, device: str, rate: float | None, say: Say) -> int:
    inputs = workload.tensors(dtype, device)
    run, y = ours(kernels, workload, dtype, inputs, device)
    run()
    row = {"workload": workload.name, "dtype": dtype}
    if workload.is_checked:
        expected = REFERENCES[workload.op](*(x.double() for x in inputs), **workload.attributes)
        scale = max(1.0, float(expected.abs().max()))
        error = float((y.double() - expected).abs().max()) / scale
        say({**row, "way": "ours", "error": error})
        if not error <= ladder.TOLERANCES[dtype]:
            raise RuntimeError(f"{workload.name} in {dtype} differs from the reference by {error:.2g} of the largest")
    size = sum(x.nbytes for x in inputs) + y.nbytes
    sets = [inputs] + [[x.clone() for x in inputs] for _ in range(copies_needed(size, device) - 1)]
    ways: dict[str, list[Run]] = {"ours": [ours(kernels, workload, dtype, each, device)[0] for each in sets]}
    for way, make in rivals(workload).items():
        try:
            ways[way] = [make(each) for each in sets]
        except ImportError as error:
            say({**row, "way": way, "absent": str(error)})
    if workload.values_moved:
        ways["copy"] = [_copy(workload.values_moved // 2, dtype, device) for _ in sets]
    timed = time_in_turns(ways, device)
    for way, result in timed.items():
        shares = {}
        if way == "ours" and not isinstance(result, str):
            copy = timed.get("copy")
            if copy is not None and not isinstance(copy, str):
                shares["of_copy"] = copy.hot_us / result.hot_us
                shares["of_copy_cold"] = copy.cold_us and copy.cold_us / (result.cold_us or result.hot_us)
            if rate and workload.flops:
                shares["of_product"] = workload.flops / result.hot_us / rate
        say({**row, "way": way, **_figures(result), **shares})
    return len(timed)


def ours(kernels: Library, workload: Workload, dtype: str, inputs: Sequence[Tensor], device: str) -> tuple[Run, Tensor]:
    """What runs our kernel on the current stream, and the tensor that it writes."""
    call = Call(workload.op, dtype, [_buffer(x) for x in inputs], workload.attributes)
    y = torch.empty(kernels.shape(call), dtype=TORCH_TYPES[dtype], device=device)
    workspace = torch.empty(kernels.workspace(call), dtype=torch.uint8, device=device)

    def run(_alive: object = inputs) -> None:
        kernels.run_cuda(call, _buffer(y), _buffer(workspace), _stream(device))

    return run, y


def _copy(values: int, dtype: str, device: str) -> Run:
    """Half of the bytes are read and half are written."""
    source = torch.zeros(max(1, values), device=device, dtype=TORCH_TYPES[dtype])
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _product_rate(kind: torch.dtype) -> float:
    """Operations a microsecond."""
    square = torch.randn(8192, 8192, device="cuda", dtype=kind)
    timed = time_in_turns({"product": [lambda: square @ square]}, "cuda")["product"]
    if isinstance(timed, str):
        raise RuntimeError(timed)
    return 2.0 * 8192**3 / timed.hot_us


def _figures(timed: Any) -> dict[str, Any]:
    return {"failed": timed} if isinstance(timed, str) else asdict(timed)


def _buffer(x: Tensor) -> Buffer:
    return Buffer(x.data_ptr(), tuple(x.shape))


def _stream(device: str) -> int:
    return torch.cuda.current_stream().cuda_stream if device == "cuda" else 0


def memcheck(context: Context, say: Say) -> str:
    """Every case under compute-sanitizer, with each tensor in an allocation of its own."""
    return _sanitize("memcheck", context, context.match)


def racecheck(context: Context, say: Say) -> str:
    """The typical cases under compute-sanitizer, which finds races in shared memory."""
    return _sanitize("racecheck", context, SANITIZED)


def _sanitize(tool: str, context: Context, match: str) -> str:
    need(shutil.which("compute-sanitizer"), "compute-sanitizer is not on the path")
    context.kernels()
    script = str(Path(__file__).with_name("run.py"))
    step = [sys.executable, script, "--step", "operators", "--library", str(context.folder), "--match", match]
    alone = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    command = ["compute-sanitizer", f"--tool={tool}", "--error-exitcode=9", *step]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    output = done.stdout + done.stderr
    need(not any(text in output for text in REFUSED), "compute-sanitizer cannot work on this machine")
    if done.returncode != 0:
        print(output, file=sys.stderr)
        raise RuntimeError(f"{tool} ends with exit code {done.returncode}")
    return f"no error under {tool}"
