"""TensorRT and TensorRT-RTX: runs engines that were built before."""

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..card import METADATA_KEY
from ..contract.port import Arrays, Port
from ..engine.cuda_memory import Device, is_on_device
from ..engine.description import check_fits, read_description, rebuild
from ..engine.execution import Execution, tensor_dtype
from ..engine.runtime import load_plugins, module, plugin_library
from ..inputs.image_batch import ImageBatch, input_kernel
from ..system.errors import IncompatibleError, UsageError


class TensorrtBackend:
    """Runs an engine on GPU `device`, up to `streams` times concurrently; further threads wait.

    A batch larger than the engine's largest runs in parts; one smaller than its smallest is padded. Inputs may be
    arrays on the device from any library that supports DLPack or the CUDA array interface. If libdetforge_cuda is
    installed, the first input may also be an ImageBatch, which the GPU preprocesses.
    Raises InputError if the file is missing, and IncompatibleError if the engine cannot run: it has no description, is
    damaged, was built for another version or GPU, or needs plugins that are not installed.
    """

    def __init__(self, path: str, *, runtime: str | None = None, device: int = 0, streams: int = 1) -> None:
        description = read_description(Path(path))
        if runtime not in (None, description.runtime):
            raise UsageError(f"{path}: an engine for {description.runtime}, not {runtime}; leave out --backend")
        trt = module(description.runtime)
        self._device = Device(device)
        check_fits(description, Path(path), trt.__version__, self._device.capability)
        self._device.use()
        if description.plugins is not None and not description.plugins.embedded:
            library = plugin_library()
            assert library is not None
            load_plugins(trt, library)
        self._path, self._trt = path, trt
        self._logger = _logger(trt)
        self._runtime = trt.Runtime(self._logger)
        embedded = description.plugins is not None and description.plugins.embedded
        self._runtime.engine_host_code_allowed = embedded or description.version_compat
        self._engine = self._runtime.deserialize_cuda_engine(Path(path).read_bytes())
        if self._engine is None:
            raise IncompatibleError(
                f"{path}: {description.runtime} cannot load this engine; {self._logger.error or 'no reason given'}; "
                f"{rebuild(Path(path), description.runtime)}"
            )
        if self._engine.streamable_weights_size:
            self._engine.weight_streaming_budget_v2 = self._engine.get_weight_streaming_automatic_budget()
        self.metadata: Mapping[str, str] = {METADATA_KEY: description.card.to_json()}
        self.inputs, self.outputs = self._ports()
        self._kernel = input_kernel(self.inputs[0].dtype)
        if self._kernel is not None:
            self.inputs = (replace(self.inputs[0], takes_images=True), *self.inputs[1:])
        self._bounds = [self._profile_bounds(i) for i in range(self._engine.num_optimization_profiles)]
        self._executions: queue.LifoQueue[Execution | None] = queue.LifoQueue()
        self._making = threading.Lock()  # an engine is one thread's at a time
        for _ in range(streams):
            self._executions.put(None)  # created on first use; the last one used is used again first

    def run(self, feeds: Mapping[str, Any], *, on_device: bool = False) -> Arrays:
        """The outputs as arrays, or with `on_device` as DeviceArrays, which other libraries can use without a copy."""
        images = feeds[self.inputs[0].name]
        count, most = images.shape[0], max(bounds[self.inputs[0].name][1][0] for bounds in self._bounds)
        if count <= most:
            return self._run(feeds, on_device)
        if on_device or any(is_on_device(value) for value in feeds.values()):
            raise UsageError(f"a batch of {count} on the device; this engine takes {most} at most; give it in parts")
        starts = range(0, count, most)
        parts = [self._run({k: v[at : at + most] for k, v in feeds.items()}, False) for at in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, feeds: Mapping[str, Any], on_device: bool) -> Arrays:
        count = next(iter(feeds.values())).shape[0]
        profile, missing = self._choose({name: tuple(value.shape) for name, value in feeds.items()})
        if missing:
            if on_device or any(is_on_device(value) for value in feeds.values()):
                raise UsageError(f"a batch of {count} on the device; this engine takes {count + missing} at least")
            feeds = {name: _filled_up(value, missing) for name, value in feeds.items()}
        execution = self._executions.get()
        try:
            if execution is None:
                with self._making:
                    execution = Execution(self._trt, self._engine, self._device, self._kernel)
            outputs = execution.run(feeds, profile, on_device)
        finally:
            self._executions.put(execution)
        return {name: value[:count] for name, value in outputs.items()} if missing else outputs

    def _choose(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
        """The first profile that accepts these shapes, and how many images must be added for its smallest batch."""
        for index, bounds in enumerate(self._bounds):
            missing = 0
            for name, shape in shapes.items():
                smallest, largest = bounds[name]
                missing = max(missing, smallest[0] - shape[0])
                inside = zip(smallest[1:], shape[1:], largest[1:], strict=True)
                if shape[0] > largest[0] or not all(low <= size <= high for low, size, high in inside):
                    break
            else:
                return index, missing
        name, shape = next(iter(shapes.items()))
        taken = " or ".join(f"{_text(low)} to {_text(high)}" for low, high in (each[name] for each in self._bounds))
        raise IncompatibleError(
            f"{self._path}: built for inputs of {taken}, not {_text(shape)}; use an image of another size, or the "
            "ONNX file with --backend ort"
        )

    def _ports(self) -> tuple[Sequence[Port], Sequence[Port]]:
        engine, mode = self._engine, self._trt.TensorIOMode.INPUT
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        ports = {name: self._port(name) for name in names}
        inputs = tuple(port for port in ports.values() if engine.get_tensor_mode(port.name) == mode)
        return inputs, tuple(port for port in ports.values() if port not in inputs)

    def _port(self, name: str) -> Port:
        shape = tuple(None if size < 0 else size for size in self._engine.get_tensor_shape(name))
        return Port(name, shape, tensor_dtype(self._trt, self._engine, name).name)

    def _profile_bounds(self, index: int) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """The smallest and the largest shape of each input in a profile."""
        bounds: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for port in self.inputs:
            fixed = tuple(size for size in port.shape if size is not None)
            smallest, largest = fixed, fixed
            if None in port.shape:
                smallest, _, largest = map(tuple, self._engine.get_tensor_profile_shape(port.name, index))
            bounds[port.name] = smallest, largest
        return bounds


def _filled_up(value: Any, missing: int) -> Any:
    if isinstance(value, ImageBatch):
        return value.filled_up(missing)
    return np.concatenate((value, np.zeros((missing, *value.shape[1:]), value.dtype)))


def _logger(trt: Any) -> Any:
    class Log(trt.ILogger):
        """Keeps the first error message, for our exceptions."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.error = self.error or " ".join(message.split())

    return Log()


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
