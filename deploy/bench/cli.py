"""detbench: measures the latency of each stage of a model and end to end."""

import argparse
import contextlib
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from ..backends.names import BACKENDS
from ..system.console import Parser, native_code_muted, run
from ..system.errors import IncompatibleError, InputError, UsageError, VerificationError
from ..system.files import check_place, write_text
from ..system.flags import device, threads, whole
from ..system.processors import available_processors
from .gate import LatencyGate, misses, parse_gate
from .report import SCHEMA, BenchmarkReport, Case, Result, read_report, to_csv

_BUSY = 0.2  # processors
IMAGES = Path(__file__).parent / "images"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run(_bench, _parser(), argv)


def _parser() -> Parser:
    parser = Parser("detbench", "Measure the latency of models, by stage and end to end, and their memory.")
    add = parser.add_argument
    add(
        "--model",
        action="append",
        metavar="NAME|FILE",
        help="model file or exported variant (repeatable; default: the newest detector in exports/)",
    )
    add(
        "--backend",
        action="append",
        choices=["auto", *BACKENDS],
        help="runtime (repeatable; default: auto)",
    )
    add(
        "--device",
        type=device,
        metavar="cpu|cuda:N",
        help="device (default: cuda:0 with TensorRT, else cpu)",
    )
    add("--threads", type=threads, metavar="N", help="CPU threads (default: all)")
    add("--batch", type=_batches, default=[1], metavar="N,N", help="batch sizes, for example 1,8 (default: 1)")
    add("--images", type=Path, default=IMAGES, metavar="DIR", help="folder of images (default: the bundled ones)")
    add("--annotations", type=Path, metavar="FILE", help="COCO annotations of the images; also measure the AP")
    add("--per-class", action="store_true", help="with --annotations: also print the AP of each class")
    add("--coco-results", type=Path, metavar="FILE", help="with --annotations: write the detections as COCO's results")
    add(
        "--duration",
        type=_seconds(0.01),
        default=10.0,
        metavar="S",
        help="seconds per case (default: 10)",
    )
    add("--warmup", type=_seconds(0.0), default=1.0, metavar="S", help="seconds of warm-up per case (default: 1)")
    add("--streams", type=whole(1, 256), default=1, metavar="N", help="concurrent clients of one session (default: 1)")
    add("--peer", choices=["torch"], help="also measure the same network in eager PyTorch")
    add("--profile-layers", action="store_true", help="also show the slowest nodes")
    add("--ops", action="store_true", help="compare our operators with their alternatives; no model runs")
    add("--json", metavar="FILE|-", help="write the report as JSON; - for stdout")
    add("--html", type=Path, metavar="FILE", help="write the report as an HTML page with charts")
    add("--csv", type=Path, metavar="FILE", help="write the latencies as CSV")
    add("--compare", type=Path, metavar="FILE", help="an earlier JSON report; print the changes since then")
    add(
        "--fail-if",
        action="append",
        type=parse_gate,
        default=[],
        metavar="GATE",
        help="exit with code 6 if GATE holds: 'p99>+10%%' or 'infer.p50>+2ms' relative to --compare, 'mean>20ms', "
        "'ap<-0.5' relative to the first model, or 'ap50<60' (repeatable)",
    )
    return parser


def _bench(arguments: argparse.Namespace) -> int:
    files = (None if arguments.json == "-" else arguments.json, arguments.csv, arguments.html, arguments.coco_results)
    for file in files:
        if file is not None:
            check_place(Path(file))
    if arguments.ops:
        return _bench_ops(arguments)
    if arguments.annotations is not None and arguments.images == IMAGES:
        raise UsageError("--annotations needs the folder of its images; give --images DIR")
    with contextlib.nullcontext() if arguments.debug else native_code_muted():
        return _bench_quietly(arguments)


def _bench_ops(arguments: argparse.Namespace) -> int:
    """Run the operator benchmark in a separate process: it needs torch and onnx, which deploy/ does not import."""
    taken, parser = ("ops", "device", "duration", "threads", "json", "debug"), _parser()
    if others := [
        name for name, value in vars(arguments).items() if name not in taken and value != parser.get_default(name)
    ]:
        raise UsageError(f"--{others[0].replace('_', '-')} has no effect with --ops; leave it out")
    if missing := [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]:
        raise IncompatibleError(f"--ops needs {missing[0]}, which is not installed; pip install 'detforge[cpu,export]'")
    command = [sys.executable, "-m", "detforge.export.bench_ops", "--duration", str(arguments.duration)]
    command += ["--device", arguments.device or "cpu"]
    for flag, value in (("--threads", arguments.threads), ("--json", arguments.json)):
        command += [] if value is None else [flag, str(value)]
    return subprocess.run(command, check=False).returncode


def _bench_quietly(arguments: argparse.Namespace) -> int:
    from .accuracy import examinations, read_truth
    from .cases import model_files, own_timers, peer_timers, slowest_nodes
    from .environment import Watch  # imported here, so that --help does not wait for NumPy and OpenCV
    from .measure import find_images, measure, read_images

    base = None if arguments.compare is None else read_report(arguments.compare)
    if base is None and (
        gates := [gate for gate in arguments.fail_if if isinstance(gate, LatencyGate) and gate.over_base]
    ):
        raise UsageError(f"--fail-if '{gates[0].text}' is relative to an earlier report; give one with --compare")
    truth = read_truth(arguments)
    models = model_files(arguments.model or [None])
    images = read_images(find_images(arguments.images) if truth is None else [str(i.file) for i in truth.images])
    timers = own_timers(arguments, models, images)
    examined = examinations(arguments, timers, truth)
    if base is not None:
        _check_common([timer.case for timer in timers], base, str(arguments.compare))
    nodes = slowest_nodes(arguments, [timer.case for timer in timers], models, images)
    watch = Watch()
    with contextlib.ExitStack() as peers:
        turns = [*timers, *peer_timers(arguments, timers, images, peers)]
        with _progress("measuring", len(turns) * arguments.duration) as advance:
            measure(turns, arguments.duration, arguments.warmup, advance)
        results = [turn.result() for turn in turns]
    environment = watch.environment(_threads(arguments))
    with _progress("evaluating", sum(len(each.annotations.images) for each in examined)) as advance:
        for each in examined:
            each.run(models[each.case.model], arguments.threads, advance)
    accuracies = {each.case.setup: each.evaluation.accuracy() for each in examined}
    report = BenchmarkReport(
        environment,
        {
            "models": {name: str(path) for name, path in models.items()},
            "images": {"folder": str(arguments.images), "count": len(images)},
            "annotations": truth and {"file": str(truth.path), "objects": truth.object_count},
            "duration_s": arguments.duration,
            "warmup_s": arguments.warmup,
        },
        tuple(
            replace(result, nodes=nodes.get(result.case, ()), accuracy=accuracies.get(result.case.setup))
            for result in results
        ),
        SCHEMA,
    )
    _write(report, base, arguments)
    if arguments.coco_results is not None:
        write_text(arguments.coco_results, json.dumps(examined[0].evaluation.results))
    if (beside := report.environment["processors_beside"] or 0.0) > _BUSY:
        print(
            f"warning: other processes used {beside} processors during the run; repeat it on an idle machine",
            file=sys.stderr,
        )
    _check_gates(report, base, arguments)
    return 0


def _threads(arguments: argparse.Namespace) -> int:
    return arguments.threads or available_processors()


def _check_common(cases: Sequence[Case], base: BenchmarkReport, name: str) -> None:
    """Raise InputError if the base has none of the cases. Print a warning for each case that it lacks."""
    known = {result.case for result in base.results}
    lacking = [case for case in cases if case not in known]
    if len(lacking) == len(cases):
        raise InputError(f"{name}: nothing in common with this run; it has no {cases[0]}; measure a case that it has")
    for case in lacking:
        print(f"warning: {name} has no {case}; not compared", file=sys.stderr)


def _write(report: BenchmarkReport, base: BenchmarkReport | None, arguments: argparse.Namespace) -> None:
    """Print the tables, to stderr if stdout carries the JSON, and write the files."""
    from .table import Printer

    printer = Printer(sys.stderr if arguments.json == "-" else sys.stdout)
    printer.report(report, by_class=arguments.per_class)
    if base is not None:
        printer.comparison(report.results, _by_case(base), str(arguments.compare))
        for name in ("cpu", "gpus", "threads"):
            before, now = base.environment.get(name), report.environment[name]
            if before != now:
                print(f"warning: {arguments.compare} was measured with {name} {before}, not {now}", file=sys.stderr)
    if arguments.json == "-":
        sys.stdout.write(report.to_json())
    elif arguments.json is not None:
        write_text(Path(arguments.json), report.to_json())
    if arguments.csv is not None:
        write_text(arguments.csv, to_csv(report.results))
    if arguments.html is not None:
        from .html import to_html

        write_text(arguments.html, to_html(report, base))


def _check_gates(report: BenchmarkReport, base: BenchmarkReport | None, arguments: argparse.Namespace) -> None:
    missed = misses(arguments.fail_if, report.results, {} if base is None else _by_case(base))
    if missed:
        others = f" (and {len(missed) - 1} more)" if len(missed) > 1 else ""
        raise VerificationError(f"{missed[0]}{others}; find the cause, or relax the gate")


def _by_case(report: BenchmarkReport) -> dict[Case, Result]:
    return {result.case: result for result in report.results}


@contextlib.contextmanager
def _progress(what: str, total: float) -> Generator[Callable[[float], object]]:
    """A function that advances a progress bar on stderr; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # Without auto-refresh, whose thread would disturb the measurement.
    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=total)
        bar.refresh()
        yield lambda done: bar.update(task, advance=done, refresh=True)


def _batches(text: str) -> list[int]:
    return list(dict.fromkeys(map(whole(1, 1024), text.split(","))))


def _seconds(low: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= 86400:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds, {low:g}..86400")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
