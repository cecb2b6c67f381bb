"""Engines on a GPU, both played by tests/standin: what runs, how memory and streams are used, and what is refused."""

import ctypes
import sys
import threading
import weakref
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
from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.backends.tensorrt import TensorrtBackend
from detforge.deploy.detinfer import cli
from detforge.deploy.inputs.network_inputs import SizeInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.system.errors import DetforgeError, IncompatibleError, UsageError

pytestmark = pytest.mark.usefixtures("standin")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_color_model(tmp_path / "m.onnx", COLOR_CARD.to_json())


def calls() -> list[str]:
    """The CUDA functions that were called."""
    return sys.modules["cuda.bindings.runtime"].calls


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, 64, 64), np.float32)


def assert_same(got: dict[str, Any], path: Path, image: np.ndarray) -> None:
    """Equal to ONNX Runtime, which is what runs in the stand-in."""
    wanted = OrtBackend(str(path), kernels=False).run({"image": image})
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        assert np.array_equal(got[name], values), name


@pytest.mark.parametrize("version", ["10.10.0.31", "10.16.1.11", "11.4.0.106"])
def test_every_version_of_tensorrt(version: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_TENSORRT", version)
    session = open_backend(engine(model))
    assert [(port.name, port.shape) for port in session.inputs] == [("image", (None, 3, 64, 64))]
    assert_same(session.run({"image": images(2)}), model, images(2))


def test_tensorrt_rtx(model: Path) -> None:
    session = open_backend(engine(model, "tensorrt-rtx"))
    for seed in range(4):
        assert_same(session.run({"image": images(2, seed)}), model, images(2, seed))
    assert "cudaGraphLaunch" not in calls()  # it makes its own graphs


def test_runs_of_one_shape_become_a_graph(model: Path) -> None:
    session = open_backend(engine(model))
    for seed in range(5):
        assert_same(session.run({"image": images(2, seed)}), model, images(2, seed))
    assert calls().count("cudaGraphInstantiate") == 1
    assert calls().count("cudaGraphLaunch") == 4
    assert_same(session.run({"image": images(3)}), model, images(3))  # other shapes run as they are
    assert calls().count("cudaGraphLaunch") == 4


def test_memory_is_reused(model: Path) -> None:
    session = open_backend(engine(model))
    session.run({"image": images(4)})
    before = [name for name in calls() if "Malloc" in name]
    assert len(before) == 6  # three tensors, on both sides
    for count in (1, 3, 4):
        session.run({"image": images(count)})
    assert [name for name in calls() if "Malloc" in name] == before


def device_memory() -> int:
    """How much of it is alive."""
    return sum(place == "device" for place, _ in sys.modules["cuda.bindings.runtime"]._memory.values())


def test_a_run_that_fails_leaves_nothing_behind(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = open_backend(engine(model))
    cuda = sys.modules["cuda.bindings.runtime"]
    for _ in range(3):
        assert_same(session.run({"image": images(1)}), model, images(1))
    with monkeypatch.context() as full, pytest.raises(DetforgeError, match="use smaller batches"):
        full.setattr(cuda, "cudaMalloc", lambda size: (cuda.cudaError_t.cudaErrorMemoryAllocation, 0))
        session.run({"image": images(4)})
    for _ in range(3):  # the shape of before, of which the context must be told again
        assert_same(session.run({"image": images(1)}), model, images(1))
    with pytest.raises(UsageError, match="not a dense array"):
        session.run({"image": OnDevice(images(2).astype(np.float64))})
    assert_same(session.run({"image": images(1)}), model, images(1))


def test_what_the_gpu_reads_stays_until_a_failed_run_is_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = open_backend(engine(model))
    cuda = sys.modules["cuda.bindings.runtime"]
    exported = Exported(images(1))
    with monkeypatch.context() as full, pytest.raises(DetforgeError, match="use smaller batches"):
        full.setattr(cuda, "cudaMallocHost", lambda size: (cuda.cudaError_t.cudaErrorMemoryAllocation, 0))
        session.run({"image": exported})  # fails when there is no place for the results
    assert exported.work_left == [0]


@pytest.mark.parametrize("fault", ["wait", "no instance"])
def test_what_cannot_be_captured_runs_without_a_graph(model: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    path = engine(model)
    session = open_backend(path)
    for seed in range(4):
        assert_same(session.run({"image": images(2, seed)}), model, images(2, seed))
    cuda = sys.modules["cuda.bindings.runtime"]
    assert "cudaGraphLaunch" not in calls() and calls().count("cudaGraphInstantiate") <= 1
    assert not cuda._graphs
    assert cuda.cudaGetLastError() == (cuda.cudaError_t.cudaSuccess,)  # kernels look for errors of their own


def test_an_old_driver_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = engine(model)
    monkeypatch.setenv("STANDIN_FAULT", "old driver")
    with pytest.raises(IncompatibleError, match=r"the driver is older .*; update the driver, or pip install 'cuda-bin"):
        open_backend(path)


def test_a_type_that_numpy_lacks_is_told(model: Path) -> None:
    made = onnx.load(model)
    made.graph.node.append(helper.make_node("Cast", ["means"], ["brief"], to=TensorProto.BFLOAT16))
    made.graph.output.append(helper.make_tensor_value_info("brief", TensorProto.BFLOAT16, ["n", 3, 2, 2]))
    onnx.save(made, model)
    with pytest.raises(IncompatibleError, match="tensor brief of the engine is BF16, which NumPy lacks; build it from"):
        open_backend(engine(model))


def test_a_larger_batch_runs_in_parts_and_a_smaller_one_is_filled_up(model: Path) -> None:
    session = open_backend(engine(model, batch=(2, 2, 3)))
    for count in (1, 2, 3, 4, 8):
        assert_same(session.run({"image": images(count)}), model, images(count))


def test_all_inputs_are_split_and_filled_up_alike(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    ports = [("image", ["n", 3, 64, 64]), ("image_size", ["n", 2])]
    inputs, outputs = (
        [helper.make_tensor_value_info(mark + name, TensorProto.FLOAT, shape) for name, shape in ports]
        for mark in ("", "seen_")
    )
    nodes = [helper.make_node("Identity", [name], ["seen_" + name]) for name, _ in ports]
    graph = helper.make_graph(nodes, "mirror", inputs, outputs)
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    card = replace(COLOR_CARD, inputs=(COLOR_CARD.input, SizeInput()))
    helper.set_model_props(made, {"detforge_card": card.to_json()})
    onnx.save(made, path)
    session = open_backend(engine(path, batch=(2, 2, 3)))
    for count in (1, 2, 3, 4, 8):
        sizes = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
        seen = session.run({"image": images(count), "image_size": sizes})
        assert np.array_equal(seen["seen_image"], images(count)) and np.array_equal(seen["seen_image_size"], sizes)


def test_a_canvas_that_the_engine_does_not_take_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    card = COLOR_CARD.with_place(Resize((64, 128), "edges", pad=Pad(multiple=32)))
    write_means_model(path, card.to_json())
    session = open_backend(engine(path))
    assert session.run({"image": np.ones((1, 3, 96, 128), np.float32)})["means"].tolist() == [[1, 1, 1]]
    with pytest.raises(IncompatibleError, match=r"inputs of 1x3x32x32 to 8x3x128x128, not 1x3x160x64; use"):
        session.run({"image": np.ones((1, 3, 160, 64), np.float32)})


def write_means_model(path: Path, card: str, positive: bool = False) -> None:
    """The mean of every channel of an image of any size, or with `positive` the pixels above zero, as a list."""
    shape: list[str | int] = ["n", 3, "h", "w"]
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["means"], keepdims=0)]
    outputs = [helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3])]
    if positive:
        nodes.append(helper.make_node("NonZero", ["image"], ["places"]))
        outputs.append(helper.make_tensor_value_info("places", TensorProto.INT64, [4, "count"]))
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        outputs,
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(made, {"detforge_card": card})
    onnx.save(made, path)


def test_an_output_of_unknown_size_is_allocated_in_the_run(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_means_model(path, COLOR_CARD.to_json(), positive=True)
    session: Any = open_backend(engine(path))
    alive: set[int] = set()
    for seed, parts in ((0, 0.1), (1, 0.9), (1, 0.9), (2, 0.5)):
        image = np.where(images(2, seed) < parts, 1, 0).astype(np.float32)
        got = session.run({"image": image})
        assert np.array_equal(got["places"], np.array(np.nonzero(image)))
        assert np.allclose(got["means"], image.mean((2, 3)))
        alive.add(device_memory())
    assert len(alive) == 1  # though the context keeps every allocator
    assert "cudaGraphLaunch" not in calls()
    kept = [session.run({"image": image}, on_device=True) for image in (images(1), images(2))]
    for count, found in zip((1, 2), kept, strict=True):  # each has memory of its own
        assert np.array_equal(np.asarray(found["places"]), np.array(np.nonzero(images(count))))


class OnDevice:
    """An array of another library on the device, in CUDA's array interface."""

    def __init__(self, values: np.ndarray, strides: tuple[int, ...] | None = None, device: int = 0) -> None:
        from detforge.deploy.engine.cuda_memory import DeviceMemory

        self.shape, self.device = values.shape, device
        self._memory = DeviceMemory(values.nbytes)
        raw = sys.modules["cuda.bindings.runtime"].device_bytes(self._memory.address, values.nbytes)
        raw[:] = values.tobytes()
        self.address = self._memory.address
        data = (self.address, False)
        self.__cuda_array_interface__ = {
            "shape": self.shape,
            "typestr": values.dtype.str,
            "data": data,
            "strides": strides,
            "version": 3,
        }


class Exported:
    """The same through DLPack, whose memory is overwritten once nobody holds what was exported.

    The capsule is NumPy's, for an array of the same shape; the place and the device in it are changed.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape = values, values.shape
        self.streams: list[int | None] = []
        self.work_left: list[int] = []  # of the GPU, each time that what was exported goes

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0  # kDLCUDA

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None) -> Any:
        del max_version  # an exporter may answer in the old form
        self.streams.append(stream)
        shown = np.empty_like(self._values)
        there = OnDevice(self._values)
        raw = sys.modules["cuda.bindings.runtime"].device_bytes(there.address, self._values.nbytes)

        def go(_: OnDevice) -> None:
            self.work_left.append(sum(map(len, sys.modules["cuda.bindings.runtime"]._pending.values())))
            raw[:] = b"\xff" * len(raw)

        weakref.finalize(shown, go, there)
        capsule = shown.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        start = pointer(capsule, b"dltensor")
        ctypes.c_uint64.from_address(start).value = there.address
        ctypes.c_int32.from_address(start + 8).value = 2
        return capsule


@pytest.mark.parametrize("exporter", [OnDevice, Exported])
def test_inputs_and_outputs_on_the_device(model: Path, exporter: Callable[[np.ndarray], Any]) -> None:
    session: Any = open_backend(engine(model))
    kept = [session.run({"image": exporter(images(2, seed))}, on_device=True) for seed in range(3)]
    for seed, outputs in enumerate(kept):  # each has memory of its own
        assert outputs["boxes"].__cuda_array_interface__["shape"] == (2, 4, 4)
        assert_same({name: np.asarray(value) for name, value in outputs.items()}, model, images(2, seed))
    exported = Exported(images(1))
    session.run({"image": exported})
    assert exported.streams[0] not in (None, 0)  # its work is done before ours, on our stream
    image = OnDevice(images(1))
    for _ in range(3):  # at the same address it is captured as well
        assert_same(session.run({"image": image}), model, images(1))
    assert "cudaGraphLaunch" in calls()


def test_device_inputs_that_do_not_fit_are_refused(model: Path) -> None:
    session: Any = open_backend(engine(model))
    with pytest.raises(UsageError, match="not a dense array of float32"):
        session.run({"image": OnDevice(images(1).astype(np.float64))})
    for strided in (OnDevice(images(1), strides=(4, 4, 4, 4)), Exported(np.asfortranarray(images(1)))):
        with pytest.raises(UsageError, match="not a dense array of float32"):
            session.run({"image": strided})
    with pytest.raises(UsageError, match="a batch of 9 on the device; this engine takes 8 at most"):
        session.run({"image": OnDevice(images(9))})
    with pytest.raises(IncompatibleError, match="an input is on cuda:1, the engine on cuda:0"):
        session.run({"image": OnDevice(images(1), device=1)})


@pytest.mark.parametrize("streams", [1, 3])
def test_threads_share_the_streams(streams: int, model: Path) -> None:
    session = open_backend(engine(model), streams=streams)
    wrong: list[int] = []

    def client(seed: int) -> None:
        for k in range(5):
            image = images(1 + (seed + k) % 3, 10 * seed + k)
            wanted = image.reshape(len(image), 3, 2, 32, 2, 32).mean((3, 5)).reshape(len(image), 3, 4)
            got = session.run({"image": image})["scores"].transpose(0, 2, 1)
            if not np.allclose(got, wanted, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= calls().count("cudaStreamCreateWithFlags") <= streams


def test_weights_stream_when_built_so(model: Path) -> None:
    session: Any = TensorrtBackend(engine(model, weight_streaming=True))
    assert session._engine.weight_streaming_budget_v2 == 500
    for _ in range(3):
        assert_same(session.run({"image": images(1)}), model, images(1))
    assert "cudaGraphLaunch" not in calls()  # the host waits for weights within a run


def test_a_full_memory_is_told(model: Path) -> None:
    from detforge.deploy.engine.cuda_memory import DeviceMemory

    open_backend(engine(model))
    with pytest.raises(Exception, match="the GPU's memory is full; free some, or use smaller batches"):
        DeviceMemory(1 << 40)


def test_load_gives_the_same_detections(model: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, 32:, 2] = 200
    wanted, got = load(str(model))(image), load(engine(model))(image)
    assert len(wanted) == 1
    assert np.array_equal(got.boxes, wanted.boxes) and np.array_equal(got.scores, wanted.scores)


def test_detinfer_runs_an_engine(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    import cv2

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.full((64, 64, 3), (0, 0, 200), np.uint8))
    path = engine(model)
    assert cli.main(["a.png", "--model", path, "--no-save", "--json", "-"]) == 0
    assert capfd.readouterr().out.count('"red"') == 4
    assert cli.main(["a.png", "--model", path, "--no-save", "--device", "cpu"]) == 4
    assert "TensorRT runs on a GPU, not on the CPU; use --device cuda:0" in capfd.readouterr().err
    assert cli.main(["a.png", "--model", path, "--no-save", "--backend", "ort"]) == 2
    assert cli.main(["a.png", "--model", path, "--no-save", "--backend", "tensorrt-rtx"]) == 2
    assert "an engine for tensorrt, not tensorrt-rtx" in capfd.readouterr().err
