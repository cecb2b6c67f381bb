"""The kernel that makes a network's input on a GPU against the runtime's own preprocessing on the CPU."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ladder import STORAGE, buffer, from_storage, to_storage

from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize, ResizedFrame
from detforge.plugins.core.abi import DTYPES, Buffer, Library, Picture
from detforge.plugins.core.libraries import library

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SPECS = {
    "edges": ImageInput(Resize((40, 64), "edges", pad=Pad(multiple=32)), "rgb", MEAN, STD),
    "canvas": ImageInput(Resize((48, 64), pad=Pad((48, 64), value=114.0)), "bgr", MEAN, STD),
    "centered": ImageInput(Resize(pad=Pad(multiple=32, rule="or", centered=True)), "bgr", (0.0,) * 3, (255.0,) * 3),
    "upscaled": ImageInput(Resize((96, 96), pad=Pad((96, 96))), "rgb", (0.0,) * 3, (1.0,) * 3),
}
SIZES = [(37, 61), (90, 50), (1, 1), (48, 64), (3, 200)]


def frame_of(image: np.ndarray, spec: ImageInput) -> ResizedFrame:
    assert isinstance(spec.place, Resize)
    return spec.place.whole((image.shape[0], image.shape[1]))


def on_cpu(image: np.ndarray, spec: ImageInput) -> np.ndarray:
    """The runtime's own input (3, h, w) of an image."""
    frame = frame_of(image, spec)
    canvas = np.empty((3, *frame.canvas_size), np.float32)
    frame.fill(canvas, image, spec.pixels, threads=1)
    return canvas


def call(
    kernels: Library, image: np.ndarray, spec: ImageInput, dtype: str, device: str
) -> tuple[Callable[[], None], tuple[torch.Tensor, ...]]:
    """What runs the kernel on the current stream, and its tensors: the pixels and the canvas."""
    frame = frame_of(image, spec)
    pixels = torch.from_numpy(image).to(device)
    canvas = torch.from_numpy(np.zeros((3, *frame.canvas_size), STORAGE[dtype])).to(device)
    fill = (0.0, 0.0, 0.0)
    if (value := spec.place.pad.value) is not None:
        fill = tuple((value - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True))
    where = Buffer(pixels.data_ptr(), image.shape)
    swap = spec.color == "rgb"
    picture = Picture(where, frame.resized_size, frame.offset, spec.mean, spec.std, fill, swap)

    def run() -> None:
        stream = torch.cuda.current_stream().cuda_stream if device == "cuda" else 0
        kernels.preprocess_cuda(picture, dtype, Buffer(canvas.data_ptr(), tuple(canvas.shape)), stream)

    return run, (pixels, canvas)


def check(kernels: Library, name: str, dtype: str, device: str) -> None:
    """Equal to the bit, but for the rounding to the dtype: well within one of 255 levels before normalisation."""
    for size in SIZES:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        expected = on_cpu(image, SPECS[name])
        run, (_, canvas) = call(kernels, image, SPECS[name], dtype, device)
        run()
        got = from_storage(canvas.cpu().numpy(), dtype)
        rounded = from_storage(to_storage(expected, dtype), dtype)
        np.testing.assert_array_equal(got, rounded, f"{name}, {size}, {dtype}")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECS)
def test_on_an_emulated_gpu(emulated_gpu: Library, name: str, dtype: str) -> None:
    check(emulated_gpu, name, dtype, "cpu")


@pytest.mark.skipif(
    library("detforge_cuda") is None or not torch.cuda.is_available(),
    reason="needs libdetforge_cuda (nvcc) and a GPU that torch can use; the emulated GPU stands in",
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECS)
def test_on_a_gpu(name: str, dtype: str) -> None:
    path = library("detforge_cuda")
    assert path is not None
    check(Library(path), name, dtype, "cuda")


@pytest.mark.slow
def test_wrong_calls_are_refused(emulated_gpu: Library) -> None:
    pixels = np.zeros((0, 4, 3), np.uint8)
    picture = Picture(buffer(pixels), (4, 4), (0, 0), MEAN, STD, MEAN, False)
    canvas = np.zeros((3, 4, 4), np.float32)
    with pytest.raises(ValueError, match="a picture without pixels"):
        emulated_gpu.preprocess_cuda(picture, "float32", buffer(canvas))
