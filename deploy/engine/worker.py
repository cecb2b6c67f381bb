"""The builder's process: parse, look, build, write. `build.py` starts it, feeds it and listens.

It says what happens in JSON, a line each, on stdout: a key for the kind of event, and what it holds.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..system.errors import DetforgeError, IncompatibleError, RefusedError
from ..system.files import replacing
from .cuda_memory import Device
from .layers import engine_layers, parsed_layers
from .runtime import compute_capability, load_plugins, module

Tell = Callable[[dict[str, Any]], None]

_STEP_S = 0.05  # steps that follow each other faster are not told
# Of TensorRT's warnings those that a user can do something about, and what.
_ACTIONABLE = {
    "insufficient to use tactic|insufficient memory": "some kernels did not fit into the GPU's memory, or what a "
    "layer may use of it, and were not tried; free or allow more",
    "overflow in (FP16|BF16)": "some weights are too large for this precision and were cut; use fp32, or bf16",
    "smallest positive (FP16|BF16) subnormal": "some weights are too small for this precision; mind the parity table",
    "[Tt]iming cache (will not be used|entry)|deserialize timing cache": "the timing cache is broken or of another "
    "TensorRT or GPU and is not used; delete it, or give another",
    "lazy loading is not enabled": "CUDA loads all its kernels at once; set CUDA_MODULE_LOADING=LAZY",
}


def _work(request: dict[str, Any], tell: Tell) -> None:
    trt = module(request["runtime"])
    logger = _logger(trt, tell)
    if request["device"] is not None:
        Device(request["device"]).use()
    if request["plugins"] is not None:
        load_plugins(trt, Path(request["plugins"]))
    builder = trt.Builder(logger)
    # Strongly typed: the file's own precision. TensorRT 11 knows no other way and need not have the flag.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(request["onnx"]).read_bytes()):
        error = parser.get_error(0)
        node = error.node_name() or error.node()
        raise RefusedError(f"{request['runtime']} cannot take node {node}: {error.desc()}")
    tell({"network": [asdict(layer) for layer in parsed_layers(trt, network)]})
    config = _config(trt, builder, request)
    config.progress_monitor = _monitor(trt, tell)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RefusedError(f"{request['runtime']} cannot build this network: {logger.error or 'no reason given'}")
    Path(request["plan"]).write_bytes(plan)
    if request["timing_cache"] is not None:
        try:
            with replacing(Path(request["timing_cache"])) as temporary:
                temporary.write_bytes(config.get_timing_cache().serialize())
        except DetforgeError as error:
            tell({"warning": str(error)})  # the plan is whole without it
    tell({"built": {"version": trt.__version__, "layers": _inspect(trt, logger, request)}})


def _config(trt: Any, builder: Any, request: dict[str, Any]) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the engine does not tell its layers' types
    if request["profile"]:
        profile = builder.create_optimization_profile()
        for name, shapes in request["profile"].items():
            profile.set_shape(name, *map(tuple, shapes))
        if config.add_optimization_profile(profile) < 0:
            raise RuntimeError(f"{request['runtime']} refuses the profile {request['profile']}")
    if request["sm"]:
        config.num_compute_capabilities = len(request["sm"])
        for i, capability in enumerate(request["sm"]):
            config.set_compute_capability(compute_capability(trt, capability), i)
    if request["workspace"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request["workspace"] << 20)
    if request["hw_compat"]:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    for name in ("version_compatible", "weight_streaming"):
        if request[name]:
            config.set_flag(getattr(trt.BuilderFlag, name.upper()))
    if request["embedded"]:
        config.plugins_to_serialize = [request["plugins"]]
    if request["timing_cache"] is not None:
        cache = Path(request["timing_cache"])
        stored = config.create_timing_cache(cache.read_bytes() if cache.is_file() else b"")
        config.set_timing_cache(stored or config.create_timing_cache(b""), False)
    return config


def _inspect(trt: Any, logger: Any, request: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The engine's own layers; None where no GPU lets it be opened."""
    try:
        Device(request["device"] or 0).use()
    except IncompatibleError:
        return None
    runtime = trt.Runtime(logger)
    runtime.engine_host_code_allowed = request["embedded"] or request["version_compatible"]
    engine = runtime.deserialize_cuda_engine(Path(request["plan"]).read_bytes())
    if engine is None:  # built for other GPUs than the one here
        return None
    said = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return [asdict(layer) for layer in engine_layers(said)]


def _logger(trt: Any, tell: Tell) -> Any:
    class Log(trt.ILogger):
        """Keeps the first error, and passes on what a user can act on, once."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""
            self._told: set[str] = set()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.error = self.error or message
            if severity <= trt.ILogger.WARNING:
                for pattern, advice in _ACTIONABLE.items():
                    if advice not in self._told and re.search(pattern, message):
                        self._told.add(advice)
                        tell({"warning": advice})

    return Log()


def _monitor(trt: Any, tell: Tell) -> Any:
    class Monitor(trt.IProgressMonitor):
        """Passes on which phase the builder is in, and how far."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._last = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tell({"start": [phase_name, num_steps]})

        def step_complete(self, phase_name: str, step: int) -> bool:
            if time.monotonic() - self._last > _STEP_S:
                self._last = time.monotonic()
                tell({"step": [phase_name, step + 1]})
            return True

        def phase_finish(self, phase_name: str) -> None:
            tell({"finish": phase_name})

    return Monitor()


def _main(request: Path) -> None:
    heard = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no event

    def tell(event: dict[str, Any]) -> None:
        heard.write(json.dumps(event) + "\n")

    try:
        _work(json.loads(request.read_text()), tell)
    except Exception as error:  # whatever it is, one line of it reaches the user
        kind = type(error).__name__
        tell({"failed": " ".join(str(error).split()) or kind, "kind": kind})


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
