"""Whether a GPU prepares an image as the CPU does: a part of detexport --doctor."""

import numpy as np

from ..deploy.engine.cuda_memory import Device, DeviceMemory, PinnedMemory, Stream
from ..deploy.inputs.image_batch import ImageBatch, fill
from ..deploy.inputs.network_inputs import ImageInput
from ..deploy.inputs.resize import Pad, Resize
from ..deploy.system.errors import DetforgeError
from ..plugins.core.abi import Buffer, Library

_PLACE = Resize((64, 64), pad=Pad((64, 64), value=114.0))
_PIXELS = ImageInput(_PLACE, "rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)).pixels


def prepare_on_gpu(kernel: Library) -> str:
    """Prepare an image by the kernel and on the CPU; DetforgeError where they differ, or there is no GPU."""
    Device(0).use()
    image = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)
    frame = _PLACE.whole((45, 70))
    batch = ImageBatch([image], [frame], _PIXELS)
    expected = np.empty((1, 3, *frame.canvas_size), np.float32)
    frame.fill(expected[0], image, _PIXELS, threads=1)

    stream, size = Stream(), expected.nbytes
    pixels, canvas = DeviceMemory(batch.size), DeviceMemory(size)
    given, got = PinnedMemory(batch.size), PinnedMemory(size)
    batch.write(given.array((batch.size,), np.uint8))
    stream.upload(pixels, given, batch.size)
    fill(kernel, Buffer(canvas.address, batch.shape), np.float32, batch, pixels.address, stream.handle)
    stream.download(got, canvas.address, size)
    stream.wait()
    worst = float(np.abs(got.array(batch.shape, np.float32) - expected).max())
    if worst != 0:
        raise DetforgeError(f"differs from the CPU by {worst:.2g}; report it with detexport --doctor --json")
    return "the same bytes as on the CPU"
