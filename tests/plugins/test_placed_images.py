"""Images to an engine's input on the GPU against the CPU's, with TensorRT, CUDA and the kernel's GPU all played."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import COLOR_CARD, write_color_model
from engines import engine
from onnx import TensorProto, helper

from detforge.deploy import load
from detforge.deploy.backends.open import open_backend
from detforge.deploy.contract.port import Port
from detforge.deploy.inputs.canvases import Canvases
from detforge.deploy.inputs.image_batch import ImageBatch, input_kernel
from detforge.deploy.inputs.network_inputs import ImageInput, View, feeds
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.system.errors import DetforgeError
from detforge.export.doctor_images import prepare_on_gpu
from detforge.plugins.core.abi import Buffer, Library, Picture

pytestmark = pytest.mark.slow

MEAN, STD = (123.675, 116.28, 103.53), (58.4, 57.1, 57.4)
CARD = replace(COLOR_CARD, inputs=(ImageInput(Resize((64, 128), "edges", pad=Pad(multiple=32)), "rgb", MEAN, STD),))
CANVAS = COLOR_CARD.with_place(Resize((64, 64), pad=Pad((64, 64), value=114.0)))


@pytest.fixture
def install(standin: Path, emulated: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What installs the kernels."""

    class Played(Library):
        """The emulated kernel as work in a stream, on memory that is the device's."""

        def preprocess_cuda(self, picture: Picture, dtype: str, canvas: Buffer, stream: int = 0) -> None:
            cuda = sys.modules["cuda.bindings.runtime"]
            cuda.device_bytes(picture.pixels.address, math.prod(picture.pixels.shape))
            cuda.device_bytes(canvas.address, math.prod(canvas.shape) * (4 if dtype == "float32" else 2))
            run = super().preprocess_cuda
            cuda.enqueue(stream, lambda: run(picture, dtype, canvas))

    def install() -> None:
        monkeypatch.setattr("detforge.deploy.inputs.image_batch.library", {"detforge_cuda": emulated}.get)
        monkeypatch.setattr("detforge.deploy.inputs.image_batch.Library", Played)

    return install


def write_mirror(path: Path, kind: int, batch: int | str = "n") -> Path:
    """A network that gives its input back."""
    shape: list[int | str] = [batch, 3, "h", "w"] if batch == "n" else [batch, 3, 64, 64]
    ports = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", "seen")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["seen"])], "mirror", ports[:1], ports[1:])
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    card = CARD if batch == "n" else CANVAS
    helper.set_model_props(made, {"detforge_card": card.to_json()})
    onnx.save(made, path)
    return path


def images(*sizes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def assert_same_input(session: Any, spec: ImageInput, *given: np.ndarray) -> None:
    """What the network sees is what the CPU makes, rounded to its type."""
    frames = [spec.place.whole((image.shape[0], image.shape[1])) for image in given]
    seen = session.run({"image": ImageBatch(given, frames, spec.pixels)})["seen"]
    assert seen.shape[0] == len(given) and seen.dtype == session.inputs[0].dtype
    for got, image, frame in zip(seen, given, frames, strict=True):
        wanted = np.empty((3, *frame.canvas_size), np.float32)
        frame.fill(wanted, image, spec.pixels, threads=1)
        np.testing.assert_array_equal(got, wanted.astype(got.dtype))


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_network_sees_what_the_cpu_would_give(
    kind: int, runtime: str, install: Callable[[], None], tmp_path: Path
) -> None:
    install()
    session = open_backend(engine(write_mirror(tmp_path / "m.onnx", kind), runtime, (1, 1, 3)))
    assert session.inputs[0].takes_images
    first, second, wide = images((50, 80), (100, 160), (40, 70))
    for given in ((first,), (first, second), (wide,), (second, first), (second[:, ::-1], first), (first, second) * 4):
        assert_same_input(session, CARD.input, *given)  # whatever is kept from run to run, also as a graph


def test_a_fixed_batch_is_filled_up(install: Callable[[], None], tmp_path: Path) -> None:
    install()
    session = open_backend(engine(write_mirror(tmp_path / "m.onnx", TensorProto.FLOAT, 2), batch=(2, 2, 2)))
    for count in (1, 2, 3):
        assert_same_input(session, CANVAS.input, *images(*[(20, 30 + i) for i in range(count)]))


def test_the_other_image_of_a_pair_is_placed_too() -> None:
    image, other = images((50, 80), (50, 80))
    second = replace(CARD.input, second=True, name="other")
    port = Port("other", (None, 3, None, None), takes_images=True)
    view = View(image, second.place.whole((50, 80)), other)
    placed = feeds([second], [view], {"other": port}, Canvases())["other"]
    assert isinstance(placed, ImageBatch) and placed.images[0] is other


def test_load_gives_the_same_detections(install: Callable[[], None], tmp_path: Path) -> None:
    path = engine(write_color_model(tmp_path / "m.onnx", CANVAS.to_json()))
    given = images((64, 64), (90, 30), (7, 200))
    assert not open_backend(path).inputs[0].takes_images
    on_cpu = load(path)(given)
    install()
    detector = load(path)
    for _ in range(3):
        for got, wanted in zip(detector(given), on_cpu, strict=True):
            assert np.array_equal(got.boxes, wanted.boxes) and np.array_equal(got.scores, wanted.scores)
    assert sum(map(len, on_cpu)) > 3


def test_other_types_stay_with_the_cpu(install: Callable[[], None]) -> None:
    install()
    assert input_kernel("float16") is not None
    assert input_kernel("uint8") is None


def test_what_the_kernel_refuses_is_told(install: Callable[[], None], tmp_path: Path) -> None:
    install()
    session: Any = open_backend(engine(write_mirror(tmp_path / "m.onnx", TensorProto.FLOAT)))

    def refuse(*_: Any) -> None:
        raise ValueError("an illegal memory access")

    session._kernel.preprocess_cuda = refuse
    (image,) = images((64, 64))
    with pytest.raises(DetforgeError, match="the GPU cannot preprocess; an illegal memory access; see detexport"):
        assert_same_input(session, CARD.input, image)


def test_the_doctor_prepares_an_image_on_the_gpu(install: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    kernel = input_kernel("float32")
    assert kernel is not None
    assert prepare_on_gpu(kernel) == "the same bytes as on the CPU"
    monkeypatch.setattr(type(kernel), "preprocess_cuda", lambda *_: None)
    with pytest.raises(DetforgeError, match=r"differs from the CPU by .*; report it with detexport --doctor --json"):
        prepare_on_gpu(kernel)
