"""Exported graphs give what the network gives in PyTorch, on shapes that were not traced."""

from functools import partial

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.system.errors import ExportError
from detforge.export.convert import prepare, to_onnx
from detforge.models.backbones.resnet import R50
from detforge.models.variant import RGB
from detforge.models.zoo.gfl import build


def run(proto: onnx.ModelProto, image: Tensor, folder):
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return OrtBackend(str(path)).run({"image": image.numpy()})


@pytest.fixture(scope="module")
def deformable() -> nn.Module:
    torch.manual_seed(0)
    model = build(5, backbone=partial(R50, width=8, deformable=(None, None, None, "v1")), channels=16, stacked=1)
    for name, parameter in model.named_parameters():
        if "conv_offset" in name:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "box_px"), [("fp32", 1e-2), ("fp16", 3.0)])
def test_deformable_network_on_a_fixed_canvas(deformable, precision, box_px, tmp_path):
    proto, ops = to_onnx(prepare(deformable, (RGB,), precision), (RGB,), canvas=(64, 96), batch=2)
    assert ops == ("deform_conv", "dfl_boxes")
    assert "DeformConv" in {node.op_type for node in proto.graph.node}
    shapes = [[d.dim_value for d in o.type.tensor_type.shape.dim] for o in proto.graph.output]
    assert shapes == [[2, 129, 4], [2, 129, 5]]
    image = torch.randn(2, 3, 64, 96)
    got = run(proto, image, tmp_path)
    with torch.inference_mode():
        expected = deformable(image)
    assert np.abs(got["boxes"] - expected["boxes"].numpy()).max() < box_px
    assert np.abs(got["scores"] - expected["scores"].numpy()).max() < 1e-2


def test_prepare_leaves_the_model_as_it_was(deformable):
    before = {name: value.clone() for name, value in deformable.state_dict().items()}
    half = prepare(deformable, (RGB,), "fp16")
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    after = deformable.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


class Untraceable(nn.Module):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"boxes": image * 2 if bool(image.mean() > 3) else image}


def test_failure_is_one_line():
    with pytest.raises(ExportError) as caught:
        to_onnx(Untraceable(), (RGB,), canvas=(32, 32), batch=1)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
