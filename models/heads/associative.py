"""Heads that predict a tag for every keypoint to group keypoints by person (Newell et al., "Associative Embedding:
End-to-End Learning for Joint Detection and Grouping", arXiv 1611.05424)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.resnet import BasicBlock
from ..config.parts import Head, Trunk
from ..config.section import Section
from ..config.tags import read_tags
from ..necks.deconv import doubling
from .heatmap import HeatmapHead, old_names, read_layers


class AssociativeHead(HeatmapHead):
    """The last level to `heatmaps` and `tags`, both (n, keypoints, h, w): first all maps, then all tags."""

    per_keypoint = 2

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        heatmaps, tags = maps.float().chunk(2, 1)
        return {"heatmaps": heatmaps, "tags": tags}


class HigherHead(nn.Module):
    """HigherHRNet's head (Cheng et al., arXiv 1908.10357, section 3): maps and tags, then larger maps without tags.

    `forward` gives (n, 2 * keypoints, h, w), maps and then tags, and (n, keypoints, 2h, 2w). `decode` resizes the first
    to the second and averages the maps: `heatmaps` and `tags`, both (n, keypoints, 2h, 2w). With `spacing`, lengths are
    measured between pixel centres, as in UDP. `blocks` follow the transposed convolution.
    """

    def __init__(self, keypoints: int, channels: int, *, blocks: int = 4, spacing: bool = False) -> None:
        super().__init__()
        self.spacing = spacing
        up = nn.Sequential(doubling(channels + 2 * keypoints, channels), nn.BatchNorm2d(channels), nn.ReLU())
        after = (BasicBlock(channels, channels, 1, "pytorch", (1, channels), None) for _ in range(blocks))
        self.deconv_layers = nn.ModuleList([nn.Sequential(up, *(nn.Sequential(block) for block in after))])
        self.final_layers = nn.ModuleList(nn.Conv2d(channels, count * keypoints, 1) for count in (2, 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        first = self.final_layers[0](levels[-1])
        larger = self.deconv_layers[0](torch.cat((levels[-1], first), 1))
        return [first, self.final_layers[1](larger)]

    def decode(self, stages: Sequence[Tensor]) -> dict[str, Tensor]:
        first, second = (maps.float() for maps in stages)
        first = F.interpolate(first, scale_factor=2.0, mode="bilinear", align_corners=self.spacing)
        heatmaps, tags = first.chunk(2, 1)
        return {"heatmaps": (heatmaps + second) / 2, "tags": tags}


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's AssociativeEmbeddingHead."""
    build, stride = read_layers(section, trunk, AssociativeHead)
    keypoints = section.integer("num_keypoints", most=4096)
    section.training("keypoint_loss", "tag_loss")
    section.fixed(tag_dim=1, tag_per_keypoint=True)
    form, size, _ = read_tags(section, keypoints, stride)
    mapping = old_names(len(build.keywords["convs"]))
    return Head(build, keypoints, "head.final_layer.weight", form, size=size, mapping=mapping)


def higher_from_config(section: Section, trunk: Trunk) -> Head:
    """HigherHRNet's head, of mmpose 0.x."""
    channels = trunk.channels[-1]
    section.same("in_channels", channels)
    section.same("num_deconv_filters", (channels,), (32,))
    section.fixed(tag_per_joint=True, num_deconv_layers=1, num_deconv_kernels=(4,))
    section.same("cat_output", (True,))
    section.same("with_ae_loss", (True, False))
    section.training("loss_keypoint")
    if (extra := section.section("extra")) is not None:
        extra.fixed(final_conv_kernel=1)
    keypoints = section.integer("num_joints", most=4096)
    blocks = section.integer("num_basic_blocks", 4, least=0, most=64)
    stride = trunk.strides[-1] // 2 or section.refuse("num_deconv_layers", "maps no larger than the image")
    form, size, spacing = read_tags(section, keypoints, stride)
    build = partial(HigherHead, channels=channels, blocks=blocks, spacing=spacing)
    return Head(build, keypoints, "head.final_layers.0.weight", form, size=size)
