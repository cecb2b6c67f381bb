"""Files for OpenVINO, and in bf16: what is in them, and that they are verified where they will run."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.system.errors import IncompatibleError
from detforge.export import export
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

sys.path.append(str(Path(__file__).parents[1] / "deploy"))
import openvino_standin

pytestmark = pytest.mark.slow


def test_a_file_for_openvino_has_no_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "openvino", openvino_standin.module())
    monkeypatch.setattr(openvino_standin.Core, "configs", [])
    report = export("gfl_test", checkpoint="random", format="openvino")
    assert report.path == Path("exports/gfl_test-openvino.onnx")
    assert report.comparison is not None and report.comparison.problem is None
    assert len(openvino_standin.Core.configs) == 1  # that is where it was verified
    proto = onnx.load(report.path)
    assert not proto.functions and {node.domain for node in proto.graph.node} == {""}
    assert Card.from_json({p.key: p.value for p in proto.metadata_props}[METADATA_KEY]).ops == ()


def test_bf16_is_in_the_file_and_not_in_its_decode(tmp_path: Path) -> None:
    given = {"checkpoint": "random", "precision": "bf16", "verify": "off", "imgsz": (128, 96)}
    path = export("gfl_test", **given, output=tmp_path / "m.onnx").path
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    types = {w.name: w.data_type for w in proto.graph.initializer}
    assert types["backbone.conv1.weight"] == types["bbox_head.gfl_cls.weight"] == onnx.TensorProto.BFLOAT16
    assert {o.type.tensor_type.elem_type for o in proto.graph.output} == {onnx.TensorProto.FLOAT}
    # Not every runtime has bf16 convolutions: with its tensors in fp32 the file is a network of rounded weights.
    image = np.random.default_rng(0).standard_normal((1, 3, 128, 96), np.float32)
    got = OrtBackend(str(_widened(proto, tmp_path / "wide.onnx")), threads=1).run({"image": image})
    with torch.inference_mode():
        outputs = random_model(find("gfl_test"))(torch.from_numpy(image))
    expected = {name: value.numpy() for name, value in outputs.items()}
    np.testing.assert_allclose(got["boxes"], expected["boxes"], atol=1)
    np.testing.assert_allclose(got["scores"], expected["scores"], rtol=0.05)


def _widened(proto: onnx.ModelProto, path: Path) -> Path:
    for weight in proto.graph.initializer:
        if weight.data_type == onnx.TensorProto.BFLOAT16:
            bits = np.frombuffer(weight.raw_data, np.uint16).astype(np.uint32) << 16
            weight.data_type, weight.raw_data = onnx.TensorProto.FLOAT, bits.tobytes()
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == onnx.TensorProto.BFLOAT16:
                attribute.i = onnx.TensorProto.FLOAT
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize("wish", [{"format": "openvino"}, {"precision": "bf16"}])
def test_what_openvino_verifies_needs_openvino(wish: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detforge.deploy.backends.openvino.find_spec", lambda _: None)
    with pytest.raises(IncompatibleError, match="OpenVINO is not installed"):
        export("gfl_test", checkpoint="random", **wish)
