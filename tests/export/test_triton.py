"""Model repositories for Triton: their configuration by its published schema, and the answers of their models."""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from google.protobuf import text_format

from detforge.deploy import load
from detforge.deploy.choose import BUNDLED, BUNDLED_POSE
from detforge.deploy.system.errors import UsageError
from detforge.export import api, cli
from detforge.export.relabel import card_of
from detforge.export.triton import write_repository

sys.path.append(str(Path(__file__).parent))
import triton_standin

PHOTOS = Path(__file__).parents[2] / "examples/photos"
DOCS = Path(__file__).parents[2] / "docs/triton.md"


def module_of(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert write_repository(BUNDLED, card_of(BUNDLED), tmp_path / "models") == "gfl_markers"
    return tmp_path / "models"


def parsed(file: Path) -> Any:
    """A configuration, read by the schema that Triton's client has."""
    [folder] = importlib.util.find_spec("tritonclient").submodule_search_locations  # its grpc package needs grpcio
    config = module_of(Path(folder) / "grpc/model_config_pb2.py").ModelConfig()
    return text_format.Parse(file.read_text(), config)


def test_the_configurations_follow_the_schema(repository: Path) -> None:
    network = parsed(repository / "gfl_markers_network/config.pbtxt")
    assert (network.backend, network.max_batch_size) == ("onnxruntime", 8)
    assert [(each.name, list(each.dims)) for each in network.input] == [("image", [3, -1, -1])]
    assert {each.name: list(each.dims) for each in network.output} == {"boxes": [-1, 4], "scores": [-1, 4]}
    assert list(network.model_operations.op_library_filename) == ["libdetforge_ort.so"]
    assert network.HasField("dynamic_batching") and network.instance_group[0].count == 1
    detections = parsed(repository / "gfl_markers/config.pbtxt")
    assert (detections.backend, detections.max_batch_size) == ("python", 8)
    assert [each.name for each in detections.output] == ["detections"]
    assert (repository / "gfl_markers_network/1/model.onnx").read_bytes() == BUNDLED.read_bytes()


def test_what_the_page_adds_follows_the_schema(repository: Path) -> None:
    [added] = re.findall(r"```proto\n(.*?)```", DOCS.read_text(), re.DOTALL)
    config = repository / "gfl_markers_network/config.pbtxt"
    config.write_text(config.read_text() + added)
    [accelerator] = parsed(config).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt" and accelerator.parameters["trt_engine_cache_enable"] == "true"


def test_a_fixed_batch_is_not_batched(tmp_path: Path) -> None:
    file = tmp_path / "fixed.onnx"
    proto = onnx.load(BUNDLED)
    for port in [*proto.graph.input, *proto.graph.output]:
        port.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(proto, file)
    write_repository(file, card_of(file), tmp_path / "models")
    network = parsed(tmp_path / "models/fixed_network/config.pbtxt")
    assert network.max_batch_size == 0 and list(network.input[0].dims) == [2, 3, -1, -1]


def test_a_network_of_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="corners_markers needs more than an image"):
        write_repository(BUNDLED_POSE, card_of(BUNDLED_POSE), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_model_answers_with_finished_detections(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utilities = triton_standin.module(repository)
    monkeypatch.setitem(sys.modules, utilities.__name__, utilities)
    model = module_of(repository / "gfl_markers/1/model.py").TritonPythonModel()
    model.initialize({"model_repository": str(repository / "gfl_markers"), "model_version": "1"})
    files = [PHOTOS / "desk.jpg", PHOTOS / "shelf.jpg"]
    expected = [load("gfl_markers", threads=1)(cv2.imread(str(file))).to_coco() for file in files]
    desk, shelf = (file.read_bytes() for file in files)

    def request(*data: bytes) -> triton_standin.Request:
        return triton_standin.Request(image=np.array(data, np.object_)[:, None])

    one, broken, two = model.execute([request(desk), request(shelf, b"no image"), request(desk, shelf)])
    assert broken.error().code == utilities.TritonError.INVALID_ARG and "image: " in broken.error().message()
    [answer] = one.output_tensors()
    assert answer.name() == "detections" and answer.as_numpy().shape == (1, 1)
    assert json.loads(answer.as_numpy()[0, 0]) == expected[0]
    [answer] = two.output_tensors()
    assert [json.loads(text) for text in answer.as_numpy()[:, 0]] == expected
    [only] = model.execute([request(b"")])
    assert only.has_error()


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    file = tmp_path / "mine.onnx"
    shutil.copyfile(BUNDLED, file)
    exported = api.Exported(file, card_of(file), None)
    monkeypatch.setattr(api, "export", lambda *_, **__: exported)  # exports are tested elsewhere
    assert cli.main(["--model", "gfl_markers", "--format", "triton"]) == 0
    assert f"next: tritonserver --model-repository {tmp_path}/mine-triton" in capsys.readouterr().out
    assert (tmp_path / "mine-triton/mine/1/model.py").is_file()
