"""SimCC's head (Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", arXiv
2107.03332)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..blocks import exact_linear
from ..config.codecs import check_bins, read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section
from .heatmap import HeatmapHead, read_layers


class SimCCHead(nn.Module):
    """The last level to each keypoint's `x` (n, keypoints, w * split) and `y` (n, keypoints, h * split), logits.

    `size` is the input's (h, w). One map per keypoint, at the level's size or upsampled twofold for each of `widths` as
    in SimpleBaseline, feeds one linear layer per axis. These layers run in fp32, since neighbouring bins differ by less
    than the resolution of half precision.
    """

    def __init__(
        self,
        keypoints: int,
        in_channels: int,
        size: tuple[int, int],
        *,
        split: float = 2.0,
        widths: Sequence[int] = (),
        final: int = 1,
        **layers: Any,
    ) -> None:
        super().__init__()
        if widths:
            self.deconv_head = HeatmapHead(keypoints, in_channels, widths, final=final, **layers)
        else:
            self.final_layer = nn.Conv2d(in_channels, keypoints, final, padding=final // 2)
        height, width = size
        cells = (height // 32 << len(widths)) * (width // 32 << len(widths))
        self.mlp_head_x = nn.Linear(cells, int(width * split))
        self.mlp_head_y = nn.Linear(cells, int(height * split))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.deconv_head(levels) if hasattr(self, "deconv_head") else self.final_layer(levels[-1])

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        flat = maps.flatten(2)
        return {"x": exact_linear(flat, self.mlp_head_x), "y": exact_linear(flat, self.mlp_head_y)}


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's SimCCHead."""
    codec = read_codec(section.section("decoder") or section.refuse("decoder", "a codec"))
    check_bins(section, trunk, codec)
    section.fixed(deconv_type="heatmap")
    section.training("deconv_num_groups")
    layers, _ = read_layers(section, trunk)
    upsamples = bool(layers.keywords["widths"])
    if not upsamples and layers.keywords["convs"]:
        section.refuse("conv_out_channels", "None without deconv_out_channels")
    build = partial(SimCCHead, size=codec.size, split=codec.form.split, **layers.keywords)
    classifier = "head.deconv_head.final_layer.weight" if upsamples else "head.final_layer.weight"
    return Head(build, section.integer("out_channels"), classifier, codec.form, size=codec.size)
