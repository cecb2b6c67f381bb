"""detexport: a checkpoint to one ONNX file that holds everything needed to run it."""

import argparse
import contextlib
import json
import re
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.console import Parser, run, whole
from ..deploy.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from .api import Report
    from .engine import EngineOptions
    from .verify import Comparison


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    return run(_with_packages, _parser(), argv)


def _with_packages(arguments: argparse.Namespace) -> int:
    """The command, or how to install what it needs and the runtime does without."""
    try:
        return _command(arguments)
    except ModuleNotFoundError as error:
        raise IncompatibleError(
            f"detexport needs {error.name}, which is not installed; pip install 'detforge[export]'"
        ) from error


def _parser() -> Parser:
    parser = Parser("detexport", "Export a detection network to one ONNX file that holds everything to run it.")
    add = parser.add_argument
    add("--model", metavar="NAME", help="a model of --list, or the short name of its usual variant (gfl)")
    add(
        "--checkpoint",
        metavar="FILE|URL|random",
        help=".pth or .safetensors; default: the published one; random: seeded random weights, for a smoke test",
    )
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--fp16", dest="precision", action="store_const", const="fp16", help="half precision, decode in fp32"
    )
    precision.add_argument("--precision", choices=["fp32", "fp16"], help="(default: fp32)")
    add("--imgsz", nargs=2, type=int, metavar=("H", "W"), help="fix the canvas (default: any size)")
    add("--batch", type=_batch, metavar="N|dynamic", help="fix the batch size (default: dynamic)")
    add("--nms", choices=["none", "graph"], default="none", help="graph: suppression inside the file")
    add("--max-det", type=int, metavar="N", help="most detections an image (default: the model's)")
    add("--labels", type=Path, metavar="FILE", help="one name a line (default: the checkpoint's)")
    add(
        "--verify",
        choices=["tensor", "off"],
        default="tensor",
        help="tensor: compare the file with PyTorch, keep it only if they agree (default: %(default)s)",
    )
    add(
        "--atol",
        type=float,
        metavar="X",
        help="allowed difference; 8 strides of it for boxes (default: by precision)",
    )
    add("--rtol", type=float, metavar="X", help="allowed relative difference (default: by precision)")
    add("--images", type=Path, metavar="DIR", help="photographs to verify with (default: made-up ones)")
    add("-o", "--output", type=Path, metavar="PATH", help="default: exports/<model>[-fp16].onnx")
    add("--format", choices=["onnx", "engine"], default="onnx", help="engine: a TensorRT plan as well, and its .json")
    engine = parser.add_argument_group("with --format engine").add_argument
    engine("--runtime", choices=["tensorrt", "tensorrt-rtx"], help="whose engine (default: tensorrt)")
    engine("--sm", type=_capabilities, metavar="86,89", help="compute capabilities, TensorRT-RTX (default: this GPU's)")
    for name, what in (("min", "smallest"), ("opt", "usual"), ("max", "largest")):
        engine(f"--{name}-batch", type=whole(1, 1024), metavar="N", help=f"{what} batch (default: 1, 1, 8)")
    engine("--timing-cache", type=Path, metavar="FILE", help="read and update it, so that the next build is faster")
    engine("--hw-compat", action="store_const", const=True, help="for other GPUs too, Ampere and newer")
    engine("--version-compat", action="store_const", const=True, help="for newer TensorRT too")
    add("--list", action="store_true", help="show the models and exit")
    add("--doctor", action="store_true", help="try every backend, device and operator here and exit")
    add("--json", action="store_true", help="with --list or --doctor: one JSON document")
    return parser


def _command(arguments: argparse.Namespace) -> int:
    if arguments.json and not (arguments.list or arguments.doctor):
        raise UsageError("--json goes with --list or --doctor; an export writes its numbers into the file's Card")
    if arguments.list:
        return _list(arguments.json)
    if arguments.doctor:
        return _doctor(arguments.json)
    if arguments.model is None:
        raise UsageError("--model is missing; name one of detexport --list")
    engine = _engine_options(arguments)
    from .api import export

    report = export(
        arguments.model,
        checkpoint=arguments.checkpoint,
        precision=arguments.precision or "fp32",
        imgsz=None if arguments.imgsz is None else tuple(arguments.imgsz),
        batch=arguments.batch,
        nms=arguments.nms,
        max_det=arguments.max_det,
        labels=arguments.labels,
        verify=arguments.verify,
        atol=arguments.atol,
        rtol=arguments.rtol,
        images=arguments.images,
        output=arguments.output,
        report=_step,
    )
    _print_report(report)
    if engine is not None:
        from .engine import build_engine

        with _step("engine"):
            path = build_engine(report.path, report.card, engine)
        print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB) and {path.name}.json, for {engine.runtime}")
    return 0


def _engine_options(arguments: argparse.Namespace) -> "EngineOptions | None":
    """What the engine is to be; errors come before the export, which takes a while."""
    names = ("runtime", "sm", "min_batch", "opt_batch", "max_batch", "timing_cache", "hw_compat", "version_compat")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.format == "onnx":
        if given:
            raise UsageError(f"--{next(iter(given)).replace('_', '-')} goes with --format engine")
        return None
    from .engine import EngineOptions, check_options

    usual = EngineOptions.batch
    batch = tuple(given.pop(f"{name}_batch", size) for name, size in zip(("min", "opt", "max"), usual, strict=True))
    options = EngineOptions(batch=(batch[0], batch[1], batch[2]), **given)
    check_options(options)
    return options


@contextlib.contextmanager
def _step(name: str) -> Generator[None]:
    """Says on stderr that a step goes on, where that is a terminal, and when it is done how long it took."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    with console.status(f"{name} ..."):
        yield
    console.print(f"{name:<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")


def _print_report(report: "Report") -> None:
    provenance = report.card.provenance
    print(
        f"{report.card.model}, {provenance.precision}, {len(report.card.labels)} classes, "
        f"weights: {provenance.checkpoint}"
    )
    if report.comparison is not None:
        _print_comparison(report.comparison)
    print(f"wrote {report.path} ({report.path.stat().st_size / 1e6:.1f} MB)")
    print(f"next: detinfer image.jpg --model {report.path}")


def _print_comparison(comparison: "Comparison") -> None:
    """The parity table, and how the final detections match."""
    rows = [
        [name, f"{row.max_abs:.2e}", f"{row.max_rel:.2e}", f"{row.cosine:.7f}"]
        for name, row in comparison.outputs.items()
    ]
    _print_table(["against PyTorch fp32", "max abs", "max rel", "cosine"], rows)
    shapes = ", ".join("x".join(map(str, shape)) for shape in comparison.runs)
    print(f"inputs: {shapes}")
    if not comparison.detections:
        print("detections: none above 0.05 on either side, so there was nothing to compare")
        return
    print(
        f"detections: {comparison.matched} of {comparison.detections} match ({comparison.match_rate:.1%}), "
        f"worst shift {comparison.box_shift_px:.3g} px, worst score shift {comparison.score_shift:.2g}"
    )


def _list(as_json: bool) -> int:
    from .catalog import entries

    models = entries()
    if as_json:
        print(json.dumps([asdict(entry) for entry in models], indent=2))
        return 0
    rows = [[e.name, e.task, e.paper, e.input, f"{e.parameters / 1e6:.1f} M", e.checkpoint] for e in models]
    _print_table(["model", "task", "paper", "input", "parameters", "checkpoint"], rows)
    return 0


def _doctor(as_json: bool) -> int:
    from .doctor import examine

    checks = examine()
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print_table(["check", "state", ""], [[c.name, c.state, c.detail] for c in checks])
    return 4 if any(check.state == "failed" for check in checks) else 0


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # what reads a pipe wants whole lines
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _capabilities(text: str) -> tuple[str, ...]:
    if not re.fullmatch("[0-9]{2,3}(,[0-9]{2,3})*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of compute capabilities like 86,89")
    return tuple(text.split(","))


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a whole number nor dynamic")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
