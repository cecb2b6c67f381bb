"""CornerNet's head (Law and Deng, "CornerNet: Detecting Objects as Paired Keypoints", arXiv 1808.01244)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ...deploy.forms import Corners
from ...plugins.corner_pool.op import bottom_pool, left_pool, right_pool, top_pool
from ..blocks import ConvNorm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..config.thresholds import ALL, read_suppression
from ..peaks import at_cells, cell_points, cell_size, top_peaks

_POOLS = {"tl": (top_pool, left_pool), "br": (bottom_pool, right_pool)}


class CornerPooling(nn.Module):
    """The prediction module of a corner, "tl" or "br" (figure 7): the sum of two corner pools, with a shortcut.

    Shapes: (n, channels, h, w) to the same.
    """

    def __init__(self, channels: int, pooled: int, corner: str) -> None:
        super().__init__()
        self.corner = corner
        self.direction1_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.direction2_conv = ConvNorm(channels, pooled, 3, norm="bn")
        self.aftpool_conv = ConvNorm(pooled, channels, 3, norm="bn", relu=False)
        self.conv1 = ConvNorm(channels, channels, 1, norm="bn", relu=False)
        self.conv2 = ConvNorm(channels, channels, 3, norm="bn")

    def forward(self, x: Tensor) -> Tensor:
        pool1, pool2 = _POOLS[self.corner]
        pooled = pool1(self.direction1_conv(x)) + pool2(self.direction2_conv(x))
        return self.conv2(torch.relu(self.aftpool_conv(pooled) + self.conv1(x)))


class CornerHead(nn.Module):
    """One map to heatmaps, tags and offsets of top-left (`tl`) and bottom-right (`br`) corners.

    `forward` gives, for each corner, logits `*_heat` (n, classes, h, w), `*_emb` (n, 1, h, w) and `*_off` (n, 2, h, w)
    in cells. `decode` turns them into the network's outputs. Corners are paired at run time.
    """

    paired_by: tuple[str, int] = ("emb", 1)
    """The branch that tells which corners belong together, and its channels."""

    def __init__(self, classes: int, channels: int = 256, *, pooled: int = 128, peaks: int = 100) -> None:
        super().__init__()
        self.peaks = peaks
        self.tl_pool = CornerPooling(channels, pooled, "tl")
        self.br_pool = CornerPooling(channels, pooled, "br")
        for corner in _POOLS:
            for name, out_channels in (("heat", classes), self.paired_by, ("off", 2)):
                setattr(self, f"{corner}_{name}", branch(channels, out_channels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        for heat in (self.tl_heat, self.br_heat):
            nn.init.constant_(heat[1].conv.bias, -math.log(9))  # Every class starts with a score of 0.1.

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for corner, pooled in (("tl", self.tl_pool(x)), ("br", self.br_pool(x))):
            maps |= {f"{corner}_{name}": value for name, value in self.maps(corner, pooled).items()}
        return maps

    def maps(self, corner: str, pooled: Tensor) -> dict[str, Tensor]:
        """The maps of one corner, by name."""
        return {name: getattr(self, f"{corner}_{name}")(pooled) for name in ("heat", self.paired_by[0], "off")}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        """The k best peaks of each corner, best first, in fp32.

        `*_points` (n, k, 2) xy px, `*_scores` (n, k), `*_labels` (n, k), and `*_tags` (n, k), which are alike for the
        corners of one object.
        """
        outputs: dict[str, Tensor] = {}
        for corner in _POOLS:
            heat, offset = maps[f"{corner}_heat"].float(), maps[f"{corner}_off"].float()
            scores, labels, cells = top_peaks(heat.sigmoid(), self.peaks)
            points, size = cell_points(cells, heat) + at_cells(offset, cells), cell_size(canvas, heat)
            values = {"points": points * size, "scores": scores, "labels": labels}
            values |= self.pairing(corner, maps, cells, points, size)
            outputs |= {f"{corner}_{name}": value for name, value in values.items()}
        return outputs

    def pairing(
        self, corner: str, maps: dict[str, Tensor], cells: Tensor, points: Tensor, size: Tensor
    ) -> dict[str, Tensor]:
        """The values by which corners are paired, for peaks at `cells` (n, k) and `points` (n, k, 2) in cells.

        `size` (2,) xy is that of a cell in px.
        """
        return {"tags": at_cells(maps[f"{corner}_emb"].float(), cells)[..., 0]}


def branch(channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution with ReLU, then a 1x1 one."""
    return nn.Sequential(ConvNorm(channels, channels, 3), ConvNorm(channels, out_channels, 1, relu=False))


def last_stack(
    stacks: int, single: Sequence[str] = ("pool",), double: Sequence[str] = ("heat", "emb", "off")
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """For `Variant.mapping` and `unused`: the layers of the last stack, where OpenMMLab keeps some for each.

    A corner's parts are `single` modules, and `double` ones of two in a row.
    """
    parts = [
        *(f"{name}.{{}}" for name in single),
        *(f"{name}.{{}}{layer}" for name in double for layer in ("0.", "1.")),
    ]
    layers = [f"{at}_{part}" for at in ("tl", "br") for part in parts]
    last, others = f"{stacks - 1}.", [f"{i}." for i in range(stacks - 1)]
    mapping = {f"^bbox_head.{layer.format(last)}": f"bbox_head.{layer.format('')}" for layer in layers}
    return mapping, tuple(f"bbox_head.{layer.format(i)}" for layer in layers for i in others)


_WIDTH = 256


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's CornerHead."""
    section.fixed(corner_emb_channels=1)
    head, distance = read_corners(section, neck, CornerHead, *last_stack(neck.levels[-1] + 1))
    return replace(head, form=Corners(tag_distance=distance))


def read_corners(
    section: Section, neck: Neck, kind: type[CornerHead], mapping: Mapping[str, str], unused: tuple[str, ...]
) -> tuple[Head, float]:
    """Read the keys that heads of corners share; the other value is `distance_threshold`."""
    section.same("in_channels", neck.channels)
    section.same("in_channels", _WIDTH)  # which is that of the branches, whatever comes in
    section.same("num_feat_levels", neck.levels[-1] + 1, 2)
    section.training("loss_heatmap", "loss_embedding", "loss_offset")
    test = section.section("test_cfg") or section.refuse("test_cfg", "a dict")
    test.same("local_maximum_kernel", 3)
    most, peaks = test.integer("max_per_img", least=-1, most=1 << 30), test.integer("corner_topk", most=1000)
    # The threshold has no effect here.
    suppress = replace(read_suppression(test), conf=0.0, max_det=most if 0 < most < ALL else ALL)
    head = Head(
        partial(kind, channels=neck.channels, peaks=peaks),
        section.integer("num_classes"),
        "bbox_head.tl_heat.1.conv.weight",
        Corners(),
        suppress=suppress,
        mapping=mapping,
        unused=unused,
    )
    return head, test.number("distance_threshold")
