"""CUDA through NVIDIA's own bindings: the device, streams, memory on both sides, graphs.

Everything that a TensorRT engine needs around it; the only file that imports `cuda`.
"""

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..system.errors import AbsentError, DetforgeError, IncompatibleError

Sizes = tuple[int, ...]

_DLPACK_CUDA = 2  # kDLCUDA of its device types


def _runtime() -> Any:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError:
        raise AbsentError(
            "CUDA's Python bindings are not installed; pip install 'detforge[tensorrt]' or 'detforge[tensorrt-rtx]'"
        ) from None


def _call(name: str, *arguments: Any) -> Any:
    """A function of the CUDA runtime: what it gives beside its error, which is raised."""
    cuda = _runtime()
    error, *values = getattr(cuda, name)(*arguments)
    if int(error) != 0:
        cuda.cudaGetLastError()  # it is told here; what asks for the last error later must not find it
        reason = getattr(error, "name", str(error))
        if reason == "cudaErrorMemoryAllocation":
            raise DetforgeError("the GPU's memory is full; free some, or use smaller batches")
        raise DetforgeError(f"CUDA failed in {name}; {reason}; see detexport --doctor")
    return values[0] if len(values) == 1 else values


class Device:
    """A GPU by its index: `name`, and `capability` such as "89"; AbsentError where there is none."""

    def __init__(self, index: int) -> None:
        cuda = _runtime()
        error, count = cuda.cudaGetDeviceCount()
        if int(error) != 0 or not count:
            reason = getattr(error, "name", "no GPU")
            if reason == "cudaErrorInsufficientDriver" and _call("cudaDriverGetVersion"):  # 0 without a driver
                raise AbsentError(
                    f"device cuda:{index}: the driver is older than the CUDA of the Python bindings; update the "
                    "driver, or pip install 'cuda-bindings<13'"
                )
            raise AbsentError(f"device cuda:{index}: CUDA finds no GPU here; {reason}; check nvidia-smi")
        if index >= count:
            raise AbsentError(f"device cuda:{index}: not one of the {count} here; choose cuda:0 to cuda:{count - 1}")
        self.index = index
        kind = cuda.cudaDeviceAttr
        parts = (kind.cudaDevAttrComputeCapabilityMajor, kind.cudaDevAttrComputeCapabilityMinor)
        self.capability = "".join(str(_call("cudaDeviceGetAttribute", part, index)) for part in parts)
        properties = _call("cudaGetDeviceProperties", index)
        self.name = bytes(properties.name).split(b"\0")[0].decode(errors="replace")

    def use(self) -> None:
        """Make it the calling thread's device."""
        _call("cudaSetDevice", self.index)


class Stream:
    """A queue of work for the GPU."""

    def __init__(self) -> None:
        self.handle = int(_call("cudaStreamCreateWithFlags", _runtime().cudaStreamNonBlocking))

    def wait(self) -> None:
        """Until all of it is done."""
        _call("cudaStreamSynchronize", self.handle)

    def upload(self, target: "DeviceMemory", source: "PinnedMemory", size: int) -> None:
        kind = _runtime().cudaMemcpyKind.cudaMemcpyHostToDevice
        _call("cudaMemcpyAsync", target.address, source.address, size, kind, self.handle)

    def download(self, target: "PinnedMemory", address: int, size: int) -> None:
        kind = _runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call("cudaMemcpyAsync", target.address, address, size, kind, self.handle)

    def capture(self, work: Callable[[], object]) -> "Graph":
        """What `work` puts into this stream, as a graph; it does not run yet."""
        cuda = _runtime()
        _call("cudaStreamBeginCapture", self.handle, cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            work()
        finally:
            graph = _call("cudaStreamEndCapture", self.handle)
        try:
            return Graph(_call("cudaGraphInstantiate", graph, 0))
        finally:
            _call("cudaGraphDestroy", graph)

    def __del__(self) -> None:
        _release("cudaStreamDestroy", self.__dict__.get("handle"))


class Graph:
    """Work that was captured and starts in one call."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def launch(self, stream: Stream) -> None:
        _call("cudaGraphLaunch", self._handle, stream.handle)

    def __del__(self) -> None:
        _release("cudaGraphExecDestroy", self._handle)


class DeviceMemory:
    """Bytes on the current device."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = int(_call("cudaMalloc", max(1, size)))

    def __del__(self) -> None:
        _release("cudaFree", self.__dict__.get("address"))


class PinnedMemory:
    """Bytes on this side that the GPU reads and writes by itself, without a copy in between."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = int(_call("cudaMallocHost", max(1, size)))

    def array(self, shape: Sizes, dtype: Any) -> NDArray[Any]:
        """Its first bytes as an array, which is valid as long as this is."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw: Any = (ctypes.c_uint8 * size).from_address(self.address)
        return np.frombuffer(raw, dtype).reshape(shape)

    def __del__(self) -> None:
        _release("cudaFreeHost", self.__dict__.get("address"))


class DeviceArray:
    """A result that stayed on the device: for PyTorch, CuPy and others as it is, for NumPy as a copy."""

    def __init__(self, memory: DeviceMemory, shape: Sizes, dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._memory = memory

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        # No stream: the work is done when somebody sees this.
        data = (self._memory.address, False)
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "strides": None, "version": 3}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("what is on the device cannot be seen without a copy")
        values = np.empty(self.shape, self.dtype)
        kind = _runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call("cudaMemcpy", values.ctypes.data, self._memory.address, values.nbytes, kind)
        return values if dtype is None else values.astype(dtype, copy=False)


def is_on_device(value: Any) -> bool:
    """Whether a value is an array of another library in the GPU's memory."""
    if isinstance(value, np.ndarray) or hasattr(value, "__cuda_array_interface__"):
        return not isinstance(value, np.ndarray)
    return hasattr(value, "__dlpack_device__") and int(value.__dlpack_device__()[0]) == _DLPACK_CUDA


def view_on_device(value: Any, stream: Stream, device: int) -> Any:
    """Where such an array is, from `stream` on: it has `ptr`, `shape`, `strides` (None when dense) and `dtype`."""
    utils: Any = importlib.import_module("cuda.core.utils")
    view = utils.StridedMemoryView.from_any_interface(value, stream_ptr=stream.handle)
    if view.device_id != device:
        raise IncompatibleError(f"an input is on cuda:{view.device_id}, the engine on cuda:{device}; move it there")
    return view


def _release(name: str, handle: Any) -> None:
    """Give something back; at the end of the process the runtime may be gone before what it gave."""
    if handle is not None:
        try:
            _call(name, handle)
        except Exception:
            return
