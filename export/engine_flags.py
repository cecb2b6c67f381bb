"""The flags of detexport --format engine, and its build step."""

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..deploy.system.errors import UsageError
from ..deploy.system.flags import whole

if TYPE_CHECKING:
    from .api import Exported
    from .engine import EngineOptions

_SWITCHES = {
    "weight_streaming": "keep weights in host memory if the GPU's memory is too small",
    "hw_compat": "also run on other GPUs, Ampere and newer; TensorRT only",
    "version_compat": "also run in newer TensorRT, with our plugins inside; TensorRT only",
}
_BATCHES = {"min": "smallest", "opt": "usual", "max": "largest"}
_NAMES = ("runtime", "sm", "workspace", "timing_cache", *_SWITCHES, *(f"{name}_batch" for name in _BATCHES))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the group of flags. All default to None."""
    add = parser.add_argument_group("with --format engine").add_argument
    add("--runtime", choices=["tensorrt", "tensorrt-rtx"], help="runtime of the engine (default: tensorrt)")
    add("--sm", type=_capabilities, metavar="86,89", help="compute capabilities; TensorRT-RTX only")
    for name, what in _BATCHES.items():
        add(f"--{name}-batch", type=whole(1, 1024), metavar="N", help=f"{what} batch (default: 1, 1, 8)")
    add("--workspace", type=whole(1, 1 << 20), metavar="MB", help="memory limit of a layer (default: all)")
    add("--timing-cache", type=Path, metavar="FILE", help="cache to read and update, for faster builds")
    for name, what in _SWITCHES.items():
        add(f"--{name.replace('_', '-')}", action="store_const", const=True, help=what)


def engine_options(arguments: argparse.Namespace) -> "EngineOptions | None":
    """The engine options that the flags stand for. Checked before the export, which takes a while."""
    given = {name: value for name in _NAMES if (value := getattr(arguments, name)) is not None}
    if arguments.format != "engine":
        if arguments.precision == "int8":
            given.pop("runtime", None)  # int8 files depend on the runtime that will run them.
        if given:
            raise UsageError(f"--{next(iter(given)).replace('_', '-')} goes with --format engine")
        return None
    from ..deploy.engine.profile import USUAL_BATCH
    from .engine import EngineOptions

    named = {name: given.pop(f"{name}_batch") for name in _BATCHES if f"{name}_batch" in given}
    fixed = arguments.batch
    if named and fixed is not None and {*named.values()} != {fixed}:
        raise UsageError(f"--batch {fixed} fixes --min, --opt and --max-batch too; use --batch dynamic")
    batch = None
    if named and fixed is None:
        low, usual, high = (named.get(name, size) for name, size in zip(_BATCHES, USUAL_BATCH, strict=True))
        # Explicit sizes move the defaults of the others.
        high = max(low, usual, high) if "max" not in named else high
        usual = min(max(low, usual), high) if "opt" not in named else usual
        batch = (low, usual, high)
    options = EngineOptions(given.pop("runtime", "tensorrt"), batch=batch, **given)
    options.check()
    return options


def build(exported: "Exported", options: "EngineOptions") -> Path:
    """Build the engine of an export, print its description and return its path."""
    from rich.console import Console

    from ..deploy.engine.progress import build_shown
    from .engine import build_engine

    started = time.perf_counter()
    with build_shown() as watch:
        description = build_engine(exported.path, exported.card, options, watch)
    Console(stderr=True, highlight=False).print(f"{'engine':<11}[dim]{time.perf_counter() - started:6.1f} s[/dim]")
    path = exported.path.with_suffix(".engine")
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB) and {path.name}.json, for {description.runtime}")
    convolutions = description.precisions.get("CONVOLUTION", {})
    print("convolutions: " + ", ".join(f"{count} {kind}" for kind, count in convolutions.items()))
    if description.plugins is not None:
        names = ", ".join(f"{plugin.layers} {plugin.name}" for plugin in description.plugins.operators)
        inside = "in the engine" if description.plugins.embedded else f"in {description.plugins.library}"
        print(f"plugins: {names}, {inside}")
    elif exported.card.ops:
        print("plugins: none, detforge was built without nvcc; operators run as standard ONNX, slower")
    return path


def _capabilities(text: str) -> tuple[str, ...]:
    if not re.fullmatch("[0-9]{2,3}(,[0-9]{2,3})*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of compute capabilities like 86,89")
    return tuple(dict.fromkeys(text.split(",")))
