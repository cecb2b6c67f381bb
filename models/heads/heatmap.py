"""Heads that predict one map per keypoint (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
arXiv 1804.06208, section 2)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..config.codecs import read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section


class HeatmapHead(nn.Module):
    """The last level, upsampled twofold for each of `widths`, to `heatmaps` (n, keypoints, h, w).

    `forward` returns the raw maps, `decode` the network's outputs.
    """

    per_keypoint = 1
    """The number of channels per keypoint."""

    def __init__(self, keypoints: int, in_channels: int, widths: Sequence[int] = (256, 256, 256)) -> None:
        super().__init__()
        self.deconv_layers = _doublings(in_channels, widths)
        self.final_layer = nn.Conv2d([in_channels, *widths][-1], self.per_keypoint * keypoints, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.final_layer(self.deconv_layers(levels[-1]))

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        return {"heatmaps": maps.float()}


class OffsetHead(HeatmapHead):
    """A heatmap head that also predicts `offsets` (n, keypoints, 2, h, w). Channels are (map, dx, dy) per keypoint."""

    per_keypoint = 3

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        groups = maps.float().unflatten(1, (-1, 3))
        return {"heatmaps": groups[:, :, 0], "offsets": groups[:, :, 1:]}


class VotingHead(OffsetHead):
    """An offset head at the size of the crop, 8 times the level's up to the last pixel's centre. The map of a pixel is
    the probability that it is near the keypoint, its offset the distance in px (arXiv 1701.01779, section 3.2)."""

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        size = [8 * (side - 1) + 1 for side in maps.shape[2:]]
        outputs = super().decode(F.interpolate(maps.float(), size, mode="bilinear", align_corners=True))
        return outputs | {"heatmaps": outputs["heatmaps"].sigmoid()}


class LateralHead(HeatmapHead):
    """A heatmap head that adds the backbone's finer levels during upsampling, as in an FPN (Lin et al., arXiv
    1612.03144), so that sub-pixel positions need not pass through the coarsest level."""

    def __init__(self, keypoints: int, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__(keypoints, channels[-1], widths)
        finer = zip(channels[-2::-1], widths, strict=True)
        self.lateral_layers = nn.ModuleList(nn.Conv2d(level, width, 1) for level, width in finer)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        x = levels[-1]
        for i, (lateral, level) in enumerate(zip(self.lateral_layers, levels[-2::-1], strict=True)):
            up, norm, relu = (self.deconv_layers[3 * i + j] for j in range(3))
            x = relu(norm(up(x)) + lateral(level))
        return self.final_layer(x)


def _doublings(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [doubling(in_channels, width), nn.BatchNorm2d(width), nn.ReLU()]
        in_channels = width
    return nn.Sequential(*layers)


def doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size: (n, c, h, w) to (n, c', 2h, 2w)."""
    up = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False)
    nn.init.normal_(up.weight, std=(2 * in_channels) ** -0.5)  # Each pixel sums four taps per channel.
    return up


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's HeatmapHead."""
    codec = read_codec(section.section("decoder") or section.refuse("decoder", "a codec"))
    section.same("in_channels", trunk.channels[-1])
    section.training("loss")
    widths = read_widths(section)
    stride = trunk.strides[-1] >> len(widths)
    if codec.map_size != tuple(side // stride for side in codec.size):
        section.refuse("decoder", f"a heatmap_size of the input's over {stride}, the maps that this network gives")
    kind = OffsetHead if codec.form.kind == "offsets" else HeatmapHead
    keypoints, rest = divmod(section.integer("out_channels"), kind.per_keypoint)
    if rest:
        section.refuse("out_channels", f"{kind.per_keypoint} for each keypoint")
    build = partial(kind, in_channels=trunk.channels[-1], widths=widths)
    return Head(build, keypoints, "head.final_layer.weight", codec.form, size=codec.size)


def read_widths(section: Section) -> tuple[int, ...]:
    """The width of each transposed convolution. Refuses other properties that are not the default."""
    section.fixed(conv_out_channels=None, conv_kernel_sizes=None)
    if section.is_none("deconv_out_channels"):
        widths: tuple[int, ...] = ()
        section.training("deconv_kernel_sizes")
    else:
        widths = section.integers("deconv_out_channels", (256, 256, 256))
        section.fixed(deconv_kernel_sizes=(4,) * len(widths))
    final = section.section("final_layer")
    if final is None and "final_layer" in section:
        section.refuse("final_layer", "a convolution of kernel_size 1")
    if final is not None:
        final.fixed(kernel_size=1, padding=0)
    return widths
