"""The ResNet of DetectoRS, whose convolutions choose their rate, and which sees an image twice (Qiao et al.,
"DetectoRS: Detecting Objects with Recursive Feature Pyramid and Switchable Atrous Convolution", arXiv 2006.02334)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.deform_conv.op import deform_conv
from ..config.norms import batch_norm
from ..config.parts import Trunk
from ..config.section import Section
from .resnet import Bottleneck, ResNet

_LEAST_VARIANCE = 1e-5


class StandardizedConv(nn.Conv2d):
    """A convolution whose stored weights are standardised for each output channel (Qiao et al., arXiv 1903.10520).

    They then get the mean `weight_beta` and the deviation `weight_gamma`. That is done when they are loaded, so that it
    costs nothing later, and both become those of the new weights: weights that are saved again stay what they are.
    """

    def __init__(self, *sizes: int, **others: Any) -> None:
        super().__init__(*sizes, **others, bias=False)
        _begin(self)


def keep_weights(layer: Any) -> None:
    """Take the statistics of the weights as they are, so that standardising does not change them."""
    mean, deviation = _statistics(layer.weight.detach())
    layer.weight_gamma, layer.weight_beta = deviation, mean


def _begin(layer: Any) -> None:
    for name in ("weight_gamma", "weight_beta"):
        layer.register_buffer(name, None)
    keep_weights(layer)
    layer.register_load_state_dict_post_hook(_standardize)


@torch.no_grad()
def _standardize(layer: Any, _: Any) -> None:
    mean, deviation = _statistics(layer.weight)
    layer.weight.copy_(layer.weight_gamma * (layer.weight - mean) / deviation + layer.weight_beta)
    keep_weights(layer)


def _statistics(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the deviation of each output channel, (c, 1, 1, 1)."""
    variance, mean = torch.var_mean(weight.flatten(1), 1)
    return mean.view(-1, 1, 1, 1), (variance + _LEAST_VARIANCE).sqrt().view(-1, 1, 1, 1)


class SwitchableConv(nn.Module):
    """A sum of two deformable 3x3 convolutions, of rates 1 and 3, that a map weights (section 4).

    Means over the map are added before and after.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = (stride, stride)
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.weight)
        _begin(self)
        self.weight_diff = nn.Parameter(torch.zeros(channels, channels, 3, 3))
        self.switch = nn.Conv2d(channels, 1, 1, stride)
        self.pre_context, self.post_context = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.offset_s, self.offset_l = (nn.Conv2d(channels, 18, 3, stride, 1) for _ in range(2))
        for layer in (self.switch, self.pre_context, self.post_context, self.offset_s, self.offset_l):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.switch.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pre_context(x.mean((2, 3), keepdim=True))
        around = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), "reflect"), 5, 1)
        switch = self.switch(around)

        def convolved(offset: Tensor, weight: Tensor, rate: int) -> Tensor:
            rates = (rate, rate)
            return deform_conv(x, offset, weight, None, None, self.stride, rates, rates, 1, 1)

        near = convolved(self.offset_s(around), self.weight, 1)
        far = convolved(self.offset_l(around), self.weight + self.weight_diff, 3)
        x = switch * near + (1 - switch) * far
        return x + self.post_context(x.mean((2, 3), keepdim=True))


class RecursiveResNet(ResNet):
    """Image to itself and four levels C2..C5, as `ResNet`.

    With `fed` channels, `again` runs on the image and on features of that width for each level.
    """

    def __init__(self, depth: int, *, fed: int | None = None, **others: Any) -> None:
        super().__init__(depth, **others)
        for module in list(self.modules()):
            for name, child in module.named_children():
                if type(child) is nn.Conv2d:
                    sizes = (child.in_channels, child.out_channels, child.kernel_size[0])
                    setattr(module, name, StandardizedConv(*sizes, child.stride[0], child.padding[0]))
        for stage in (self.layer2, self.layer3, self.layer4):
            for block in stage:
                block.conv2 = SwitchableConv(block.conv2.in_channels, block.conv2.stride[0])
            if fed is not None:
                stage[0].rfp_conv = nn.Conv2d(fed, stage[0].conv3.out_channels, 1)
                nn.init.zeros_(stage[0].rfp_conv.weight)
                nn.init.zeros_(stage[0].rfp_conv.bias)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image, *super().forward(image)]

    def again(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """The four levels, with `features` of each but the first added to its first block."""
        x = self.pool(torch.relu(self.bn1(self.conv1(image))))
        levels: list[Tensor] = []
        for i, stage in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            for j, block in enumerate(stage):
                x = _added(block, x, features[i] if i > 0 and j == 0 else None)
            levels.append(x)
        return levels


def _added(block: Bottleneck, x: Tensor, features: Tensor | None) -> Tensor:
    if features is None:
        return block(x)
    return torch.relu(block.residual(x) + block.downsample(x) + block.rfp_conv(features))


def read_recursive(section: Section) -> Callable[..., RecursiveResNet]:
    """Read a DetectoRS_ResNet whose convolutions switch in all stages but the first."""
    section.typed("DetectoRS_ResNet")
    section.same("conv_cfg", {"type": "ConvAWS"}, None)
    section.same("sac", {"type": "SAC", "use_deform": True}, None)
    section.same("stage_with_sac", (False, True, True, True), None)
    section.fixed(in_channels=3, base_channels=64, num_stages=4, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1))
    section.fixed(out_indices=(0, 1, 2, 3), deep_stem=False, avg_down=False, dcn=None, plugins=None)
    depth = section.choice("depth", {depth: depth for depth in (50, 101, 152)})
    style = section.choice("style", {"pytorch": "pytorch", "caffe": "caffe"}, "pytorch")
    return partial(RecursiveResNet, depth, style=style, norm_eps=batch_norm(section).eps)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's DetectoRS_ResNet, which gives the image to the neck that runs it again."""
    build = read_recursive(section)
    section.same("output_img", True, False)
    return Trunk(build, (0, 1, 2, 3), (4, 8, 16, 32))
