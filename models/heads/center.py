"""CenterNet's head (Zhou et al., "Objects as Points", arXiv 1904.07850)."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Peaks
from ..config.parts import Head, Neck
from ..config.section import Section
from ..config.thresholds import ALL
from ..peaks import at_cells, cell_points, cell_size, top_peaks


class CenterHead(nn.Module):
    """One map to a heatmap of centres, the size of a box and the offset of its centre, both in cells.

    `forward` gives logits `heat` (n, classes, h, w), `size` (n, 2, h, w) and `offset` (n, 2, h, w). `decode` turns them
    into the network's outputs.
    """

    def __init__(self, classes: int, in_channels: int, channels: int = 64, *, peaks: int = 100) -> None:
        super().__init__()
        self.peaks = peaks
        self.heatmap_head = branch(in_channels, channels, classes, heat=True)
        self.wh_head = branch(in_channels, channels, 2)
        self.offset_head = branch(in_channels, channels, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"heat": self.heatmap_head(x), "size": self.wh_head(x), "offset": self.offset_head(x)}

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        """`boxes` (n, k, 4) xyxy px, `scores` (n, k) and `labels` (n, k) of the k best peaks, best first, in fp32."""
        heat = maps["heat"].float().sigmoid()
        scores, labels, cells = top_peaks(heat, self.peaks)
        centre = cell_points(cells, heat) + at_cells(maps["offset"].float(), cells)
        half = at_cells(maps["size"].float(), cells) / 2
        step = cell_size(canvas, heat)
        return {
            "boxes": torch.cat(((centre - half) * step, (centre + half) * step), -1),
            "scores": scores,
            "labels": labels,
        }


def branch(in_channels: int, channels: int, out_channels: int, *, heat: bool = False) -> nn.Sequential:
    """Two convolutions to one kind of map. The maps of a `heat` map start with a score of 0.1."""
    first, last = nn.Conv2d(in_channels, channels, 3, padding=1), nn.Conv2d(channels, out_channels, 1)
    nn.init.kaiming_normal_(first.weight)
    if heat:
        nn.init.constant_(last.bias, -math.log(9))
    return nn.Sequential(first, nn.ReLU(), last)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's CenterNetHead, which keeps all peaks."""
    section.same("in_channels", neck.channels)
    section.training("loss_center_heatmap", "loss_wh", "loss_offset")
    test = section.section("test_cfg") or section.refuse("test_cfg", "a dict")
    test.same("local_maximum_kernel", 3)
    test.training("max_per_img", "nms", "nms_cfg")  # without effect here
    network = partial(
        CenterHead,
        in_channels=neck.channels,
        channels=section.integer("feat_channels"),
        peaks=test.integer("topk", most=10_000),
    )
    return Head(
        network,
        section.integer("num_classes"),
        "bbox_head.heatmap_head.2.weight",
        Peaks(),
        suppress=Suppress("none", conf=0.0, max_det=ALL),
    )
