"""CID's head (Wang et al., "Contextual Instance Decoupling for Robust Multi-Person Pose Estimation", CVPR 2022), with
mmpose's parameter names."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.forms import People
from ..blocks import exact_conv, exact_linear
from ..config.codecs import read_size
from ..config.parts import Head, Trunk
from ..config.section import Section
from ..peaks import at_cells, cell_points
from ..skeletons import COCO_PERSON

_LEAST = 1e-4
"""Probabilities are at least as far from 0 and 1."""


class Roots(nn.Module):
    """One map to probabilities of keypoints and people's centres: (n, c, h, w) to (n, keypoints + 1, h, w)."""

    def __init__(self, keypoints: int, in_channels: int) -> None:
        super().__init__()
        self.keypoint_root_conv = nn.Conv2d(in_channels, keypoints + 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return probabilities(exact_conv(x, self.keypoint_root_conv))


class SpatialAttention(nn.Module):
    """Where in a map a person is: features at their centre (p, in_channels) to a mask (p, 1, h, w) of a map.

    The map is (p, channels, h, w), and `centres` (p, 2) xy are in its cells.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.atn = nn.Linear(in_channels, channels)
        self.conv = nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, x: Tensor, features: Tensor, centres: Tensor) -> Tensor:
        alike = (x * exact_linear(features, self.atn)[:, :, None, None]).sum(1, keepdim=True)
        rows = torch.arange(x.shape[2], device=x.device, dtype=torch.float32) + 0.5
        columns = torch.arange(x.shape[3], device=x.device, dtype=torch.float32) + 0.5
        across = (centres[:, 0, None] - columns)[:, None, None] + torch.zeros_like(rows)[:, None]
        down = (centres[:, 1, None] - rows)[:, None, :, None] + torch.zeros_like(columns)
        near = torch.cat((across, down), 1) / _REACH
        return exact_conv(torch.cat((alike, near), 1), self.conv).sigmoid()


_REACH = 32.0
"""Distances from a centre are in units of so many cells."""


class Decoupling(nn.Module):
    """One map to heatmaps of each person's keypoints (section 3.3).

    In half precision the probabilities of neighbours would be equal, so all but the first layer runs in fp32.
    """

    def __init__(self, keypoints: int, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_down = nn.Conv2d(in_channels, channels, 1)
        self.channel_attention = nn.Module()
        self.channel_attention.atn = nn.Linear(in_channels, channels)
        self.spatial_attention = SpatialAttention(in_channels, channels)
        self.fuse_attention = nn.Conv2d(2 * channels, channels, 1)
        self.heatmap_conv = nn.Conv2d(channels, keypoints, 1)

    def forward(self, x: Tensor, features: Tensor, centres: Tensor) -> Tensor:
        """Shapes: x (n, in_channels, h, w), features (n, p, in_channels) and centres (n, p, 2) xy to
        (n * p, keypoints, h, w)."""
        people = features.shape[1]
        features, centres = features.flatten(0, 1), centres.flatten(0, 1)
        x = self.conv_down(x).float()[:, None].expand(-1, people, -1, -1, -1).flatten(0, 1)
        by_channel = x * exact_linear(features, self.channel_attention.atn)[:, :, None, None]
        by_place = x * self.spatial_attention(x, features, centres)
        fused = torch.relu(exact_conv(torch.cat((by_channel, by_place), 1), self.fuse_attention))
        return probabilities(exact_conv(fused, self.heatmap_conv))


class CIDHead(nn.Module):
    """One map to the `people` best people, from their centres and heatmaps of each one's keypoints.

    `forward` gives `points` (n, p, 2) xy in cells, `scores` (n, p) and `heatmaps` (n * p, keypoints, h, w) of people,
    averaged over both views if there are two. `order` is for each keypoint the index of the one that replaces it in the
    mirrored view. `decode` turns them into the outputs of the form `people`. The map has `stride` px per cell.
    """

    def __init__(
        self,
        keypoints: int,
        in_channels: int,
        order: Sequence[int],
        *,
        channels: int = 32,
        people: int = 30,
        stride: int = 4,
    ) -> None:
        super().__init__()
        self.order, self.people, self.stride = list(order), people, stride
        self.iia_module = Roots(keypoints, in_channels)
        self.gfd_module = Decoupling(keypoints, in_channels, channels)

    def forward(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """From the map of the image, and maybe that of the mirrored image, mirrored back."""
        centres = torch.stack([self.iia_module(x)[:, -1:] for x in views]).mean(0)
        scores, cells = self._people(smoothed(centres))
        points = cell_points(cells, centres)
        plain, *others = (self.gfd_module(x, at_cells(x, cells), points) for x in views)
        for other in others:
            plain = (plain + other[:, self.order]) / 2
        return {"scores": scores, "points": points, "heatmaps": smoothed(plain)}

    def decode(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        scores, heatmaps = found["scores"], found["heatmaps"]
        keypoints, height, width = heatmaps.shape[1:]
        flat = heatmaps.flatten(2)
        values, index = flat.max(2)
        rows = index // width
        columns = index - rows * width
        steps: list[Tensor] = []
        for place, side, pixel in ((columns, width, 1), (rows, height, width)):
            inner = (place > 1) & (place < side - 1)
            # The other axis only needs to be away from the first row or column.
            inner = inner & ((rows if pixel == 1 else columns) > 0)
            near = [
                flat.gather(2, (index + step).clamp(0, height * width - 1)[..., None])[..., 0]
                for step in (pixel, -pixel)
            ]
            steps.append(torch.where(inner, (near[0] - near[1]).sign() * 0.25, 0.0))
        places = torch.stack((columns + steps[0], rows + steps[1]), -1)
        shape = (*scores.shape, keypoints)
        return {
            "centres": (found["points"] + 0.5) * self.stride,
            "scores": scores,
            "labels": torch.zeros_like(scores, dtype=torch.int64),
            "keypoints": ((places + 0.5) * self.stride).reshape(*scores.shape, 2 * keypoints),
            "keypoint_scores": values.reshape(shape) * scores[..., None],
        }

    def _people(self, heat: Tensor) -> tuple[Tensor, Tensor]:
        """The scores (n, p) and cells (n, p) of the best maxima of a map (n, 1, h, w).

        They are not exceeded within a square of 3 px, of 5 px on maps whose mean side is longer than 200 px, and of
        7 px beyond 300 px.
        """
        side = torch.cat([heat.new_full((1,), length) for length in heat.shape[2:]]).mean()
        highest = F.max_pool2d(heat, 3, 1, 1)
        wider = F.max_pool2d(highest, 3, 1, 1)
        highest = torch.where(side > 200, wider, highest)
        highest = torch.where(side > 300, F.max_pool2d(wider, 3, 1, 1), highest)
        peaks = torch.where(highest == heat, heat, 0.0)
        scores, cells = F.pad(peaks.flatten(1), (0, self.people)).topk(self.people)
        return scores, cells.clamp(max=heat.shape[2] * heat.shape[3] - 1)


def smoothed(maps: Tensor) -> Tensor:
    """The mean of maps (n, c, h, w) and their means over 3x3 px, where outside the map there are zeros."""
    return (maps + F.avg_pool2d(maps, 3, 1, 1)) / 2


def probabilities(logits: Tensor) -> Tensor:
    """Logits to probabilities that are neither 0 nor 1."""
    return logits.sigmoid().clamp(_LEAST, 1 - _LEAST)


OLD_NAMES = {
    "^head.keypoint_center_conv.": "head.iia_module.keypoint_root_conv.",
    "^head.c_attn.": "head.gfd_module.channel_attention.",
    "^head.s_attn.": "head.gfd_module.spatial_attention.",
    "^head.fuse_attn.": "head.gfd_module.fuse_attention.",
    **{f"^head.{name}.": f"head.gfd_module.{name}." for name in ("conv_down", "heatmap_conv")},
}
"""For `Variant.mapping`: the names before mmpose 1.0."""


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's CIDHead."""
    section.same("in_channels", trunk.channels[-1])
    section.training("prior_prob", "coupled_heatmap_loss", "decoupled_heatmap_loss", "contrastive_loss")
    keypoints, stride = section.integer("num_keypoints", most=4096), trunk.strides[-1]
    decoder = section.section("decoder") or section.refuse("decoder", "a DecoupledHeatmap")
    decoder.typed("DecoupledHeatmap")
    decoder.training("root_type", "heatmap_min_overlap", "encode_max_instances", "background_weight")
    size = read_size(decoder)
    decoder.same("heatmap_size", (size[1] // stride, size[0] // stride))
    people, form, flip = 30, People(), False
    if (test := section.section("test_cfg")) is not None:
        test.fixed(multiscale_test=False, blur_kernel_size=3)
        test.training("shift_heatmap", "align_corners", "output_heatmaps")  # without effect in this head
        people, flip = test.integer("max_instances", 30, most=1000), test.flag("flip_test", False)
        form = People(float(test.number("score_threshold", 0.01)))
    order = COCO_PERSON.mirrored()
    if not flip:
        order = range(keypoints)
    elif keypoints != len(order):
        section.refuse("num_keypoints", f"{len(order)}, COCO's keypoints, with flip_test")
    channels = section.integer("gfd_channels")
    build = partial(
        CIDHead, in_channels=trunk.channels[-1], order=order, channels=channels, people=people, stride=stride
    )
    key = "head.gfd_module.heatmap_conv.weight"
    return Head(build, keypoints, key, form, size=size, mapping=OLD_NAMES, mirrors=tuple(order) if flip else None)
