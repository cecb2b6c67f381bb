"""detexport: export a checkpoint to one ONNX file that holds everything needed to run it."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deploy.system import flags
from ..deploy.system.console import Parser, run
from ..deploy.system.errors import IncompatibleError, UsageError
from .engine_flags import add_flags, build, engine_options
from .options import ExportOptions
from .shown import Shown, print_source, print_summary, print_table, step

if TYPE_CHECKING:
    from .api import Exported
    from .engine import EngineOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["adopt"]:
        from .adoption import cli

        return run(_with_packages(cli.command), cli.parser(), given[1:])
    return run(_with_packages(_command), _parser(), given)


def _with_packages(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, which then names the missing package that only exports need."""

    def run_command(arguments: argparse.Namespace) -> int:
        try:
            return command(arguments)
        except ModuleNotFoundError as error:
            raise IncompatibleError(
                f"detexport needs {error.name}, which is not installed; pip install 'detforge[export]'"
            ) from error

    return run_command


def _parser() -> Parser:
    parser = Parser(
        "detexport",
        "Export a detection or pose network to one ONNX file that holds everything to run it. "
        "`detexport adopt FILE.onnx` does so for a file that another program exported.",
    )
    add = parser.add_argument
    add("--model", metavar="NAME", help="a model of --list, or a short name for its default variant (gfl)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--fp16", dest="precision", action="store_const", const="fp16", help="half precision; decoding stays in fp32"
    )
    precision.add_argument(
        "--int8", dest="precision", action="store_const", const="int8", help="8-bit convolutions; needs --calib"
    )
    precision.add_argument("--precision", choices=["fp32", "fp16", "bf16", "int8"], help="(default: fp32)")
    flags.add_flags(ExportOptions, parser)
    add(
        "--format",
        choices=["onnx", "engine", "openvino", "triton"],
        default="onnx",
        help="engine: also build a TensorRT engine and its .json; openvino: ONNX without functions; "
        "triton: also write a model repository for NVIDIA's Triton",
    )
    add_flags(parser)
    add("--list", action="store_true", help="show the models and exit")
    add("--doctor", action="store_true", help="test every backend, device and operator on this machine and exit")
    add("--show", type=Path, metavar="FILE", help="print the Card of a model file and exit")
    add(
        "--relabel",
        type=Path,
        metavar="FILE",
        help="copy a model file to -o with other --labels, --conf, --iou or --max-det, and exit",
    )
    add("--dry-run", action="store_true", help="print what would be exported and the source of each fact, and exit")
    add("--json", action="store_true", help="with --list, --doctor or --show: one JSON document")
    return parser


def _command(arguments: argparse.Namespace) -> int:
    if arguments.json and not (arguments.list or arguments.doctor or arguments.show):
        raise UsageError("--json needs --list, --doctor or --show; an export writes its numbers into the file's Card")
    if arguments.list:
        return _list(arguments.json)
    if arguments.doctor:
        return _doctor(arguments.json)
    if arguments.show is not None:
        return _show(arguments.show, arguments.json)
    if arguments.relabel is not None:
        return _relabel(arguments)
    engine = engine_options(arguments)
    options = _options(arguments, engine)
    if arguments.dry_run:
        return _dry_run(arguments.model, options)
    from .api import export
    from .comparison import RejectedError

    try:
        exported = export(arguments.model, progress=Shown(), **options)
    except RejectedError as error:
        print_summary(error.card, error.comparison)
        raise
    print_summary(exported.card, exported.comparison)
    if (agreement := exported.agreement) is not None:
        what = "poses" if exported.card.form.has_keypoints else "detections"
        apart = "" if agreement.distance is None else f", keypoints {agreement.distance:.2g} px apart on average"
        print(
            f"the framework's {what}: {agreement.matched} of {agreement.expected} found, "
            f"{agreement.found - agreement.matched} extra{apart}"
        )
    print(f"wrote {exported.path} ({exported.path.stat().st_size / 1e6:.1f} MB)")
    if arguments.format == "triton":
        return _triton(exported)
    path = exported.path if engine is None else build(exported, engine)
    in_crops = exported.card.form.runs_on == "crops"
    refines = any(each.kind == "pose" for each in exported.card.inputs)
    before = ("DETECTOR.onnx --pose-model " if in_crops else "") + ("POSES.onnx --refine " if refines else "")
    print(f"next: detinfer image.jpg --model {before}{path}")
    return 0


def _triton(exported: "Exported") -> int:
    from .triton import write_repository

    folder = exported.path.with_name(f"{exported.path.stem}-triton")
    name = write_repository(exported.path, exported.card, folder)
    print(f"wrote {folder}/, a model repository; ask {name} with an image file, see docs/triton.md")
    print(f"next: tritonserver --model-repository {folder}")
    return 0


def _dry_run(model: str | None, options: dict[str, Any]) -> int:
    from .options import ExportOptions
    from .source import choose

    asked = ExportOptions(**options)
    asked.check()
    with step("checkpoint"):
        source = choose(model, asked)
    print(f"{source.variant.name}: {source.variant.summary}")
    print_source(source)
    return 0


def _options(arguments: argparse.Namespace, engine: "EngineOptions | None") -> dict[str, Any]:
    """The flags as keyword arguments of `export`."""
    chosen = flags.read_flags(
        ExportOptions,
        arguments,
        precision=arguments.precision or "fp32",
        format="openvino" if arguments.format == "openvino" else "onnx",
        runtime=engine.runtime if engine is not None else arguments.runtime or "ort",
    )
    return vars(chosen) | {"imgsz": None if chosen.imgsz is None else tuple(chosen.imgsz)}


def _list(as_json: bool) -> int:
    from .catalog import entries

    with step("models"):
        models = entries()
    if as_json:
        print(json.dumps([asdict(entry) for entry in models], indent=2))
        return 0
    rows = [[e.name, e.task, e.paper, e.input, f"{e.parameters / 1e6:.1f} M", e.checkpoint] for e in models]
    print_table(["model", "task", "paper", "input", "parameters", "checkpoint"], rows)
    return 0


def _show(path: Path, as_json: bool) -> int:
    from .relabel import card_of, described

    card = card_of(path)
    if as_json:
        print(json.dumps(json.loads(card.to_json()), indent=2, ensure_ascii=False))
    else:
        print_table(["part", "value"], [list(row) for row in described(card)])
    return 0


def _relabel(arguments: argparse.Namespace) -> int:
    from .relabel import relabel

    changes = {name: getattr(arguments, name) for name in ("labels", "conf", "iou", "max_det")}
    if all(value is None for value in changes.values()):
        raise UsageError("--relabel changes nothing; give --labels, --conf, --iou or --max-det")
    if arguments.output is None:
        raise UsageError("--relabel needs an output file; give it with -o")
    relabel(arguments.relabel, arguments.output, **changes)
    print(f"wrote {arguments.output}")
    print(f"next: detexport --show {arguments.output}")
    return 0


def _doctor(as_json: bool) -> int:
    from .doctor import examine

    checks = examine()
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print_table(["check", "state", "", "remedy"], [[c.name, c.state, c.detail, c.mend] for c in checks])
    return 4 if any(check.state == "failed" for check in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
