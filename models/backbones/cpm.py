"""Convolutional Pose Machines (Wei et al., arXiv 1602.00134), with batch norms as OpenMMLab trains them."""

from functools import partial

import torch
from torch import Tensor, nn

from ..blocks import ConvNorm
from ..config.norms import batch_norm, normed
from ..config.parts import Trunk
from ..config.section import Section

_conv = partial(ConvNorm, norm="bn")
_last = partial(ConvNorm, kernel=1, relu=False)


class CPM(nn.Module):
    """Image to one map per stage and keypoint, at stride 8. Each stage refines the maps of the one before.

    Shapes: (n, 3, h, w) to `stages` maps (n, keypoints, ceil(h / 8), ceil(w / 8)). `width` is the number of channels of
    the later stages, `middle` that of the image's features there.
    """

    def __init__(self, keypoints: int, *, stages: int = 6, width: int = 128, middle: int = 32) -> None:
        super().__init__()
        self.channels, later = (keypoints,) * stages, range(stages - 1)
        self.stem = nn.Sequential(
            *_downsampling(),
            *(_conv(128, 32, 5), _conv(32, 512, 9), _conv(512, 512, 1), _last(512, keypoints)),
        )
        self.middle = nn.Sequential(*_downsampling())
        self.cpm_stages = nn.ModuleList(
            nn.ModuleDict({"model": nn.Sequential(_conv(middle + keypoints, width, 11), *_twice(width))}) for _ in later
        )
        self.middle_conv = nn.ModuleList(nn.Sequential(_conv(128, middle, 5)) for _ in later)
        self.out_convs = nn.ModuleList(nn.Sequential(_conv(width, width, 1), _last(width, keypoints)) for _ in later)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, features = [self.stem(image)], self.middle(image)
        for stage, middle, out in zip(self.cpm_stages, self.middle_conv, self.out_convs, strict=True):
            maps.append(out(stage["model"](torch.cat((maps[-1], middle(features)), 1))))
        return maps


def _downsampling() -> list[nn.Module]:
    layers: list[nn.Module] = []
    for in_channels in (3, 128, 128):
        layers += [_conv(in_channels, 128, 9), nn.MaxPool2d(3, 2, 1)]
    return layers


def _twice(width: int) -> list[nn.Module]:
    return [_conv(width, width, 11), _conv(width, width, 11)]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's CPM."""
    section.fixed(in_channels=3)
    stages = section.integer("num_stages", 6, most=16)
    network = partial(
        CPM,
        section.integer("out_channels"),
        stages=stages,
        width=section.integer("feat_channels", 128),
        middle=section.integer("middle_channels", 32),
    )
    return Trunk(normed(network, batch_norm(section)), (stages - 1,), (8,))
