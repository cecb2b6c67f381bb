"""The OpenVINO backend, on OpenVINO where it is installed and on a stand-in for it everywhere."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import openvino_standin
import pytest
from conftest import COLOR_CARD, write_color_model
from onnx import TensorProto, helper

from detforge.deploy import load
from detforge.deploy.backends.automatic import choose_backend
from detforge.deploy.backends.open import open_backend
from detforge.deploy.backends.openvino import OpenVinoBackend
from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.choose import BUNDLED
from detforge.deploy.system.errors import IncompatibleError, InputError, UsageError

REAL = find_spec("openvino") is not None


@pytest.fixture(params=["openvino", "stand-in"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "openvino", openvino_standin.module())
        monkeypatch.setattr(openvino_standin.Core, "configs", [])
    elif not REAL:
        pytest.skip("OpenVINO is not installed")
    return request.param


def image(seed: int = 0, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape or (2, 3, 64, 96), np.float32)


def test_the_bundled_model_equals_onnx_runtime(runtime: str) -> None:
    ours, theirs = OpenVinoBackend(str(BUNDLED), threads=1), OrtBackend(str(BUNDLED), threads=1)
    assert (ours.inputs, ours.outputs, ours.metadata) == (theirs.inputs, theirs.outputs, theirs.metadata)
    for shape in ((2, 3, 64, 96), (1, 3, 128, 64)):  # one session, several sizes
        got, expected = (backend.run({"image": image(0, *shape)}) for backend in (ours, theirs))
        for name, tolerance in (("boxes", 1e-2), ("scores", 1e-4)):
            np.testing.assert_allclose(got[name], expected[name], atol=tolerance)


def test_what_it_gave_stays_when_it_runs_again(runtime: str) -> None:
    backend = OpenVinoBackend(str(BUNDLED), threads=1)
    first = backend.run({"image": image()})
    kept = {name: value.copy() for name, value in first.items()}
    backend.run({"image": image(1)})
    for name, value in kept.items():
        np.testing.assert_array_equal(first[name], value)


def test_sixteen_threads_share_a_session(runtime: str) -> None:
    backend = OpenVinoBackend(str(BUNDLED), threads=1)
    alone = [backend.run({"image": image(seed)})["scores"] for seed in range(4)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda i: backend.run({"image": image(i % 4)})["scores"], range(64)))
    for i, scores in enumerate(found):
        np.testing.assert_allclose(scores, alone[i % 4], atol=1e-6)


def test_the_precision_is_stated_and_never_the_runtimes_own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", openvino_standin.module())
    monkeypatch.setattr(openvino_standin.Core, "configs", [])
    OpenVinoBackend(str(BUNDLED), threads=3)
    [config] = openvino_standin.Core.configs
    assert (config["INFERENCE_PRECISION_HINT"], config["INFERENCE_NUM_THREADS"]) == ("f32", 3)


def write_sums(folder: Path, nodes: list[onnx.NodeProto], outputs: list[str]) -> str:
    """A file of nodes that give sums (1, 1, 32, 32) of an image's channels with the `weight` 1, 2^-12 and 0."""
    weight = np.array([1, 2**-12, 0], np.float32).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 32, 32]) for name in outputs],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, folder / "m.onnx")
    return str(folder / "m.onnx")


def test_outputs_keep_the_names_of_the_file(runtime: str, tmp_path: Path) -> None:
    """OpenVINO drops what does nothing, and a tensor then has the names of both its ends."""
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["inner"]),
        helper.make_node("Cast", ["inner"], ["result"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["inner"], ["again"]),
    ]
    backend = OpenVinoBackend(write_sums(tmp_path, nodes, ["result", "again"]), threads=1)
    assert [port.name for port in backend.outputs] == ["result", "again"]
    got = backend.run({"image": np.ones((1, 3, 32, 32), np.float32)})
    np.testing.assert_array_equal(got["result"], got["again"])


@pytest.mark.skipif(not REAL, reason="OpenVINO is not installed; its configuration is tested on the stand-in")
def test_fp32_stays_fp32_and_bf16_is_the_files(tmp_path: Path) -> None:
    """Sums of 1 and 2^-12: fp32 holds them, bf16 does not."""
    nodes = [helper.make_node("Conv", ["image", "weight"], ["sum"])]
    path = write_sums(tmp_path, nodes, ["sum"])
    got = OpenVinoBackend(path).run({"image": np.ones((1, 3, 32, 32), np.float32)})["sum"]
    np.testing.assert_array_equal(got, np.float32(1 + 2**-12))


def test_nodes_are_timed_without_the_first_run(runtime: str) -> None:
    backend = OpenVinoBackend(str(BUNDLED), threads=1, profile=True)
    backend.run({"image": image()})
    assert backend.node_times() == []
    backend.run({"image": image()})
    times = backend.node_times()
    assert "Convolution" in {node.op for node in times}
    assert [node.ms for node in times] == sorted((node.ms for node in times), reverse=True)
    assert all(node.ms > 0 for node in times)


def test_it_runs_below_the_whole_pipeline(runtime: str) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    ours, theirs = (load(str(BUNDLED), backend=name, conf=0.01)(photo) for name in ("openvino", "ort"))
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=0.05)


def test_what_it_cannot_run_is_one_line(runtime: str, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "short.onnx").write_bytes(BUNDLED.read_bytes()[:-1000])
    for name in ("text.onnx", "short.onnx"):
        with pytest.raises(IncompatibleError, match=f"{name}: not a model that OpenVINO can run; .*--backend ort"):
            OpenVinoBackend(str(tmp_path / name))
    with pytest.raises(InputError, match="no such model file"):
        OpenVinoBackend(str(tmp_path / "none.onnx"))
    with pytest.raises(IncompatibleError, match="cuda:0: OpenVINO runs on the CPU"):
        OpenVinoBackend(str(BUNDLED), device="cuda:0")
    with pytest.raises(IncompatibleError, match="OpenVINO failed while it ran"):
        OpenVinoBackend(str(BUNDLED)).run({"image": image(0, 1, 5, 64, 64)})


def test_an_operator_that_it_lacks_is_named(runtime: str, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("DeformConv", ["x", "w", "o"], ["y"])],
        "deformable",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, 1, 4, 4]), ("w", [1, 1, 1, 1]), ("o", [1, 2, 4, 4]))
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 19)]), tmp_path / "d.onnx")
    with pytest.raises(IncompatibleError, match="No conversion rule found for operations: DeformConv"):
        OpenVinoBackend(str(tmp_path / "d.onnx"))


@pytest.mark.skipif(REAL, reason="OpenVINO is installed")
def test_without_openvino_it_says_how_to_get_it() -> None:
    with pytest.raises(IncompatibleError, match=r"pip install 'detforge\[openvino\]'"):
        open_backend(str(BUNDLED), backend="openvino")


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [("fp32", "cpu", "ort"), ("fp16", "cpu", "ort"), ("bf16", "cpu", "openvino"), ("bf16", "cuda:0", "ort")],
)
def test_auto_is_the_fastest_that_keeps_the_precision(
    precision: str, device: str, expected: str, tmp_path: Path
) -> None:
    card = replace(COLOR_CARD, provenance=replace(COLOR_CARD.provenance, precision=precision))
    path = write_color_model(tmp_path / "m.onnx", card.to_json())
    chosen = choose_backend(str(path), device)
    assert chosen.backend == expected
    assert ("bf16" in chosen.why) == (expected == "openvino")


@pytest.mark.parametrize("content", [b"", b"\x00", b"text"])
def test_auto_leaves_what_is_no_model_to_onnx_runtime_to_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    for name in ("m.onnx", "none.onnx"):
        assert choose_backend(str(tmp_path / name), "cpu").backend == "ort"


def test_an_unknown_backend_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown backend 'caffe'"):
        open_backend(str(BUNDLED), backend="caffe")
