"""The parts of D2Det's second stage, against its authors' numbers and its definition."""

import pytest
import torch
from golden.reader import load_ops
from torch.nn import functional as F

from detforge.models.backbones.resnet import TINY
from detforge.models.final import FinalRoIHead
from detforge.models.heads.d2det import DenseBoxHead, WeightedPool
from detforge.models.zoo import d2det
from detforge.plugins.deform_roi_pool.op import deform_roi_pool

CASES = {case["name"]: {**case["in"], **case["out"]} for case in load_ops("d2det")}


def test_weighted_pooling_equals_the_authors() -> None:
    case = {name: torch.from_numpy(value) for name, value in CASES["awpool"].items()}
    pool = WeightedPool(case["x"].shape[1])
    pool.load_state_dict({name: value for name, value in case.items() if name.startswith("weight")})
    torch.testing.assert_close(pool(case["x"]), case["y"], atol=1e-5, rtol=1e-5)


def test_half_precision_holds_every_weight() -> None:
    pool = WeightedPool(4).half()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).half() * 10
    torch.testing.assert_close(pool(x).float(), pool.float()(x.float()), atol=0.02, rtol=0.02)


def test_mean_boxes_equal_the_authors() -> None:
    case = {name: torch.from_numpy(value)[None] for name, value in CASES["d2det_dense_avg"].items()}
    boxes = DenseBoxHead(16, 32, 1).boxes({"sides": case["reg"], "inside": case["mask"]}, case["det"][..., :4])
    torch.testing.assert_close(boxes, case["y"][..., :4], atol=1e-4, rtol=1e-5)


@pytest.fixture
def head() -> FinalRoIHead:
    torch.manual_seed(0)
    head = d2det.build(3, backbone=TINY, channels=16, width=64).roi_head.eval()
    for weight in head.parameters():
        weight.data.copy_(torch.randn(weight.shape) * 0.1)
    return head


@torch.inference_mode()
def test_each_level_has_its_own_layers(head: FinalRoIHead) -> None:
    """Also where a level has no region."""
    levels = [torch.randn(1, 16, 128 >> i, 160 >> i) for i in range(5)]
    regions = torch.tensor([[[3.4, 5.6, 30.5, 41.0], [0.0, 0, 0, 0], [20.0, 30.0, 330.0, 300.0], [9.0, 9, 300, 40]]])
    pooled = head.features(levels, regions)
    for row, level in enumerate((0, 0, 2, 0)):
        region = regions[:, row : row + 1]
        rounded = (region + 0.5).floor() + torch.tensor([0.0, 0, 1, 1])
        own, stride = levels[level : level + 1], 4 << level
        layer = head.features.roi_layers[level]
        coarse = deform_roi_pool(own, rounded, torch.zeros(1, 1, 2, 3, 3), (3, 3), stride, 2)
        shifts = F.interpolate(layer.offset_fc(coarse.flatten(1)).view(1, 2, 7, 7), scale_factor=2) * 0.1
        fine = deform_roi_pool(own, rounded, shifts[None], (14, 14), stride, 2)
        torch.testing.assert_close(pooled[:, row], layer.awp(fine[0]), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_nothing_likely_gives_nothing(head: FinalRoIHead) -> None:
    head.bbox_head.fc_cls.bias[0] = 50.0  # the background
    levels = [torch.randn(1, 16, 32 >> i, 32 >> i) for i in range(5)]
    regions = torch.tensor([[[3.0, 5.0, 30.0, 41.0], [0.0, 0.0, 0.0, 0.0]]])
    outputs = head.decode(head(levels, regions, torch.tensor([[128.0, 128.0]])))
    assert outputs["scores"].shape == (1, 125, 3)
    assert not outputs["scores"].any()
    assert torch.isfinite(outputs["boxes"]).all()
