"""PicoDet's parts against their definitions in float64, and its sizes against those that PaddleDetection states."""

import numpy as np
import pytest
import torch
from torch import nn

from detforge.models.backbones.esnet import HalvingBlock, ShuffleBlock
from detforge.models.heads.picodet import AlignedHead
from detforge.models.zoo import find

STATED = {
    "picodet_s_320_coco": 0.99,
    "picodet_m_416_coco": 2.15,
    "picodet_l_640_coco": 3.30,
    "picodet_lcnet_1_5x_416_coco": 3.10,
    "picodet_xs_320_coco_lcnet": 0.70,
    "picodet_s_416_coco_lcnet": 1.18,
    "picodet_m_320_coco_lcnet": 3.46,
    "picodet_l_640_coco_lcnet": 5.80,
}
"""Millions of parameters, rounded down, in configs/picodet/README_en.md and legacy_model/README.md."""


def lively(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if name.endswith("var") else torch.randn_like(value) / 2)
    return module.double().eval()


@pytest.mark.parametrize("name", STATED)
def test_the_number_of_parameters_is_the_stated_one(name: str) -> None:
    with torch.device("meta"):
        network = find(name).build(80)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 - STATED[name] == pytest.approx(
        0.005, abs=0.005
    )


def test_a_block_shuffles_the_halves_of_its_channels() -> None:
    block, x = lively(ShuffleBlock(8, 8)), torch.randn(1, 8, 5, 6, dtype=torch.float64)
    with torch.inference_mode():
        out = block(x)
        narrow = block.conv_pw(x[:, 4:])
        both = torch.cat((narrow, block.conv_dw.bn(block.conv_dw.conv(narrow))), 1)
        factors = (block.se.conv2(block.se.conv1(both.mean((2, 3), keepdim=True)).clamp(min=0)) / 6 + 0.5).clamp(0, 1)
        changed = block.conv_linear(both * factors)
    for i in range(4):
        assert torch.equal(out[:, 2 * i], x[:, i])
        torch.testing.assert_close(out[:, 2 * i + 1], changed[:, i])


def test_a_halving_block_joins_two_branches() -> None:
    block, x = lively(HalvingBlock(6, 8, 8)), torch.randn(1, 6, 7, 6, dtype=torch.float64)
    with torch.inference_mode():
        first = block.conv_dw_1.bn(block.conv_dw_1.conv(x))
        second = block.conv_dw_2.bn(block.conv_dw_2.conv(block.conv_pw_2(x)))
        joined = torch.cat((block.conv_linear_1(first), block.conv_linear_2(block.se(second))), 1)
        expected = block.conv_pw_mv1(block.conv_dw_mv1(joined))
        assert block(x).shape == (1, 8, 4, 3)
        torch.testing.assert_close(block(x), expected)


def test_boxes_scores_and_alignment_follow_their_definition() -> None:
    head = lively(AlignedHead(3, 4, conv=lambda i, o: nn.Conv2d(i, o, 1), strides=(8, 16), stacked=1, reg_max=7))
    levels = [torch.randn(1, 4, 4, 6, dtype=torch.float64), torch.randn(1, 4, 2, 3, dtype=torch.float64)]
    with torch.inference_mode():
        outputs = {name: value[0].double().numpy() for name, value in head.decode(head(levels)).items()}
    rows = []
    for i, (x, stride) in enumerate(zip(levels, (8, 16), strict=True)):
        with torch.inference_mode():
            tower = head.cls_convs[i](x)
            excite, align = head.se[i], head.cls_align[i]
            factors = 1 / (1 + (-excite.fc(tower.mean((2, 3), keepdim=True))).exp())
            raw = excite.conv.bn(excite.conv.conv(tower * factors))
            excited = raw * (raw + 3).clamp(0, 6) / 6
            classes, sides = head.gfl_cls[i](excited)[0].numpy(), head.gfl_reg[i](excited)[0].numpy()
            wide = align.depthwise_conv.bn(align.depthwise_conv.conv(tower))
            wide = wide * (wide + 3).clamp(0, 6) / 6
            quality = align.pointwise_conv.bn(align.pointwise_conv.conv(wide))[0, 0].numpy()
        for y, x_ in np.ndindex(quality.shape):
            bins = np.exp(sides[:, y, x_].reshape(4, 8))
            distances = (bins * np.arange(8)).sum(1) / bins.sum(1) * stride
            point = np.array([x_ + 0.5, y + 0.5]) * stride
            scores = 1 / (1 + np.exp(-np.append(classes[:, y, x_], quality[y, x_])))
            rows.append([*(point - distances[:2]), *(point + distances[2:]), *scores])
    found = np.concatenate((outputs["boxes"], outputs["scores"], outputs["quality"][:, None]), 1)
    np.testing.assert_allclose(found, rows, atol=1e-4)
