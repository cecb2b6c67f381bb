"""An execution context of an engine with its stream and its memory, for one run at a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...plugins.core.abi import Buffer, Library
from ..inputs.image_batch import ImageBatch, fill
from ..system.errors import DetforgeError, UsageError
from .cuda_memory import (
    Device,
    DeviceArray,
    DeviceMemory,
    Graph,
    PinnedMemory,
    Sizes,
    Stream,
    is_on_device,
    view_on_device,
)

_PIXELS = ""  # of the images that an input is made of: no tensor has this name


class Execution:
    """Runs an engine. Memory grows to the largest sizes seen and is then reused.

    Work of the same shapes at the same addresses is captured the second time, and from the third on started as a CUDA
    graph. An output whose size only the run decides is allocated in the middle of it, and then there is no graph.
    """

    def __init__(self, trt: Any, engine: Any, device: Device, kernel: Library | None) -> None:
        device.use()
        self._trt, self._engine, self._device, self._kernel = trt, engine, device, kernel
        self._context, self._captures = _context(trt, engine)
        self._stream = Stream()
        self._profile = 0
        self._host: dict[str, PinnedMemory] = {}
        self._memory: dict[str, DeviceMemory] = {}
        self._places: dict[str, tuple[Sizes, int]] = {}  # of the last run: every tensor's shape and address
        self._graph: Graph | None = None
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = {name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT}
        self._outputs = [name for name in names if name not in inputs]
        self._dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}

    def run(self, feeds: Mapping[str, Any], profile: int, on_device: bool) -> dict[str, Any]:
        """The outputs of one run that fits `profile`: arrays, or DeviceArrays where they are to stay."""
        self._device.use()  # the device is each thread's own
        if profile != self._profile:
            self._require(self._context.set_optimization_profile_async(profile, self._stream.handle), "a profile")
            self._profile, self._places = profile, {}
        # Kept until the run is over: an exporter may free what it gave when its view goes.
        views = {
            name: view_on_device(value, self._stream, self._device.index)
            for name, value in feeds.items()
            if is_on_device(value)
        }
        places = {name: self._feed(name, value, views.get(name)) for name, value in feeds.items()}
        results: dict[str, _Result] = {}
        fresh: dict[str, DeviceMemory] = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if -1 in shape:
                results[name] = self._result(name)
                continue
            size = self._size(name, shape)
            if on_device:
                fresh[name] = DeviceMemory(size)
            memory = fresh[name] if on_device else self._grown(name, size)
            places[name] = shape, memory.address
        self._enqueue(places, capturable=not results and not on_device)
        return self._collect(places, results, fresh, on_device)

    def _feed(self, name: str, value: Any, view: Any) -> tuple[Sizes, int]:
        """Where an input is, on the device, and of which shape; `view` sees one that is there already."""
        dtype = self._dtypes[name]
        shape = tuple((view or value).shape)
        if self._places.get(name, ((), 0))[0] != shape:
            self._require(self._context.set_input_shape(name, shape), f"{name} of the shape {shape}")
        if view is not None:
            if np.dtype(view.dtype) != dtype or not _is_dense(shape, view.strides):
                raise UsageError(f"input {name} on the device is not a dense array of {dtype}; make it one")
            return shape, int(view.ptr)
        size = self._size(name, shape)
        memory = self._grown(name, size)
        if isinstance(value, ImageBatch):
            self._make(Buffer(memory.address, shape), dtype, value)
            return shape, memory.address
        staged = self._staged(name, size)
        np.copyto(staged.array(shape, dtype), value, casting="same_kind")
        self._stream.upload(memory, staged, size)
        return shape, memory.address

    def _make(self, target: Buffer, dtype: Any, images: ImageBatch) -> None:
        assert self._kernel is not None
        pixels, staged = self._grown(_PIXELS, images.size), self._staged(_PIXELS, images.size)
        images.write(staged.array((images.size,), np.uint8))
        self._stream.upload(pixels, staged, images.size)
        fill(self._kernel, target, dtype, images, pixels.address, self._stream.handle)

    def _enqueue(self, places: dict[str, tuple[Sizes, int]], capturable: bool) -> None:
        if places == self._places and capturable and self._captures:
            if self._graph is None:
                self._graph = self._stream.capture(self._execute)
            self._graph.launch(self._stream)
            return
        if places != self._places:
            self._graph = None
            for name, (_, address) in places.items():
                self._require(self._context.set_tensor_address(name, address), f"the address of {name}")
            self._places = dict(places)
        self._execute()

    def _execute(self) -> None:
        self._require(self._context.execute_async_v3(self._stream.handle), "the run")

    def _collect(
        self,
        places: dict[str, tuple[Sizes, int]],
        results: dict[str, "_Result"],
        fresh: dict[str, DeviceMemory],
        on_device: bool,
    ) -> dict[str, Any]:
        if results:
            self._stream.wait()  # only now their sizes are known
        for name, result in results.items():
            places[name] = result.shape, result.memory.address
            fresh[name] = result.memory
        if on_device:
            self._stream.wait()
            return {name: DeviceArray(fresh[name], places[name][0], self._dtypes[name]) for name in self._outputs}
        staged: dict[str, PinnedMemory] = {}
        for name in self._outputs:
            shape, address = places[name]
            size = self._size(name, shape)
            staged[name] = self._staged(name, size)
            self._stream.download(staged[name], address, size)
        self._stream.wait()
        return {name: staged[name].array(places[name][0], self._dtypes[name]).copy() for name in self._outputs}

    def _result(self, name: str) -> "_Result":
        result = _allocator(self._trt)
        self._require(self._context.set_output_allocator(name, result), f"an allocator for {name}")
        return result

    def _grown(self, name: str, size: int) -> DeviceMemory:
        if name not in self._memory or self._memory[name].size < size:
            self._memory[name] = DeviceMemory(size)
        return self._memory[name]

    def _staged(self, name: str, size: int) -> PinnedMemory:
        if name not in self._host or self._host[name].size < size:
            self._host[name] = PinnedMemory(size)
        return self._host[name]

    def _size(self, name: str, shape: Sizes) -> int:
        return int(np.prod(shape)) * self._dtypes[name].itemsize

    def _require(self, done: bool, what: str) -> None:
        if not done:
            self._places, self._graph = {}, None
            raise DetforgeError(f"the engine refuses {what}; build it anew, or report it")


_Result = Any
"""An output allocator: `memory` and `shape` of what the run gave."""


def _allocator(trt: Any) -> _Result:
    class Allocator(trt.IOutputAllocator):
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.memory = DeviceMemory(0)
            self.shape: Sizes = (0,)

        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
            self.memory = DeviceMemory(size)  # CUDA aligns to 256 bytes, more than any alignment asked for
            return self.memory.address

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return self.reallocate_output(tensor_name, memory, size, alignment)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shape = tuple(shape)

    return Allocator()


def _context(trt: Any, engine: Any) -> tuple[Any, bool]:
    """An execution context, and whether to capture graphs: TensorRT-RTX makes its own, as kernels become ready."""
    strategy = getattr(trt, "CudaGraphStrategy", None)
    if strategy is None:
        context = engine.create_execution_context()
    else:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(config)
    if context is None:
        raise DetforgeError("the engine gives no execution context; the GPU's memory may be full; free some")
    return context, strategy is None


def _is_dense(shape: Sizes, strides: Sizes | None) -> bool:
    """Whether an array is row by row without gaps; strides count elements."""
    if strides is None:
        return True
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True
