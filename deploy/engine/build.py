"""An ONNX file to a plan, in a process of its own.

TensorRT's libraries end the process that they are in when they meet a case that they did not expect, and TensorRT-RTX
must be found by a name that its packages lack before the process starts.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...plugins.core.libraries import WITH_NVCC
from ..system import errors
from ..system.errors import DetforgeError, ExportError, IncompatibleError, RefusedError, UsageError
from .layers import Layer, check_layers
from .onnx_file import OnnxFile
from .profile import Profile
from .runtime import Runtime, compute_capability, library_path, module, plugin_library, require

Watch = Callable[[dict[str, Any]], None]
"""Hears the builder's events: {"start": [phase, steps]}, {"step": [phase, done]}, {"finish": phase}, {"warning": text}.
"""


@dataclass(frozen=True)
class BuildOptions:
    """What an engine is built for.

    `sm` are compute capabilities ("89"), for TensorRT-RTX alone, which otherwise chooses; `workspace` is MiB of the
    GPU's memory that a layer may use; `hw_compat` and `version_compat` allow newer GPUs and TensorRTs.
    """

    runtime: Runtime
    sm: tuple[str, ...] = ()
    workspace: int | None = None
    weight_streaming: bool = False
    hw_compat: bool = False
    version_compat: bool = False

    def check(self) -> None:
        """UsageError for what contradicts itself, IncompatibleError without the runtime or a GPU that it knows."""
        if self.sm and self.runtime != "tensorrt-rtx":
            raise UsageError("--sm is for --runtime tensorrt-rtx; TensorRT builds for the GPU here; see --hw-compat")
        for flag, given in (("--hw-compat", self.hw_compat), ("--version-compat", self.version_compat)):
            if given and self.runtime == "tensorrt-rtx":
                raise UsageError(f"{flag} is for --runtime tensorrt; TensorRT-RTX has no such engines; see --sm")
        require(self.runtime)
        for capability in self.sm:
            compute_capability(module(self.runtime), capability)

    def embeds(self, plugins: Path | None) -> bool:
        """Whether the engine takes the plugins into itself: TensorRT does so for version-compatible engines alone."""
        return plugins is not None and (self.version_compat or self.runtime == "tensorrt-rtx")


@dataclass(frozen=True)
class Build:
    """What was built: the runtime's version, the plugins' library, if any, the network's layers and the engine's.

    The engine's are None where no GPU let it be opened.
    """

    version: str
    plugins: Path | None
    embedded: bool
    layers: tuple[Layer, ...]
    engine_layers: tuple[Layer, ...] | None


def build(
    path: Path,
    file: OnnxFile,
    precision: str,
    profile: Profile,
    options: BuildOptions,
    plan: Path,
    *,
    device: int | None = None,
    timing_cache: Path | None = None,
    watch: Watch = lambda _: None,
) -> Build:
    """Build an engine on GPU `device` and write its plan.

    `file` is what stands in the ONNX file at `path`, `precision` what its Card says. Raises IncompatibleError without
    the runtime, or for a file quantised for another, ExportError when the network cannot be built or is not what the
    file says.
    """
    if file.for_cpu:
        raise IncompatibleError(
            f"{path}: quantised for ONNX Runtime on a CPU, and {options.runtime} does not take that; "
            f"export it with --int8 --runtime {options.runtime}"
        )
    plugins = plugin_library() if file.operators else None
    if plugins is None and file.plugins_only:
        which = f"{options.runtime} takes {', '.join(file.plugins_only)} as plugins alone, which were not built"
        raise RefusedError(_text(path, which, WITH_NVCC))
    embedded = options.embeds(plugins)
    request = {
        **{name: value for name, value in asdict(options).items() if name != "version_compat"},
        "version_compatible": options.version_compat,
        "onnx": str(path),
        "plan": str(plan),
        "profile": profile,
        "device": device,
        "timing_cache": None if timing_cache is None else str(timing_cache),
        "plugins": None if plugins is None else str(plugins),
        "embedded": embedded,
    }
    layers: tuple[Layer, ...] = ()
    for event in _events(path, request):
        if "network" in event:  # before the build, which takes a while
            layers = _layers(event["network"])
            check_layers(path, layers, precision, file.operators, plugins is not None)
        elif "failed" in event:
            raise _failure(path, event, options, without_plugins=bool(file.operators) and plugins is None)
        elif "built" in event:
            found = event["built"]["layers"]
            inside = None if found is None else _layers(found)
            return Build(event["built"]["version"], plugins, embedded, layers, inside)
        else:
            watch(event)
    raise AssertionError("the builder ends with what it built, or an error")


def _layers(told: list[dict[str, Any]]) -> tuple[Layer, ...]:
    return tuple(
        Layer(each["name"], each["kind"], each["precision"], each["plugin"] and tuple(each["plugin"])) for each in told
    )


def _events(onnx: Path, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the builder's process says; ExportError when it ends without a last word."""
    with tempfile.TemporaryDirectory() as name, (Path(name) / "stderr").open("w+", errors="replace") as stderr:
        asked = Path(name) / "request.json"
        asked.write_text(json.dumps(request))
        environment = os.environ | {"LD_LIBRARY_PATH": library_path(request["runtime"], Path(name))}
        command = [sys.executable, "-m", f"{__package__}.worker", str(asked)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    event = json.loads(line)
                    yield event
                    if "built" in event or "failed" in event:
                        return
            finally:
                process.kill()  # it may still be building when nobody listens any more
        stderr.seek(0)
        lines = stderr.read().strip().splitlines()
        code = process.returncode
        end = f"the builder died of signal {-code}" if code < 0 else f"the builder ended with {code}"
        raise ExportError(_text(onnx, end + (f" after: {lines[-1]}" if lines else "")))


def _failure(onnx: Path, event: dict[str, Any], options: BuildOptions, *, without_plugins: bool) -> DetforgeError:
    """The error that ended the builder's process, with what mends it where that is known."""
    reason: str = event["failed"]
    kind: type[Exception] = getattr(errors, event["kind"], ExportError)
    if issubclass(kind, IncompatibleError):
        return kind(reason)
    error = RefusedError if kind is RefusedError else ExportError
    if options.workspace is not None and "workspace" in reason:
        what = f"{options.runtime} has no kernel for a layer within --workspace {options.workspace}"
        return error(_text(onnx, what, "raise it, or leave it out"))
    if without_plugins:
        why = "the plugins for its operators were not built"
        return error(_text(onnx, f"{reason}; {why}", WITH_NVCC), reason)
    return error(_text(onnx, reason), reason)


def _text(onnx: Path, reason: str, remedy: str = "the ONNX file is whole and runs elsewhere") -> str:
    return f"{onnx}: no engine was built; {reason}; {remedy}"
