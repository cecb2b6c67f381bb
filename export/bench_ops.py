"""`detbench --ops`: every operator timed in turns with the alternatives that a user would run instead."""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from ..deploy.backends.ort import OrtBackend
from ..deploy.system.console import Parser, run
from ..deploy.system.errors import AbsentError
from ..deploy.system.files import write_text
from ..deploy.system.flags import device, threads
from ..deploy.system.processors import available_processors
from ..plugins.core.abi import Buffer, Call, Library
from ..plugins.core.libraries import library
from ..plugins.core.node import DOMAIN, VERSION
from ..plugins.operators import FUNCTIONS, REFERENCES
from .op_workloads import WORKLOADS, Arrays, Workload

Run = Callable[[], object]

_FLOAT = onnx.TensorProto.FLOAT
_REST_S = 0.1
_ONNX: Any = onnx  # onnx has incomplete types.
_TORCH: Any = torch


@dataclass(frozen=True)
class Measured:
    """One way to run one workload: the median in milliseconds, and the ratio to our kernel, turn by turn."""

    workload: str
    way: str
    ms: float
    ratio: float


def measure(workload: Workload, ways: Mapping[str, Run], seconds: float) -> list[Measured]:
    """Time every way to run a workload, in turns, for `seconds` in total. Our kernel comes first.

    Each turn starts with a pause, so that threads of the previous turn stop spinning, and with one run that is not
    timed and warms the caches.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["kernel"]) < 3:
        for name, way in ways.items():
            time.sleep(_REST_S)
            way()
            started = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - started) * 1e3)
    ours = times["kernel"]
    return [
        Measured(workload.name, name, statistics.median(ms), statistics.median(map(_ratio, ms, ours)))
        for name, ms in times.items()
    ]


def _ratio(theirs: float, ours: float) -> float:
    return theirs / ours


def ways_to_run(workload: Workload, inputs: Arrays, threads: int, folder: Path) -> dict[str, Run]:
    """Our kernel, its ONNX function in stock ONNX Runtime, the torch reference, and the workload's rivals, by name."""
    function = FUNCTIONS[workload.op]
    names = list(function.input)
    feeds = dict(zip(names, inputs, strict=True))
    tensors = [_TORCH.from_numpy(x) for x in inputs]
    path = folder / "case.onnx"
    path.write_bytes(_node(workload, feeds).SerializeToString())
    kernel = OrtBackend(str(path), threads=threads)
    stock = OrtBackend(str(path), threads=threads, kernels=False)
    reference = REFERENCES[workload.op]
    ways: dict[str, Run] = {
        "kernel": lambda: kernel.run(feeds),
        "function": lambda: stock.run(feeds),
        "torch": lambda: reference(*tensors, **workload.attributes),
    }
    for name, text in workload.rivals.items():
        path.write_bytes(_graph(text, feeds).SerializeToString())
        rival = OrtBackend(str(path), threads=threads)
        ports = [port.name for port in rival.inputs]
        ways[name] = lambda rival=rival, ports=ports: rival.run({port: feeds[port] for port in ports})
    return ways


def ways_on_gpu(workload: Workload, inputs: Arrays, path: Path, place: str) -> dict[str, Run]:
    """Our CUDA kernel of the library at `path`, the torch reference, and their lower bound: a copy of as many bytes.

    The ratio of the copy is the kernel's share of the copy bandwidth.
    """
    kernels, reference = Library(path), REFERENCES[workload.op]
    tensors = [_TORCH.from_numpy(x).to(place) for x in inputs]
    call = Call(workload.op, "float32", [_buffer(x) for x in tensors], workload.attributes)
    output = torch.empty(kernels.shape(call), device=place)
    workspace = torch.empty(kernels.workspace(call), dtype=torch.uint8, device=place)
    moved = torch.empty(sum(x.numel() for x in tensors) + output.numel(), device=place)
    half = moved.numel() // 2  # The copy reads one half and writes the other.

    def kernel() -> torch.Tensor:
        kernels.run_cuda(call, _buffer(output), _buffer(workspace))
        return output

    ways: dict[str, Run] = {
        "kernel": kernel,
        "torch": lambda: reference(*tensors, **workload.attributes),
        "copy": lambda: moved[:half].copy_(moved[half : 2 * half]),
    }
    if workload.op == "DeformConv":
        x, _, weight, bias = tensors
        ways["plain convolution"] = lambda: functional.conv2d(x, weight, bias, padding=1)
    return {name: partial(_finished, way, place) for name, way in ways.items()}


def _finished(way: Run, place: str) -> object:
    """Run, and wait for the GPU."""
    result = way()
    if place != "cpu":
        torch.cuda.synchronize(place)
    return result


def _buffer(x: torch.Tensor) -> Buffer:
    return Buffer(x.data_ptr(), tuple(x.shape))


def _node(workload: Workload, feeds: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """A model of the workload's node alone, with its function."""
    marks = {"plugin_version": str(VERSION), "plugin_namespace": DOMAIN}
    node = helper.make_node(workload.op, [*feeds], ["y"], domain=DOMAIN, **workload.attributes, **marks)
    values = [helper.make_tensor_value_info(name, _FLOAT, x.shape) for name, x in feeds.items()]
    graph = helper.make_graph([node], "workload", values, [helper.make_tensor_value_info("y", _FLOAT, None)])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, VERSION)]
    return helper.make_model(graph, functions=[FUNCTIONS[workload.op]], opset_imports=opsets, ir_version=10)


def _graph(text: str, feeds: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """A rival graph, with those inputs that its text names."""
    used = [f"float[{','.join(map(str, x.shape))}] {name}" for name, x in feeds.items() if name in text]
    header = f'<ir_version: 10, opset_import: ["" : 20]> rival ({", ".join(used)}) => (float y)'
    return _ONNX.parser.parse_model(f"{header} {{ {text} }}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser("detbench --ops", "Time every operator against its alternatives, in turns.")
    add = parser.add_argument
    add("--device", type=device, default="cpu", metavar="cpu|cuda:N", help="where to run (default: %(default)s)")
    add("--threads", type=threads, metavar="N", help="CPU threads (default: all)")
    add("--duration", type=float, default=10.0, metavar="S", help="seconds per operator (default: 10)")
    add("--json", metavar="FILE|-", help="the report as JSON; - for stdout")
    return run(_bench, parser, argv)


def _gpu_kernels(place: str) -> Path:
    path = library("detforge_cuda")
    if path is None:
        raise AbsentError("the operators' CUDA kernels were not built; install detforge where nvcc is")
    if not torch.cuda.is_available():
        raise AbsentError(f"device {place}: torch finds no CUDA GPU here; use --device cpu")
    return path


def _bench(arguments: argparse.Namespace) -> int:
    place, threads = arguments.device, arguments.threads or available_processors()
    gpu_kernels = None if place == "cpu" else _gpu_kernels(place)
    torch.set_num_threads(threads)
    results: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            print(f"measuring {workload.name}", file=sys.stderr)
            inputs = workload.inputs(np.random.default_rng(0))
            if gpu_kernels is None:
                ways = ways_to_run(workload, inputs, threads, Path(folder))
            else:
                ways = ways_on_gpu(workload, inputs, gpu_kernels, place)
            results += measure(workload, ways, arguments.duration)
    report = {"device": place, "threads": threads, "results": [asdict(result) for result in results]}
    text = json.dumps(report, indent=2) + "\n"
    _print(results, sys.stderr if arguments.json == "-" else sys.stdout)
    if arguments.json == "-":
        sys.stdout.write(text)
    elif arguments.json is not None:
        write_text(Path(arguments.json), text)
    return 0


def _print(results: Sequence[Measured], stream: Any) -> None:
    table = Table(title="median of turns; ratio to our kernel", box=None)
    for column in ("operator", "way", "ms", "x kernel"):
        table.add_column(column, justify="left" if column in ("operator", "way") else "right")
    last = None
    for result in results:
        name = result.workload if result.workload != last else ""
        table.add_row(name, result.way, f"{result.ms:.2f}", f"{result.ratio:.2f}")
        last = result.workload
    console = Console(file=stream)
    if not console.is_terminal:
        console.width = 100
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
