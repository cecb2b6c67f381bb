"""DEKR's head (Geng et al., "Bottom-Up Human Pose Estimation via Disentangled Keypoint Regression", arXiv
2104.02300)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ...plugins.deform_conv.op import deform_conv
from ..backbones.resnet import BasicBlock
from ..blocks import ConvNorm
from ..config.parts import Head, Trunk
from ..config.roots import read_roots
from ..config.section import Section


class AdaptiveBlock(nn.Module):
    """An adaptive convolution with a shortcut (section 3.2): (n, channels, h, w) to the same shape.

    The 3x3 taps of each group are those of a plain convolution, moved by an affine transform that a convolution
    predicts at every position.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.transform_matrix_conv = nn.Conv2d(channels, 6 * groups, 3, padding=1, groups=groups)
        self.adapt_conv = nn.Module()
        self.adapt_conv.weight = nn.Parameter(torch.empty(channels, channels // groups, 3, 3))
        nn.init.kaiming_normal_(self.adapt_conv.weight)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(-1.0, 2.0, device=x.device, dtype=x.dtype)
        taps = torch.cat((torch.cartesian_prod(rows, rows), rows.new_ones(9, 1)), 1)  # (y, x, 1) of each tap
        matrices = self.transform_matrix_conv(x).unflatten(1, (self.groups, 1, 2, 3))
        offsets = sum(matrices[:, :, :, :, i] * taps[:, i].view(1, 1, 9, 1, 1, 1) for i in range(3))
        moved = deform_conv(
            x,
            offsets.flatten(1, 3),
            self.adapt_conv.weight,
            None,
            None,
            (1, 1),
            (1, 1),
            (1, 1),
            self.groups,
            self.groups,
        )
        return torch.relu(self.norm(moved) + x)


class RescoreNet(nn.Module):
    """The layers of the network that scores poses (section 3.4), with mmpose's names."""

    def __init__(self, in_channels: int, width: int = 256) -> None:
        super().__init__()
        self.l1, self.l2 = nn.Linear(in_channels, width), nn.Linear(width, width)
        self.l3 = nn.Linear(width, 1)


class DEKRHead(nn.Module):
    """One map to heatmaps of keypoints and people's centres, and displacements from each cell to a person's keypoints.

    `forward` gives (n, keypoints + 1, h, w), the centres last, and (n, 2 * keypoints, h, w) in cells, x and y of each
    keypoint. `decode` turns them into the outputs of the form `roots`. `heat` is the number of channels before the
    heatmaps, `width` that per keypoint before the displacements. With `links` of a skeleton there is a network that
    scores poses; it runs where the poses are known, and its weights are outputs.
    """

    def __init__(
        self, keypoints: int, in_channels: int, *, heat: int = 32, width: int = 15, links: int | None = None
    ) -> None:
        super().__init__()
        self.heatmap_conv_layers = nn.Sequential(
            ConvNorm(in_channels, heat, 1, norm="bn"),
            BasicBlock(heat, heat, 1, "pytorch", (1, heat), None),
            nn.Conv2d(heat, keypoints + 1, 1),
        )
        channels = keypoints * width
        self.displacement_conv_layers = nn.Sequential(
            ConvNorm(in_channels, channels, 1, norm="bn"),
            AdaptiveBlock(channels, keypoints),
            AdaptiveBlock(channels, keypoints),
            nn.Conv2d(channels, 2 * keypoints, 1, groups=keypoints),
        )

        self.rescore_net = None if links is None else RescoreNet(3 * links + keypoints)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [self.heatmap_conv_layers(levels[-1]), self.displacement_conv_layers(levels[-1])]

    def decode(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        heatmaps, displacements = (x.float() for x in maps)
        outputs = {
            "centres": heatmaps[:, -1:],
            "displacements": displacements.unflatten(1, (-1, 2)),
            "heatmaps": heatmaps[:, :-1],
        }
        if self.rescore_net is None:
            return outputs
        layers = [torch.cat((layer.weight, layer.bias[:, None]), 1).float() for layer in self.rescore_net.children()]
        weights = {f"rescoring_{i + 1}": layer.expand(len(heatmaps), -1, -1) for i, layer in enumerate(layers)}
        return outputs | weights


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's DEKRHead."""
    section.same("in_channels", trunk.channels[-1])
    section.fixed(input_transform="select", input_index=-1, align_corners=False)
    section.training("heatmap_loss", "displacement_loss")
    keypoints = section.integer("num_keypoints", most=4096)
    links, torso = None, (0, 0)
    if (rescore := section.section("rescore_cfg")) is not None:
        rescore.fixed(hidden=256)
        links, rest = divmod(rescore.integer("in_channels") - keypoints, 3)
        if links < 1 or rest:
            rescore.refuse("in_channels", f"{keypoints} and 3 for each link of the skeleton")
        first, second = rescore.integers("norm_indexes", count=2)
        torso = first, second
        if min(torso) < 0 or max(torso) >= links:
            rescore.refuse("norm_indexes", f"two of {links} links")
    form, size = read_roots(section, trunk.strides[-1], torso)
    build = partial(
        DEKRHead,
        in_channels=trunk.channels[-1],
        heat=section.integer("num_heatmap_filters", 32),
        width=section.integer("num_displacement_filters_per_keypoint", 15),
        links=links,
    )
    key = "head.displacement_conv_layers.3.weight"
    return Head(build, keypoints, key, form, size=size, unused=("regular_matrix",), links=links)
