"""DLA-34 and CenterNet's way up from it, against the same network written out step by step in float64."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detforge.models.backbones.dla import DLA34
from detforge.models.necks.dla import DLANeck
from detforge.models.zoo import find
from detforge.plugins.deform_conv.op import deform_conv

CHANNELS = (4, 6, 8, 10, 12, 16)
EPS = 1e-5


class Steps:
    """Layers by their names in the state dict, in float64."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = {key: value.double() for key, value in state.items()}

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + EPS).sqrt() * weight + bias

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, weight.shape[2] // 2)

    def stage(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return self.norm(f"{name}.1", self.conv(f"{name}.0", x, stride)).relu()

    def block(self, name: str, x: Tensor, shortcut: Tensor, stride: int = 1) -> Tensor:
        x = self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride)).relu()
        return (self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", x)) + shortcut).relu()

    def root(self, name: str, *maps: Tensor) -> Tensor:
        return self.norm(f"{name}.bn", self.conv(f"{name}.conv", torch.cat(maps, 1))).relu()

    def pair(self, name: str, x: Tensor, *carried: Tensor, stride: int = 1) -> Tensor:
        """Two blocks and their root, which is a tree of depth 1."""
        below = F.max_pool2d(x, stride) if stride > 1 else x
        shortcut = below
        if f"{name}.project.0.weight" in self.state:
            shortcut = self.norm(f"{name}.project.1", self.conv(f"{name}.project.0", below))
        first = self.block(f"{name}.tree1", x, shortcut, stride)
        second = self.block(f"{name}.tree2", first, first)
        return self.root(f"{name}.root", second, first, *carried)

    def deformable(self, name: str, x: Tensor) -> Tensor:
        offset = self.conv(f"{name}.conv.conv_offset", x)
        weight, bias = self.state[f"{name}.conv.weight"], self.state[f"{name}.conv.bias"]
        x = deform_conv(x, offset[:, :18], weight, offset[:, 18:].sigmoid(), bias, (1, 1), (1, 1), (1, 1), 1, 1)
        return self.norm(f"{name}.bn", x).relu()

    def merge(self, name: str, i: int, coarse: Tensor, fine: Tensor, factor: int = 2) -> Tensor:
        up = self.state[f"{name}.up_{i}.weight"]
        raised = F.conv_transpose2d(
            self.deformable(f"{name}.proj_{i}", coarse), up, stride=factor, padding=factor // 2, groups=len(up)
        )
        return self.deformable(f"{name}.node_{i}", raised + fine)


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    """Weights and statistics that hide nothing: no parameter is where training starts."""
    generator = torch.Generator().manual_seed(0)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.is_floating_point():
            scale = (2 / max(1, value[0].numel())) ** 0.5 if value.ndim > 1 else 0.3
            value.copy_(scale * torch.randn(value.shape, generator=generator) + (key.endswith("bn.weight")))
    return module.eval()


@pytest.fixture(scope="module")
def backbone() -> torch.nn.Module:
    return randomised(DLA34(CHANNELS))


@pytest.fixture(scope="module")
def levels(backbone: torch.nn.Module) -> list[Tensor]:
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return backbone(image)


def test_backbone(backbone: torch.nn.Module, levels: list[Tensor]) -> None:
    s = Steps(backbone.state_dict())
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    x = s.stage("base_layer", x)
    c0 = s.stage("level0", x)
    c1 = s.stage("level1", c0, 2)
    c2 = s.pair("level2", c1, stride=2)
    expected = [c0, c1, c2]
    for name in ("level3", "level4"):
        x = expected[-1]
        first = s.pair(f"{name}.tree1", x, stride=2)
        expected.append(s.pair(f"{name}.tree2", first, F.max_pool2d(x, 2), first))
    expected.append(s.pair("level5", expected[-1], F.max_pool2d(expected[-1], 2), stride=2))
    for i, (level, wanted) in enumerate(zip(levels, expected, strict=True)):
        assert level.shape == (2, CHANNELS[i], 64 >> i, 96 >> i)
        torch.testing.assert_close(level.double(), wanted, rtol=1e-3, atol=1e-3 * float(wanted.std()))


def test_neck(levels: list[Tensor]) -> None:
    neck = randomised(DLANeck(CHANNELS))
    s = Steps(neck.state_dict())
    with torch.inference_mode():
        got = neck(levels)
    c2, c3, c4, c5 = (level.double() for level in levels[2:])
    # Three times over the coarser half of the pyramid, as figure 6 of the paper draws it.
    p4 = s.merge("dla_up.ida_0", 1, c5, c4)
    q3 = s.merge("dla_up.ida_1", 1, c4, c3)
    p3 = s.merge("dla_up.ida_1", 2, p4, q3)
    r2 = s.merge("dla_up.ida_2", 1, c3, c2)
    r2 = s.merge("dla_up.ida_2", 2, q3, r2)
    p2 = s.merge("dla_up.ida_2", 3, p3, r2)
    wanted = s.merge("ida_up", 2, p4, s.merge("ida_up", 1, p3, p2), 4)
    assert got.shape == (2, CHANNELS[2], 16, 24)
    # Offsets of deformable convolutions carry rounding on.
    torch.testing.assert_close(got.double(), wanted, rtol=1e-2, atol=1e-2 * float(wanted.std()))


def test_parameters_are_those_of_the_paper() -> None:
    """DLA-34 has 15,742,104 with its classifier of 1000 classes, which is a 1x1 convolution."""
    with torch.device("meta"):
        network = find("centernet_dla34").build(80)
    assert sum(p.numel() for p in network.backbone.parameters()) + 512 * 1000 + 1000 == 15_742_104


def test_upsampling_starts_as_interpolation() -> None:
    x = torch.arange(5.0).expand(1, CHANNELS[2], 5, 5)
    neck = DLANeck(CHANNELS)
    for up, factor in ((neck.ida_up.up_1, 2), (neck.ida_up.up_2, 4)):
        with torch.inference_mode():
            raised = up(x)
        wanted = F.interpolate(x, scale_factor=factor, mode="bilinear")
        torch.testing.assert_close(
            raised[..., factor:-factor, factor:-factor], wanted[..., factor:-factor, factor:-factor]
        )
