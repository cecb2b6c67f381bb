"""An execution context of an engine with its stream and its memory, for one run at a time."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ...plugins.core.abi import Buffer, Library
from ..inputs.image_batch import ImageBatch, fill
from ..system.errors import DetforgeError, IncompatibleError, UsageError
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
    graph, unless TensorRT cannot be captured. An output whose size only the run decides is allocated in the middle of
    it, and then there is no graph.
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
        self._dtypes = {name: tensor_dtype(trt, engine, name) for name in names}
        self._allocators: dict[str, _Allocator] = {}

    def run(self, feeds: Mapping[str, Any], profile: int, on_device: bool) -> dict[str, Any]:
        """The outputs of one run that fits `profile`: arrays, or DeviceArrays where they are to stay."""
        self._device.use()  # the device is each thread's own
        try:
            return self._run(feeds, profile, on_device)
        except BaseException:
            # The context may have been told shapes whose memory is not there; the next run tells it everything again.
            self._places, self._graph = {}, None
            with suppress(DetforgeError):
                self._stream.wait()  # what the GPU still reads must stay until then
            raise

    def _run(self, feeds: Mapping[str, Any], profile: int, on_device: bool) -> dict[str, Any]:
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
        results: dict[str, _Allocator] = {}
        fresh: dict[str, DeviceMemory] = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if -1 in shape:
                results[name] = self._allocator(name)
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
        if name not in self._places or self._places[name][0] != shape:
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
        if places != self._places:
            self._graph = None
            for name, (_, address) in places.items():
                self._require(self._context.set_tensor_address(name, address), f"the address of {name}")
            self._places = dict(places)
        elif capturable and self._captures and self._graph is None:
            self._graph = self._captured()
        if self._graph is None:
            self._execute()
        else:
            self._graph.launch(self._stream)

    def _captured(self) -> Graph | None:
        """The run as a graph; None where there is something in it that cannot be captured, as loops may be."""
        try:
            return self._stream.capture(self._execute)
        except DetforgeError:
            self._captures = False
            return None

    def _execute(self) -> None:
        self._require(self._context.execute_async_v3(self._stream.handle), "the run")

    def _collect(
        self,
        places: dict[str, tuple[Sizes, int]],
        results: dict[str, "_Allocator"],
        fresh: dict[str, DeviceMemory],
        on_device: bool,
    ) -> dict[str, Any]:
        if results:
            self._stream.wait()  # only now their sizes are known
        for name, result in results.items():
            memory = result.memory or DeviceMemory(0)
            places[name] = result.shape, memory.address
            if on_device:
                fresh[name], result.memory = memory, None
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

    def _allocator(self, name: str) -> "_Allocator":
        if name not in self._allocators:  # the context keeps every one that it was ever given
            self._allocators[name] = _allocator(self._trt)
            self._require(self._context.set_output_allocator(name, self._allocators[name]), f"an allocator for {name}")
        return self._allocators[name]

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
            raise DetforgeError(f"the engine refuses {what}; build it anew, or report it")


_Allocator = Any
"""An output allocator: `memory` and `shape` of what the last run gave. Memory that is large enough is used again."""


def _allocator(trt: Any) -> _Allocator:
    class Allocator(trt.IOutputAllocator):
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.memory: DeviceMemory | None = None
            self.shape: Sizes = (0,)

        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
            if self.memory is None or self.memory.size < size:
                self.memory = DeviceMemory(size)  # CUDA aligns to 256 bytes, more than any alignment asked for
            return self.memory.address

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return self.reallocate_output(tensor_name, memory, size, alignment)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shape = tuple(shape)

    return Allocator()


def _context(trt: Any, engine: Any) -> tuple[Any, bool]:
    """An execution context, and whether to capture graphs.

    TensorRT-RTX makes its own, as kernels become ready. Where weights are streamed, the host waits within a run.
    """
    strategy = getattr(trt, "CudaGraphStrategy", None)
    if strategy is None:
        context = engine.create_execution_context()
    else:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(config)
    if context is None:
        raise DetforgeError("the engine gives no execution context; the GPU's memory may be full; free some")
    streams = engine.streamable_weights_size > engine.weight_streaming_budget_v2
    return context, strategy is None and not streams


def tensor_dtype(trt: Any, engine: Any, name: str) -> np.dtype[Any]:
    """NumPy's type of an input or output; IncompatibleError where it has none."""
    kind = engine.get_tensor_dtype(name)
    try:
        return np.dtype(trt.nptype(kind))
    except TypeError:
        raise IncompatibleError(
            f"tensor {name} of the engine is {kind.name}, which NumPy lacks; build it from a file that ends in float"
        ) from None


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
