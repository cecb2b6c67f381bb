"""detexport: a checkpoint to one ONNX file that holds everything needed to run it."""

import argparse
import contextlib
import json
import re
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deploy.console import Parser, run, whole
from ..deploy.errors import IncompatibleError, UsageError
from .engine_flags import add_flags, build, engine_options

if TYPE_CHECKING:
    from ..deploy.card import Card
    from .api import Report
    from .comparison import Comparison


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
    parser = Parser("detexport", "Export a detection or pose network to one ONNX file that holds everything to run it.")
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
    precision.add_argument(
        "--int8", dest="precision", action="store_const", const="int8", help="convolutions in eight bits; needs --calib"
    )
    precision.add_argument("--precision", choices=["fp32", "fp16", "bf16", "int8"], help="(default: fp32)")
    add("--calib", type=Path, metavar="DIR", help="images for --int8 to calibrate with, like those it will see")
    add("--calib-n", type=whole(1, 100_000), default=256, metavar="N", help="how many of them (default: %(default)s)")
    add("--imgsz", nargs=2, type=int, metavar=("H", "W"), help="fix the canvas (default: any size)")
    add("--batch", type=_batch, metavar="N|dynamic", help="fix the batch size (default: dynamic)")
    add("--nms", choices=["none", "graph"], default="none", help="graph: suppression inside the file")
    add("--max-det", type=int, metavar="N", help="most detections an image (default: the model's)")
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="a name a line, of classes or keypoints (default: the checkpoint's)",
    )
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
    add("-o", "--output", type=Path, metavar="PATH", help="the ONNX file (default: in exports/, by the model)")
    add(
        "--format",
        choices=["onnx", "engine", "openvino"],
        default="onnx",
        help="engine: a TensorRT plan as well, and its .json; openvino: ONNX without functions",
    )
    add_flags(parser)
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
    engine = engine_options(arguments)
    from .api import export
    from .comparison import RejectedError

    try:
        report = export(
            arguments.model,
            checkpoint=arguments.checkpoint,
            precision=arguments.precision or "fp32",
            format="openvino" if arguments.format == "openvino" else "onnx",
            imgsz=None if arguments.imgsz is None else tuple(arguments.imgsz),
            batch=arguments.batch,
            nms=arguments.nms,
            max_det=arguments.max_det,
            labels=arguments.labels,
            verify=arguments.verify,
            atol=arguments.atol,
            rtol=arguments.rtol,
            images=arguments.images,
            calib=arguments.calib,
            calib_n=arguments.calib_n,
            runtime=engine.runtime if engine is not None else arguments.runtime or "ort",
            output=arguments.output,
            report=_step,
            track=_track,
        )
    except RejectedError as error:
        _print_findings(error.card, error.comparison)
        raise
    _print_report(report)
    path = report.path if engine is None else build(report, engine)
    in_crops = report.card.input.resize == "crop"
    print(f"next: detinfer image.jpg --model {f'DETECTOR.onnx --pose-model {path}' if in_crops else path}")
    return 0


@contextlib.contextmanager
def _step(name: str) -> Generator[None]:
    """Says on stderr that a step goes on, where that is a terminal, and when it is done how long it took."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    with console.status(f"{name} ..."):
        yield
    console.print(f"{name:<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")


def _track(name: str, parts: Iterable[Any], count: int) -> Iterator[Any]:
    """The same for a step of many parts, with a bar."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    yield from track(parts, name, count, console=console, transient=True, disable=not console.is_terminal)
    console.print(f"{name:<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")


def _print_report(report: "Report") -> None:
    _print_findings(report.card, report.comparison)
    print(f"wrote {report.path} ({report.path.stat().st_size / 1e6:.1f} MB)")


def _print_findings(card: "Card", comparison: "Comparison | None") -> None:
    what = f"{len(card.labels)} classes" if card.skeleton is None else f"{len(card.skeleton.keypoints)} keypoints"
    print(f"{card.model}, {card.provenance.precision}, {what}, weights: {card.provenance.checkpoint}")
    if comparison is not None:
        _print_comparison(comparison, "detections" if card.skeleton is None else "keypoints")


def _print_comparison(comparison: "Comparison", what: str) -> None:
    """The parity table, and how the final detections match."""
    rows = [
        [name, f"{row.max_abs:.2e}", f"{row.max_rel:.2e}", f"{row.cosine:.7f}"]
        for name, row in comparison.outputs.items()
    ]
    _print_table(["against PyTorch fp32", "max abs", "max rel", "cosine"], rows)
    shapes = ", ".join("x".join(map(str, shape)) for shape in comparison.runs)
    print(f"inputs: {shapes}")
    if comparison.ap is not None:
        before, after = comparison.ap
        print(f"AP: PyTorch {before:.2f}, the file {after:.2f} ({after - before:+.2f})")
    if not comparison.detections:
        print(f"{what}: none above 0.05 on either side, so there was nothing to compare")
        return
    few = comparison.detections <= comparison.tolerance.slack
    print(
        f"{what}: {comparison.matched} of {comparison.detections} match ({comparison.match_rate:.1%}), "
        f"worst shift {comparison.box_shift_px:.3g} px, worst score shift {comparison.score_shift:.2g}"
        + ("; too few to judge by, give photographs with --images" if few else "")
    )


def _list(as_json: bool) -> int:
    from .catalog import entries

    with _step("models"):
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
        _print_table(["check", "state", "", "what mends it"], [[c.name, c.state, c.detail, c.mend] for c in checks])
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


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a whole number nor dynamic")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
