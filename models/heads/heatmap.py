"""Heads that predict one map per keypoint (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
arXiv 1804.06208, section 2)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..config.codecs import read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section
from ..necks.deconv import doublings


class HeatmapHead(nn.Module):
    """The last level, upsampled twofold for each of `widths`, to `heatmaps` (n, keypoints, h, w).

    `kernels` and `groups` are those of the transposed convolutions, 4 px and one group each if None. `convs` are the
    (width, kernel) of further convolutions, and `final` is the kernel of the last one, which is absent at 0. `forward`
    returns the raw maps, `decode` the network's outputs.
    """

    per_keypoint = 1
    """The number of channels per keypoint."""

    def __init__(
        self,
        keypoints: int,
        in_channels: int,
        widths: Sequence[int] = (256, 256, 256),
        *,
        kernels: Sequence[int] | None = None,
        groups: Sequence[int] | None = None,
        convs: Sequence[tuple[int, int]] = (),
        final: int = 1,
    ) -> None:
        super().__init__()
        self.deconv_layers = doublings(in_channels, widths, kernels or (4,) * len(widths), groups)
        channels = [in_channels, *widths][-1]
        self.conv_layers = _convolutions(channels, convs)
        channels = convs[-1][0] if convs else channels
        self.final_layer: nn.Module = nn.Identity()
        if final:
            self.final_layer = nn.Conv2d(channels, self.per_keypoint * keypoints, final, padding=final // 2)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.final_layer(self.conv_layers(self.deconv_layers(levels[-1])))

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


def _convolutions(in_channels: int, convs: Sequence[tuple[int, int]]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, kernel in convs:
        layers += [nn.Conv2d(in_channels, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width), nn.ReLU()]
        in_channels = width
    return nn.Sequential(*layers)


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's HeatmapHead and ViPNASHead."""
    codec = read_codec(section.section("decoder") or section.refuse("decoder", "a codec"))
    kind = OffsetHead if codec.form.kind == "offsets" else HeatmapHead
    build, stride = read_layers(section, trunk, kind)
    cells = trunk.cells or (lambda side: -(-side // trunk.strides[-1]))
    height, width = (cells(side) * trunk.strides[-1] // stride for side in codec.size)
    if codec.map_size != (height, width):
        section.refuse("decoder", f"a heatmap_size of ({width}, {height}), that of the maps that this network gives")
    keypoints, rest = divmod(section.integer("out_channels"), kind.per_keypoint)
    if rest:
        section.refuse("out_channels", f"{kind.per_keypoint} for each keypoint")
    return Head(
        build,
        keypoints,
        "head.final_layer.weight",
        codec.form,
        size=codec.size,
        mapping=old_names(len(build.keywords["convs"])),
    )


def stages_from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's CPMHead: a head for each level of the backbone, of which the last one is used.

    Without final layers the levels are maps already, and the parameter that has the keypoints is one of CPM.
    """
    last = len(trunk.all_channels) - 1
    section.same("num_stages", last + 1)
    head = from_config(section.with_defaults(deconv_out_channels=None), trunk)
    layers = {"final_layers": "final_layer", "deconv_layers": "deconv_layers"}
    return replace(
        head,
        classifier="backbone.stem.9.conv.weight" if section.is_none("final_layer") else head.classifier,
        mapping={f"^head.multi_{theirs}.{last}.": f"head.{ours}." for theirs, ours in layers.items()},
        unused=tuple(f"head.multi_{theirs}.{i}." for theirs in layers for i in range(last)),
    )


def old_names(count: int) -> dict[str, str]:
    """For `Variant.mapping`: mmpose 0.x has `count` further convolutions and the final one in one sequence."""
    if not count:
        return {}
    layers = {f"^head.final_layer.{3 * i + j}.": f"head.conv_layers.{3 * i + j}." for i in range(count) for j in (0, 1)}
    return layers | {f"^head.final_layer.{3 * count}.": "head.final_layer."}


def read_layers(
    section: Section, trunk: Trunk, kind: type[HeatmapHead] = HeatmapHead
) -> tuple[partial[nn.Module], int]:
    """Read the layers of a head that predicts maps: a builder for a number of keypoints, and the maps' stride."""
    section.same("in_channels", trunk.channels[-1])
    section.training("loss")
    widths, kernels = read_doublings(section)
    convs: tuple[tuple[int, int], ...] = ()
    if section.integers("conv_out_channels", None):
        wide = section.integers("conv_out_channels")
        convs = tuple(zip(wide, _kernels(section, "conv_kernel_sizes", len(wide), (1, 3, 5, 7)), strict=True))
    else:
        section.training("conv_kernel_sizes")
    final = section.section("final_layer")
    kernel = 1 if final is None else final.choice("kernel_size", {size: size for size in (1, 3, 5, 7)}, 1)
    if final is not None:
        final.same("padding", kernel // 2, 0)
    elif "final_layer" in section:
        if [trunk.channels[-1], *widths][-1] != section.integer("out_channels"):
            section.refuse("final_layer", "a convolution")
        kernel = 0
    build = partial(
        kind,
        in_channels=trunk.channels[-1],
        widths=widths,
        kernels=kernels,
        groups=_groups(section, widths),
        convs=convs,
        final=kernel,
    )
    stride = trunk.strides[-1] >> len(widths)
    return build, stride or section.refuse("deconv_out_channels", "maps no larger than the image")


def _groups(section: Section, widths: Sequence[int]) -> tuple[int, ...] | None:
    """The groups of each transposed convolution, of which only a ViPNASHead has more than one."""
    if section.type != "ViPNASHead":
        return None
    if not widths:
        section.training("deconv_num_groups")
        return None
    groups = section.integers("deconv_num_groups", (16, 16, 16), count=len(widths))
    return groups if min(groups) > 0 else section.refuse("deconv_num_groups", "numbers above 0")


def read_doublings(section: Section) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The width and the kernel of each transposed convolution."""
    usual = (144, 144, 144) if section.type == "ViPNASHead" else (256, 256, 256)
    if section.is_none("deconv_out_channels") or not section.integers("deconv_out_channels", usual):
        section.training("deconv_kernel_sizes")
        return (), ()
    widths = section.integers("deconv_out_channels", usual)
    return widths, _kernels(section, "deconv_kernel_sizes", len(widths), (2, 3, 4), default=(4, 4, 4))


def _kernels(
    section: Section, key: str, count: int, allowed: tuple[int, ...], **default: tuple[int, ...]
) -> tuple[int, ...]:
    kernels = section.integers(key, **default)
    is_known = len(kernels) == count and set(kernels) <= set(allowed)
    return kernels if is_known else section.refuse(key, f"{count} of {', '.join(map(str, allowed))}")
