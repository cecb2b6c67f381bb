"""RoIAlign against mmcv's numbers, and in an exported graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from golden.reader import load_ops
from region_goldens import by_c_function, by_torch, one_box_per_image
from torch import Tensor, nn

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import Precision
from detforge.export.convert import prepare, to_onnx
from detforge.models.variant import RGB
from detforge.plugins.roi_align.op import roi_align

GOLDENS = {case["name"]: case for case in load_ops("roi_align")}


@pytest.mark.parametrize("run", [by_torch, by_c_function])
@pytest.mark.parametrize("name", GOLDENS)
def test_equals_mmcv(name: str, run: Any) -> None:
    case: dict[str, Any] = GOLDENS[name]
    x, rois, how = case["in"]["x"], case["in"]["rois"], case["args"]
    attributes = {
        "output_height": how["output_size"][0],
        "output_width": how["output_size"][1],
        "stride": round(1 / how["spatial_scale"]),
        "sampling_ratio": how["sampling_ratio"],
        "aligned": int(how["aligned"]),
        "minimum": 0 if how["aligned"] else 1,
        "finest_scale": 56,
    }
    expected = case["out"]["y"]
    np.testing.assert_allclose(
        run("RoiAlign1", one_box_per_image(x, rois), attributes).reshape(expected.shape), expected, atol=1e-5
    )


class Pooled(nn.Module):
    """Regions of two levels, at boxes that the image's values give."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))  # of the trunk's precision

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        trunk = image.to(self.weight.dtype)
        levels = [nn.functional.avg_pool2d(trunk, size) for size in (4, 8)]
        centres = 40 + 20 * image[:, :2, :5, 0].permute(0, 2, 1)
        sides = 60 * image[:, :2, :5, 1].permute(0, 2, 1).abs()
        boxes = torch.cat((centres - sides, centres + sides), 2)
        return {"pooled": roi_align(levels, boxes, (3, 2), 4, finest_scale=30).float()}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("kernels", [True, False])
def test_exported_graph_on_other_sizes(precision: Precision, kernels: bool, tmp_path: Path) -> None:
    model = prepare(Pooled().eval(), (RGB,), precision)
    proto, ops = to_onnx(model, (RGB,))
    assert ops == ("roi_align",)
    (node,) = (node for node in proto.graph.node if node.domain == "detforge")
    assert node.op_type == "RoiAlign2"
    onnx.save(proto, tmp_path / "model.onnx")
    image = torch.randn(3, 3, 96, 160)
    given = OrtBackend(str(tmp_path / "model.onnx"), kernels=kernels).run({"image": image.numpy()})
    with torch.inference_mode():
        expected = model(image)["pooled"].numpy()
    assert given["pooled"].shape == (3, 5, 3, 3, 2)
    np.testing.assert_allclose(given["pooled"], expected, atol=1e-5 if precision == "fp32" else 1e-3)
