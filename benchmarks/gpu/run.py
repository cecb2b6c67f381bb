"""Everything that only a GPU can show, in one command, into one JSON file that docs/benchmarks.md is made from.

    python benchmarks/gpu/run.py [--json gpu.json] [--only STEP ...] [--library DIR] [--list]

README.md says what to prepare. Every step is a process with a time limit, and ends as ok, failed, or absent with what
it lacks. Results are written as they are measured. Ends with exit code 0, with 1 when a step failed, and with 4 when
there is no GPU, which leaves every step absent.
"""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FAILED, NO_GPU, ABSENT = 1, 4, 5
TRACEBACK = 20  # lines of a failed step's stderr that are kept
PACKAGES = "torch torchvision onnxruntime onnxruntime-gpu tensorrt tensorrt_rtx cuda-bindings cuda-core detforge"

STEPS = {
    "build": ("operators", "make_folder", 300),
    "operators": ("operators", "operators", 90),
    "preprocessing": ("operators", "preprocessing", 60),
    "times": ("operators", "times", 240),
    "layer": ("layer", "layer", 60),
    "plugins": ("operators", "plugins", 90),
    "onnxruntime": ("installed", "onnx_runtime", 120),
    "tensorrt": ("installed", "tensorrt", 300),
    "tensorrt-rtx": ("installed", "tensorrt_rtx", 300),
    "memcheck": ("operators", "memcheck", 240),
    "racecheck": ("operators", "racecheck", 180),
}
"""The steps in their order: the module and function of each, and the seconds that it may take."""


@dataclass
class Step:
    """What became of one step, and what it measured."""

    name: str
    state: str
    detail: str
    seconds: float = 0.0
    results: list[Any] = field(default_factory=list)
    output: list[str] = field(default_factory=list)  # the end of a failed step's stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run the steps; gives the exit code."""
    parser = argparse.ArgumentParser(description="Run all checks and measurements that need a GPU.")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where to write (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[*STEPS], metavar="STEP", help="run these steps alone")
    parser.add_argument("--library", type=Path, help="a folder that prepare.py made; by default it is made first")
    parser.add_argument("--list", action="store_true", help="print the names of the steps")
    parser.add_argument("--step", choices=[*STEPS], help=argparse.SUPPRESS)  # run in this process
    parser.add_argument("--match", default="", help=argparse.SUPPRESS)  # only cases with this text in their name
    arguments = parser.parse_args(argv)
    if arguments.list:
        print("\n".join(STEPS))
        return 0
    if arguments.step:
        return run_here(arguments.step, arguments.library, arguments.match)
    with tempfile.TemporaryDirectory() as folder:
        chosen = [name for name in STEPS if name in (arguments.only or STEPS)]
        if arguments.library is None:
            chosen = ["build", *(name for name in chosen if name != "build")]
        else:
            chosen = [name for name in chosen if name != "build"]
        return run_all(chosen, (arguments.library or Path(folder)).resolve(), arguments.json)


def run_all(names: Sequence[str], library: Path, target: Path) -> int:
    """Run steps in processes of their own, and write the results to `target` whenever there is a new one."""
    environment = describe()
    steps: list[Step] = []

    def write() -> None:
        document = {"environment": environment, "steps": [asdict(step) for step in steps]}
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    for name in names:
        steps.append(Step(name, "absent", "no CUDA GPU"))
        if environment["gpu"] is not None:
            command = [sys.executable, __file__, "--step", name, "--library", str(library)]
            run_step(steps[-1], command, STEPS[name][2], write)
        write()
        print(f"{name:<14} {steps[-1].state:<7} {steps[-1].seconds:6.1f} s  {steps[-1].detail}", flush=True)
    print(f"wrote {target}")
    if environment["gpu"] is None:
        print("error: no CUDA GPU here, so nothing was measured; run this where nvidia-smi finds one", file=sys.stderr)
        return NO_GPU
    return FAILED if any(step.state == "failed" for step in steps) else 0


def run_step(step: Step, command: Sequence[str], limit: float, write: Callable[[], None]) -> None:
    """Run a step's process into `step`; each line of its stdout is a result, and the last one is the detail."""
    step.state, step.detail = "failed", "did not end"
    started = time.perf_counter()
    late = threading.Event()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, encoding="utf-8"
        )

        def end() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started, such as compute-sanitizer

        timer = threading.Timer(limit, end)
        timer.start()
        assert process.stdout is not None
        detail = ""
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(json.JSONDecodeError):  # something else that was printed
                    said = json.loads(line)
                    detail = said.get("detail", detail)
                    if "result" in said:
                        step.results.append(said["result"])
                        write()
        code = process.wait()
        timer.cancel()
        errors.seek(0)
        output = errors.read().splitlines()
    step.seconds = round(time.perf_counter() - started, 1)
    step.state = {0: "ok", ABSENT: "absent"}.get(code, "failed")
    step.detail = detail or f"ended with exit code {code}"
    if step.state == "failed":
        step.output = output[-TRACEBACK:]
    if late.is_set():
        step.detail = f"stopped after {limit:g} s"


def run_here(name: str, library: Path, match: str) -> int:
    """Run one step in this process, and tell its results as lines of JSON; gives the exit code."""
    if (ROOT / "detforge").is_dir():  # a folder of prepare.py, which needs no installation
        sys.path.insert(0, str(ROOT))
    module, function, _ = STEPS[name]
    step = getattr(importlib.import_module(module), function)
    from context import AbsentError, Context

    try:
        detail = step(Context(library, "cuda", match), lambda result: tell({"result": result}))
    except AbsentError as error:
        tell({"detail": str(error)})
        return ABSENT
    except Exception as error:
        # NumPy's messages begin with an empty line.
        tell({"detail": next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)})
        raise
    tell({"detail": detail})
    return 0


def tell(line: dict[str, Any]) -> None:
    """One line for the process that runs the steps."""
    print(json.dumps(line), flush=True)


def describe() -> dict[str, Any]:
    """The GPU, its driver, and the versions of what is installed; None for what is not."""
    query = "nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm --format=csv,noheader"
    commit = ROOT / "commit"  # of a folder of prepare.py
    return {
        "gpu": first_line(query.split()),
        "nvcc": first_line(["nvcc", "--version"], -1),
        "python": sys.version.split()[0],
        "commit": first_line(["cat", str(commit)]) or first_line(["git", "-C", str(ROOT), "rev-parse", "HEAD"]),
        "packages": {name: version(name) for name in PACKAGES.split()},
    }


def version(package: str) -> str | None:
    """The installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def first_line(command: Sequence[str], line: int = 0) -> str | None:
    """A line that a command prints; None where it is missing, fails or prints nothing."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return lines[line] if done.returncode == 0 and lines else None


if __name__ == "__main__":
    sys.exit(main())
