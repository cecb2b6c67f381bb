"""MSPN and RSN as their authors save them, against the same networks written out step by step in float64."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, load_variant, random_model
from detforge.models.zoo import find

KEYPOINTS, WIDTH, CHANNELS = 17, 8, 16


class Steps:
    """Layers by the authors' names, in float64; the weights of one are made up when it is first used."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed(0)

    def parameter(self, name: str, *shape: int, least: float = -0.5) -> Tensor:
        value = torch.rand(shape, generator=self.generator) + least
        return self.state.setdefault(name, value).double()

    def conv(
        self, name: str, x: Tensor, channels: int, size: int = 1, stride: int = 1, *, relu: bool = True, groups: int = 1
    ) -> Tensor:
        """Convolution with a bias, norm, and ReLU."""
        weight = self.parameter(f"{name}.conv.weight", channels, x.shape[1] // groups, size, size)
        x = F.conv2d(x, weight, self.parameter(f"{name}.conv.bias", channels), stride, size // 2, groups=groups)
        mean, bias = (self.parameter(f"{name}.bn.{part}", channels) for part in ("running_mean", "bias"))
        var, weight = (self.parameter(f"{name}.bn.{part}", channels, least=0.5) for part in ("running_var", "weight"))
        x = (x - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None] * weight[:, None, None] + bias[:, None, None]
        return x.relu() if relu else x

    def linear(self, name: str, x: Tensor, channels: int) -> Tensor:
        return x @ self.parameter(f"{name}.weight", channels, x.shape[-1]).T


Block = Callable[[Steps, str, Tensor, int, int], Tensor]


def shortcut(net: Steps, name: str, x: Tensor, channels: int, stride: int) -> Tensor:
    same = stride == 1 and x.shape[1] == channels
    return x if same else net.conv(f"{name}.downsample", x, channels, 1, stride, relu=False)


def bottleneck(net: Steps, name: str, x: Tensor, width: int, stride: int) -> Tensor:
    y = net.conv(f"{name}.conv_bn_relu1", x, width)
    y = net.conv(f"{name}.conv_bn_relu2", y, width, 3, stride)
    y = net.conv(f"{name}.conv_bn_relu3", y, 4 * width, relu=False)
    return (y + shortcut(net, name, x, 4 * width, stride)).relu()


def residual_steps(net: Steps, name: str, x: Tensor, width: int, stride: int, *, gated: bool = False) -> Tensor:
    """Of RSN; with UDP's gates branches are as wide as the output asks."""
    branch = (width if gated else x.shape[1]) * 26 // 64
    parts = net.conv(f"{name}.conv_bn_relu1", x, 4 * branch, 1, stride).split(branch, 1)
    y: dict[tuple[int, int], Tensor] = {}
    for i in range(1, 5):
        for j in range(1, i + 1):
            before = y[i, j - 1] if j > 1 else parts[i - 1]
            total = before + y[i - 1, j] if (i - 1, j) in y else before
            y[i, j] = net.conv(f"{name}.conv_bn_relu2_{i}_{j}", total, branch, 3)
    out = net.conv(f"{name}.conv_bn_relu3", torch.cat([y[i, i] for i in range(1, 5)], 1), width, relu=False)
    if gated:
        hidden = net.linear(f"{name}.se.fc.0", out.mean((2, 3)), width // 8).relu()
        out = out * net.linear(f"{name}.se.fc.2", hidden, width).sigmoid()[:, :, None, None]
    return (out + shortcut(net, name, x, width, stride)).relu()


def pooled_top(net: Steps, image: Tensor) -> Tensor:
    return F.max_pool2d(net.conv("top.conv", image, WIDTH, 7, 2), 3, 2, 1)


def deep_top(net: Steps, image: Tensor) -> Tensor:
    x = net.conv("top.conv.0", image, WIDTH, 3, 2)
    return net.conv("top.conv.2", net.conv("top.conv.1", x, WIDTH, 7), WIDTH, 3, 2)


def refine(net: Steps, name: str, x: Tensor) -> Tensor:
    """RSN's pose refine machine."""
    channels = x.shape[1]
    x = net.conv(f"{name}.conv_bn_relu_prm_1", x, channels, 3)
    a = net.conv(f"{name}.conv_bn_relu_prm_2_1", x.mean((2, 3), keepdim=True), channels)
    a = net.conv(f"{name}.conv_bn_relu_prm_2_2", a, channels).sigmoid()
    b = net.conv(f"{name}.conv_bn_relu_prm_3_1", x, channels)
    b = net.conv(f"{name}.conv_bn_relu_prm_3_2", b, channels, 9, groups=channels).sigmoid()
    return x * (1 + a * b)


def network(
    net: Steps, image: Tensor, block: Block, blocks: Sequence[int], *, stages: int = 1, prm: bool = False
) -> Tensor:
    """The heatmaps of the last unit; all others are made too, as for training."""
    x = deep_top(net, image) if prm else pooled_top(net, image)
    skips: list[Tensor] = []
    for stage in range(stages):
        levels: list[Tensor] = []
        for i, count in enumerate(blocks):
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                x = block(net, f"stage{stage}.downsample.layer{i + 1}.{j}", x, WIDTH << i, stride)
            x = x + skips[i] if skips else x
            levels.append(x)
        skips, below = [], None
        for i, level in enumerate(reversed(levels)):
            name, last = f"stage{stage}.upsample.up{i + 1}", i == len(levels) - 1
            up = net.conv(f"{name}.u_skip", level, CHANNELS, relu=False)
            if below is not None:
                larger = F.interpolate(below, size=level.shape[2:], mode="bilinear", align_corners=True)
                up = up + net.conv(f"{name}.up_conv", larger, CHANNELS, relu=False)
            up = up.relu()
            if prm and last:
                up = refine(net, f"{name}.prm", up)
            hidden = net.conv(f"{name}.res_conv1", up, CHANNELS)
            heatmaps = net.conv(f"{name}.res_conv2", hidden, KEYPOINTS, 3, relu=False)
            if stage < stages - 1:
                skip = [net.conv(f"{name}.skip{k}", y, level.shape[1]) for k, y in ((1, level), (2, up))]
                skips.insert(0, skip[0] + skip[1])
                x = net.conv(f"{name}.cross_conv", up, WIDTH) if last else x
            below = up
    return heatmaps


CASES = {
    "2xmspn50_authors": partial(network, block=bottleneck, blocks=(1, 2, 1, 1), stages=2),
    "2xrsn50_authors": partial(network, block=residual_steps, blocks=(1, 2, 1, 1), stages=2),
    "rsn18_prm": partial(network, block=partial(residual_steps, gated=True), blocks=(1, 2, 1, 1), prm=True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_network_is_its_definition(name: str) -> None:
    image = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    net = Steps()
    expected = CASES[name](net, image.double())
    variant = find(name)
    variant = replace(variant, build=partial(variant.build, blocks=(1, 2, 1, 1), width=WIDTH, channels=CHANNELS))
    model = load_variant(variant, Checkpoint(net.state, "authors.pth", None, None)).double()
    with torch.inference_mode():
        found = model.head(model.backbone(image.double()))
    torch.testing.assert_close(found, expected)
    assert expected.std() > 0.1


def test_checkpoints_of_old_mmpose_load() -> None:
    """It called the head otherwise; predictions of all units but the last only serve training."""
    variant = find("mspn_test")
    network = random_model(variant).state_dict()
    names = {"head.": "keypoint_head.predict_layers.7.", ".downsample.0.": ".downsample.conv."}
    names[".downsample.1."] = ".downsample.bn."
    state = {}
    for key, value in network.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = value
    state |= {"keypoint_head.predict_layers.6.conv_layers.0.conv.weight": torch.zeros(1)}
    state |= {"data_preprocessor.mean": torch.zeros(3, 1, 1)}
    loaded = load_variant(variant, Checkpoint(state, "old.pth", None, None)).state_dict()
    assert "backbone.multi_stage_mspn.1.downsample.layer4.0.downsample.bn.running_var" in state
    for key, value in network.items():
        torch.testing.assert_close(loaded[key], value)
