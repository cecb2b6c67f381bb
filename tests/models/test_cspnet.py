"""The exact fusion model by its definition, in float64: each level and its neighbours, side by side, then Maxout."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detforge.models.backbones import cspnet
from detforge.models.zoo import cspnet as zoo


def convolved(block: nn.Sequential, x: Tensor, stride: int) -> Tensor:
    """A convolution, its norm by the formula and a leaky ReLU."""
    conv, norm = block
    y = F.conv2d(x, conv.weight, None, stride, conv.kernel_size[0] // 2)
    mean, variance, factor, shift = (
        value[:, None, None] for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    y = (y - mean) / (variance + norm.eps).sqrt() * factor + shift
    return torch.where(y > 0, y, 0.1 * y)


def test_levels_are_fused_with_their_neighbours() -> None:
    torch.manual_seed(0)
    backbone = zoo.build(3, trunk="darknet", neck=cspnet.fusion, narrow=16).backbone.double().eval()
    for norm in [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    with torch.inference_mode():
        maps = backbone.maps(torch.randn(1, 3, 64, 96, dtype=torch.float64))
        table = cspnet.Table()
        fine, middle = cspnet.darknet(table)
        own = {8: maps[fine], 16: maps[middle]}
        fused = [i for i, layer in enumerate(backbone.layers) if isinstance(layer, cspnet.Maxout)]
        start = fused[0] - 6  # the first fusion: a route and a convolution for each map, and the upsampling
        own[32] = maps[start - 1]
        blocks = [block for block in backbone.models[start : fused[2]] if len(block) == 2]
        own_8, from_16, to_16, own_16, from_32 = (blocks[i] for i in (0, 1, 6, 7, 8))
        parts = {
            8: [convolved(own_8, own[8], 1), grown(convolved(from_16, own[16], 1))],
            16: [
                convolved(to_16, own[8], 2),
                convolved(own_16, own[16], 1),
                grown(convolved(from_32, own[32], 1)),
            ],
        }
        to_32, own_32 = blocks[-2:]
        parts[32] = [convolved(to_32, own[16], 2), convolved(own_32, own[32], 1)]
    for at, stride in zip(fused, parts, strict=True):
        joined = torch.cat(parts[stride], 1)
        half = joined.shape[1] // 2
        expected = torch.stack((joined[:, :half], joined[:, half:])).amax(0)
        torch.testing.assert_close(maps[at], expected, rtol=0, atol=1e-10)


def grown(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
