"""Check and time the operators' CUDA kernels on a GPU: libdetforge_cuda, built here by nvcc, and its alternatives.

    pip install '.[export,dev]'        # PyTorch with CUDA; nvcc of CUDA >= 12 on the path
    python benchmarks/gpu/ops.py [--json FILE] [--sanitize]

Every test case is compared with its float64 oracle in fp32, fp16 and bf16. Then every workload is timed in turns with
its alternatives: captured as CUDA graphs, so that kernels are timed and not Python. Prints milliseconds, how many times
ours they are, and ours as a share of the copy bandwidth or of the matrix rate that this run measured. --sanitize runs
the cases alone, under compute-sanitizer. Without a GPU it ends with one line, and exit code 4.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detforge.plugins.core.abi import DTYPES, Buffer, Call, Library
from detforge.plugins.operators import REFERENCES

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "plugins"))
import ladder
from operator_sources import SOURCES, write_ops_header

TORCH_TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ROUNDS, CALLS = 20, 10
NO_GPU = 4
POOLS = ("TopPool", "BottomPool", "LeftPool", "RightPool")
Run = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """One operator on one size: how many values memory must move, or how many operations it takes."""

    name: str
    op: str
    shapes: Sequence[tuple[int, ...]]
    attributes: dict[str, int | tuple[int, ...]]
    values_moved: int = 0
    flops: float = 0.0


@dataclass(frozen=True)
class Measured:
    """One way to run one workload."""

    workload: str
    dtype: str
    way: str
    ms: float
    ratio: float
    bandwidth_share: float | None = None
    rate_share: float | None = None


def main() -> int:
    """Build, check, time; gives the exit code."""
    parser = argparse.ArgumentParser(description="Check and time the operators' CUDA kernels.")
    parser.add_argument("--json", type=Path, help="where to write the measurements")
    parser.add_argument("--sanitize", action="store_true", help="only run the cases, under compute-sanitizer")
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)  # built already
    arguments = parser.parse_args()
    missing = [tool for tool in ("nvcc", "compute-sanitizer") if shutil.which(tool) is None]
    if not torch.cuda.is_available():
        print("error: PyTorch finds no CUDA GPU here", file=sys.stderr)
        return NO_GPU
    if missing[: 2 if arguments.sanitize else 1] and arguments.library is None:
        print(f"error: not on the path: {', '.join(missing)}", file=sys.stderr)
        return NO_GPU
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.library or build(Path(folder))
        if arguments.sanitize:
            command = ["compute-sanitizer", "--error-exitcode=1", sys.executable, __file__, "--library", str(path)]
            return subprocess.run(command, check=False).returncode
        library = Library(path)
        failures = check(library)
        if arguments.library is None and not failures:
            measured = time_all(library)
            if arguments.json:
                arguments.json.write_text(json.dumps([asdict(row) for row in measured], indent=2) + "\n")
        return 1 if failures else 0


def build(folder: Path) -> Path:
    """libdetforge_cuda for this GPU."""
    write_ops_header(folder)
    built = folder / "libdetforge_cuda.so"
    flags = ["-std=c++17", "-O3", "-shared", "-arch=native", "-DDETFORGE_CUDA"]
    sources = [*SOURCES.glob("*/cpu.cpp"), *SOURCES.glob("*/cuda.cu"), *(SOURCES / "core").glob("[ah]*.cpp")]
    paths = [f"-I{folder}", f"-I{SOURCES}", *map(str, sorted(sources)), "-o", str(built)]
    subprocess.run(["nvcc", *flags, "-Xcompiler=-fPIC,-Wall,-Wextra,-pthread,-fno-math-errno", *paths], check=True)
    return built


def check(library: Library) -> int:
    """Compare every case with its oracle; gives the number of those that differ."""
    failures = 0
    for dtype in DTYPES:
        for name in ladder.CASES:
            try:
                ladder.assert_equals_oracle(ladder.run_cuda(library, name, dtype, "cuda"), name, dtype)
            except AssertionError as error:
                failures += 1
                print(error, file=sys.stderr)
    print(f"{len(ladder.CASES) * len(DTYPES)} checks, {failures} failures")
    return failures


def ours(library: Library, op: str, dtype: str, inputs: Sequence[Tensor], attributes: Any) -> tuple[Run, Tensor]:
    """What runs our kernel on the current stream, and the tensor that it writes."""
    call = Call(op, dtype, [Buffer(x.data_ptr(), tuple(x.shape)) for x in inputs], attributes)
    y = torch.empty(library.shape(call), dtype=TORCH_TYPES[dtype], device="cuda")
    workspace = torch.empty(library.workspace(call), dtype=torch.uint8, device="cuda")
    output, scratch = (Buffer(x.data_ptr(), tuple(x.shape)) for x in (y, workspace))

    def run(_alive: object = (inputs, workspace)) -> None:
        library.run_cuda(call, output, scratch, torch.cuda.current_stream().cuda_stream)

    return run, y


def workloads() -> list[Workload]:
    """The sizes of the goals, and batches of them that no cache holds."""
    made: list[Workload] = []
    for n in (1, 16):
        pooled = n * 128**3
        made += [Workload(f"{op} {n}x128x128x128", op, [(n, 128, 128, 128)], {}, 2 * pooled) for op in POOLS]
        shapes = [(n, 256, 100, 100), (n, 10000, 4)]
        name = f"BorderAlign {n}x256x100x100"
        made.append(Workload(name, "BorderAlign", shapes, {"pool_size": 10}, n * 2 * 256 * 10000))
        made.append(Workload(f"Dfl {n * 8}x8400x4x17", "Dfl", [(n * 8, 8400, 68)], {}, n * 8 * 8400 * 72))
        geometry: dict[str, int | tuple[int, ...]] = {
            "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1, "offset_group": 1
        }  # fmt: skip
        shapes = [(n, 256, 64, 64), (n, 18, 64, 64), (256, 256, 3, 3), (256,)]
        flops = 2.0 * n * 256 * 64 * 64 * 256 * 9
        made.append(Workload(f"DeformConv {n}x256x64x64", "DeformConv", shapes, geometry, flops=flops))
    return made


def inputs_of(workload: Workload, dtype: str) -> list[Tensor]:
    """Random inputs; boxes lie in the map, a few cells large."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape, np.float32) for shape in workload.shapes]
    if workload.op == "BorderAlign":
        height, width = workload.shapes[0][2:]
        centres = rng.uniform((0, 0), (width, height), (*workload.shapes[1][:2], 2))
        halves = rng.uniform(1, 8, centres.shape)
        inputs[1] = np.concatenate((centres - halves, centres + halves), -1).astype(np.float32)
    return [torch.from_numpy(x).to("cuda", TORCH_TYPES[dtype]) for x in inputs]


def rivals(workload: Workload, inputs: Sequence[Tensor]) -> dict[str, Run]:
    """What one would run without our kernels."""
    reference = REFERENCES[workload.op]
    made: dict[str, Run] = {"torch": lambda: reference(*inputs, **workload.attributes)}
    if workload.op == "DeformConv":
        x, offset, weight, bias = inputs
        made["plain convolution"] = lambda: torch.nn.functional.conv2d(x, weight, bias, padding=1)
        try:
            from torchvision.ops import deform_conv2d
        except ImportError:
            print("torchvision is not installed: its deform_conv2d is left out", file=sys.stderr)
        else:
            made["torchvision"] = lambda: deform_conv2d(x, offset, weight, bias, padding=1)
    return made


def time_all(library: Library) -> list[Measured]:
    """Time every workload in every precision, and print it."""
    made: list[Measured] = []
    for dtype, kind in TORCH_TYPES.items():
        square = torch.randn(8192, 8192, device="cuda", dtype=kind)
        rate = 2.0 * 8192**3 / time_in_turns({"product": lambda square=square: square @ square})["product"][0]
        for workload in workloads():
            inputs = inputs_of(workload, dtype)
            run, _ = ours(library, workload.op, dtype, inputs, workload.attributes)
            # Half is read and half is written, as many bytes together as the workload's.
            source = torch.empty(max(1, workload.values_moved // 2), device="cuda", dtype=kind)
            target = torch.empty_like(source)
            copy = {"copy": lambda source=source, target=target: target.copy_(source)} if workload.values_moved else {}
            times = time_in_turns({"ours": run, **rivals(workload, inputs), **copy})
            for way, (ms, ratio) in times.items():
                is_ours = way == "ours"
                share = times["copy"][0] / ms if is_ours and copy else None
                of_rate = workload.flops / ms / rate if is_ours and workload.flops else None
                made.append(Measured(workload.name, dtype, way, ms, ratio, share, of_rate))
                show(made[-1])
    return made


def time_in_turns(ways: dict[str, Run]) -> dict[str, tuple[float, float]]:
    """The median milliseconds of each way, and the median of their ratios to the first one's, turn by turn."""
    graphs = {way: capture(run) for way, run in ways.items()}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, graph in graphs.items():
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times[way].append(start.elapsed_time(end) / CALLS)
    first = next(iter(times.values()))
    ratio = {way: statistics.median(b / a for a, b in zip(first, t, strict=True)) for way, t in times.items()}
    return {way: (statistics.median(t), ratio[way]) for way, t in times.items()}


def capture(run: Run) -> torch.cuda.CUDAGraph:
    """CALLS runs as one graph, replayed once."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            run()
    graph.replay()
    torch.cuda.synchronize()
    return graph


def show(row: Measured) -> None:
    """Print one line of the table."""
    shares = {"of the copy's bandwidth": row.bandwidth_share, "of the matrix product's rate": row.rate_share}
    text = ", ".join(f"{share:.0%} {words}" for words, share in shares.items() if share is not None)
    print(f"{row.workload:<28} {row.dtype:<9} {row.way:<18} {row.ms:9.4f} ms {row.ratio:8.2f}x  {text}")


if __name__ == "__main__":
    sys.exit(main())
