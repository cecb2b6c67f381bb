"""The step of the CUDA layer around an engine: pinned memory, streams, captured graphs, arrays of other libraries."""

import statistics
import time

import numpy as np
import torch
from context import AbsentError, Context, Say
from operators import picture_of

from detforge.deploy.engine.cuda_memory import Device, DeviceMemory, PinnedMemory, Stream, view_on_device
from detforge.deploy.system.errors import DetforgeError
from detforge.plugins.core.abi import Buffer

SIZE = 1 << 20
LATE = 100_000_000  # clock cycles before a side stream writes
REPLAYS = 50


def layer(context: Context, say: Say) -> str:
    """Drive each part of it once as a run of an engine does."""
    try:
        Device(0).use()
    except DetforgeError as error:
        raise AbsentError(str(error)) from None
    _replayed(context, say)
    say({"check": "full memory", "told": _told_when_full()})
    if context.device == "cuda":
        _from_a_side_stream()
        say({"check": "an array of PyTorch, written late on a side stream"})
    return "copies, a replayed graph and a full memory are as expected"


def _replayed(context: Context, say: Say) -> None:
    """Pinned pixels to the GPU, through the kernel and back, as one graph that is started again with other pixels."""
    kernels, arrays = context.kernels(), context.arrays("picture")
    name = max((key for key in arrays if key.endswith("/image")), key=lambda key: arrays[key].size)
    parts = {part: arrays[f"{name.removesuffix('/image')}/{part}"] for part in ("image", "sizes", "planes", "canvas")}
    image, expected = parts["image"], parts["canvas"]
    stream = Stream()
    pixels, result = PinnedMemory(image.nbytes), PinnedMemory(expected.nbytes)
    on_gpu, canvas = DeviceMemory(image.nbytes), DeviceMemory(expected.nbytes)
    picture = picture_of(Buffer(on_gpu.address, image.shape), parts)

    def work() -> None:
        stream.upload(on_gpu, pixels, image.nbytes)
        kernels.preprocess_cuda(picture, "float32", Buffer(canvas.address, expected.shape), stream.handle)
        stream.download(result, canvas.address, expected.nbytes)

    seen = result.array(expected.shape, np.float32)
    pixels.array(image.shape, np.uint8)[:] = 0
    work()
    stream.wait()
    if np.array_equal(seen, expected):
        raise RuntimeError("black pixels give the picture's input")
    graph = stream.capture(work)
    pixels.array(image.shape, np.uint8)[:] = image
    graph.launch(stream)
    stream.wait()
    np.testing.assert_array_equal(seen, expected)
    times: list[float] = []
    for _ in range(REPLAYS):
        started = time.perf_counter()
        graph.launch(stream)
        stream.wait()
        times.append((time.perf_counter() - started) * 1e6)
    say({"check": "a replayed graph", "workload": name, "us_with_copies": statistics.median(times)})


def _told_when_full() -> str:
    """The error of an allocation that no GPU can give; the next one works."""
    try:
        DeviceMemory(1 << 50)
    except DetforgeError as error:
        DeviceMemory(1)
        return str(error)
    raise RuntimeError("a petabyte was allocated")


def _from_a_side_stream() -> None:
    """A tensor that PyTorch fills late on a stream of its own is seen filled on ours."""
    stream, side, seen = Stream(), torch.cuda.Stream(), PinnedMemory(SIZE)
    values = torch.zeros(SIZE, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        torch.cuda._sleep(LATE)
        values.fill_(7)
        view = view_on_device(values, stream, 0)
        stream.download(seen, int(view.ptr), SIZE)
    stream.wait()
    if not (seen.array((SIZE,), np.uint8) == 7).all():
        raise RuntimeError("what a side stream writes is read before it is written")
