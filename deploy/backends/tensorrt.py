"""TensorRT and TensorRT-RTX: an ONNX file to an engine.

The builder runs in a process of its own: its libraries end the process they are in when they meet a case that they did
not expect, and TensorRT-RTX must be found by a name that its packages lack before the process starts.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ...plugins.core.libraries import library
from ..errors import ExportError, IncompatibleError

Runtime = Literal["tensorrt", "tensorrt-rtx"]
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class BuildOptions:
    """What an engine is built for.

    `profile` gives the smallest, the usual and the largest shape of every input with free dimensions; `sm` the compute
    capabilities ("89"), by default that of the GPU here, for TensorRT-RTX alone.
    """

    runtime: Runtime
    profile: Mapping[str, tuple[Sizes, Sizes, Sizes]]
    sm: tuple[str, ...] = ()
    timing_cache: str | None = None
    hw_compat: bool = False
    version_compat: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer of the network as it was parsed: its kind, a plugin's operator, and the type of its first output."""

    name: str
    kind: str
    plugin: str | None
    precision: str


@dataclass(frozen=True)
class Build:
    """What was built: the runtime's version, the library of our plugins, if any, and the layers it was built from."""

    runtime: Runtime
    version: str
    plugins: str | None
    layers: tuple[Layer, ...]


def require(runtime: Runtime) -> str:
    """The name of the runtime's module; IncompatibleError where it is not installed."""
    module = runtime.replace("-", "_")
    if importlib.util.find_spec(module) is None:
        raise IncompatibleError(f"{runtime} is not installed; pip install 'detforge[{runtime}]'")
    return module


def build(onnx: Path, plan: Path, options: BuildOptions) -> Build:
    """Build an engine and write its plan; IncompatibleError without the runtime, ExportError with its reason."""
    module = require(options.runtime)
    plugins = library("detforge_trt")
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        names = {"onnx": str(onnx), "plan": str(plan), "plugins": plugins and str(plugins)}
        request.write_text(json.dumps(names | asdict(options)))
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(request)],
            env=os.environ | {"LD_LIBRARY_PATH": _library_path(module, Path(folder))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise ExportError(
                f"{onnx}: no engine was built; {_reason(done)}; the ONNX file is whole and runs elsewhere"
            )
        report = json.loads(request.with_suffix(".built").read_text())
    return Build(
        options.runtime, report["version"], names["plugins"], tuple(Layer(**each) for each in report["layers"])
    )


def _library_path(module: str, folder: Path) -> str:
    """Where the builder looks for libraries: plugins make TensorRT-RTX open itself by a name without a version."""
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    found = importlib.util.find_spec(f"{module}_libs")
    for place in (found and found.submodule_search_locations) or []:
        for versioned in Path(place).glob(f"lib{module}.so.*"):
            (folder / f"lib{module}.so").symlink_to(versioned)
            break
    return os.pathsep.join(path for path in paths if path)


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()
    if done.returncode < 0:
        return f"the builder died of signal {-done.returncode}" + (f" after: {lines[-1]}" if lines else "")
    return lines[-1] if lines else f"the builder ended with {done.returncode}"


def _work(request: Any) -> dict[str, Any]:
    """The builder's process: parse, look, build, write."""
    trt: Any = importlib.import_module(request["runtime"].replace("-", "_"))
    errors: list[str] = []

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                errors.append(message)

    logger = Log()
    if request["plugins"] is not None and trt.get_plugin_registry().load_library(request["plugins"]) is None:
        raise RuntimeError(f"{request['plugins']} cannot be loaded as plugins")
    builder = trt.Builder(logger)
    # Strongly typed: the file's own precision. TensorRT 11 knows no other way and need not have the flag.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(request["onnx"]).read_bytes()):
        error = parser.get_error(0)
        raise RuntimeError(f"{request['runtime']} cannot take node {error.node_name() or error.node()}: {error.desc()}")
    layers = [_layer(trt, network.get_layer(i)) for i in range(network.num_layers)]
    config = _config(trt, builder, request)
    if request["profile"]:
        profile = builder.create_optimization_profile()
        for name, shapes in request["profile"].items():
            profile.set_shape(name, *shapes)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(
            f"{request['runtime']} cannot build this network: {errors[0] if errors else 'no reason given'}"
        )
    Path(request["plan"]).write_bytes(plan)
    if request["timing_cache"] is not None:
        Path(request["timing_cache"]).write_bytes(config.get_timing_cache().serialize())
    return {"version": trt.__version__, "layers": layers}


def _config(trt: Any, builder: Any, request: Any) -> Any:
    config = builder.create_builder_config()
    if request["sm"]:
        config.num_compute_capabilities = len(request["sm"])
        for i, capability in enumerate(request["sm"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), i)
    if request["hw_compat"]:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if request["version_compat"]:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if request["timing_cache"] is not None:
        cache = Path(request["timing_cache"])
        config.set_timing_cache(config.create_timing_cache(cache.read_bytes() if cache.exists() else b""), False)
    return config


def _layer(trt: Any, layer: Any) -> dict[str, Any]:
    name, plugin = layer.name, None
    if layer.type == trt.LayerType.PLUGIN_V3:
        layer.__class__ = trt.IPluginV3Layer  # the bindings' way to a layer's own members
        plugin = layer.plugin.get_capability_interface(trt.PluginCapabilityType.CORE).plugin_name
    precision = layer.get_output(0).dtype.name if layer.num_outputs else ""
    return {"name": name, "kind": layer.type.name, "plugin": plugin, "precision": precision}


if __name__ == "__main__":
    asked = Path(sys.argv[1])
    try:
        asked.with_suffix(".built").write_text(json.dumps(_work(json.loads(asked.read_text()))))
    except Exception as error:  # whatever it is, one line of it reaches the user
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
