"""ONNX Runtime as a backend: what it promises, and what it refuses."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from detforge.deploy.backends import ort
from detforge.deploy.backends.open import open_backend
from detforge.deploy.system.errors import IncompatibleError, InputError, UsageError


def test_runs_and_names_its_ports(color_model: Path) -> None:
    session = open_backend(str(color_model))
    assert [(port.name, port.shape) for port in session.inputs] == [("image", (None, 3, 64, 64))]
    image = np.zeros((2, 3, 64, 64), np.float32)
    image[1, 2, :32, 32:] = 0.5
    outputs = session.run({"image": image})
    assert outputs["scores"].shape == (2, 4, 3)
    assert outputs["scores"][1].tolist() == [[0, 0, 0], [0, 0, 0.5], [0, 0, 0], [0, 0, 0]]


def test_cuda_is_refused_where_there_is_none(color_model: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA; the test with a faked list covers the refusal")
    with pytest.raises(IncompatibleError, match="has no CUDA"):
        open_backend(str(color_model), device="cuda:0")


def test_a_session_that_falls_back_to_the_cpu_is_refused(color_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a machine without CUDA's libraries does: the provider is on the list, the session runs on the CPU.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    start = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, providers: start(path, options, providers[1:])
    )
    with pytest.raises(IncompatibleError, match="CUDA did not start"):
        open_backend(str(color_model), device="cuda:0")


@pytest.mark.parametrize(
    ("installed", "message"),
    [([], "not installed"), (["onnxruntime", "onnxruntime_gpu"], "overwrite each other")],
)
def test_missing_or_doubled_installations_are_refused(
    installed: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in installed:
        (tmp_path / f"{name}-1.30.0.dist-info").mkdir()
    monkeypatch.setattr(ort.sys, "path", [str(tmp_path)])
    with pytest.raises(IncompatibleError, match=message):
        ort.check_installation()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model file"):
        open_backend(str(tmp_path / "absent.onnx"))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x0aonnx?")
    with pytest.raises(IncompatibleError, match=r"broken\.onnx: not a model"):
        open_backend(str(broken))


@pytest.mark.parametrize("options", [{"backend": "caffe"}, {"device": "gpu0"}, {"device": "cuda:x"}])
def test_unknown_names_are_refused(color_model: Path, options: dict) -> None:
    with pytest.raises(UsageError, match="unknown"):
        open_backend(str(color_model), **options)


def test_an_operator_that_this_version_lacks_is_told(tmp_path: Path) -> None:
    kind = onnx.TensorProto.BFLOAT16  # in which ONNX Runtime has no deformable convolution
    shapes = {"x": (1, 1, 3, 3), "w": (1, 1, 1, 1), "o": (1, 2, 3, 3), "y": (1, 1, 3, 3)}
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    node = onnx.helper.make_node("DeformConv", ["x", "w", "o"], ["y"])
    graph = onnx.helper.make_graph([node], "g", values[:3], values[3:])
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10), path)
    with pytest.raises(
        IncompatibleError, match=r"m\.onnx: ONNX Runtime .* lacks an operator of this model; .*; install"
    ):
        open_backend(str(path))
