"""Feature pyramids: FPN (Lin et al., arXiv 1612.03144), and with a bottom-up path that of PANet (Liu et al., arXiv
1803.01534)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks import ConvNorm
from ..config.norms import normed, read_norm
from ..config.parts import Neck, Trunk
from ..config.section import Section


class FPN(nn.Module):
    """Backbone levels to `levels` pyramid levels P3, P4, ... of equal width.

    Shapes: (n, in_channels[i], h, w) each to (n, channels, h, w); the extra, coarser levels halve the size. The first
    extra level starts from the last "output" (FCOS, ATSS, GFL), from the last "input" (RetinaNet) or from the last
    "lateral"; `relu` comes before each extra level but the first. With "pool" they are every second pixel of the level
    before, and no convolutions. `upsample` is how coarser levels are resized. `lateral_norm` and `norm` are those of
    `ConvNorm` in the first 1x1 convolutions and in all others. With `bottom_up` each level also adds the next finer one
    (PANet, figure 1b), followed by a convolution: a "plain" one except on P3, or a modulated "deformable" one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        levels: int,
        *,
        extra: Literal["output", "input", "lateral", "pool"] = "output",
        relu: bool = False,
        lateral_norm: Literal["bn", "gn"] | None = None,
        norm: Literal["bn", "gn"] | None = None,
        bottom_up: Literal["plain", "deformable"] | None = None,
        upsample: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.extra, self.relu, self.levels, self.bottom_up = extra, relu, levels, bottom_up
        sources = [in_channels[-1] if extra == "input" else channels] + [channels] * (levels - len(in_channels) - 1)
        layer = partial(ConvNorm, norm=norm, relu=False)
        self.lateral_convs = nn.ModuleList(ConvNorm(c, channels, 1, norm=lateral_norm, relu=False) for c in in_channels)
        self.fpn_convs = nn.ModuleList(layer(channels, channels, 3) for _ in in_channels)
        if extra != "pool":
            self.fpn_convs.extend(layer(c, channels, 3, stride=2) for c in sources[: levels - len(in_channels)])
        if bottom_up:
            deformable, steps = bottom_up == "deformable", len(in_channels) - 1
            self.downsample_convs = nn.ModuleList(layer(channels, channels, 3, stride=2) for _ in range(steps))
            self.pafpn_convs = nn.ModuleList(
                layer(channels, channels, 3, deformable=deformable) for _ in range(steps + deformable)
            )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        merged = [conv(x) for conv, x in zip(self.lateral_convs, levels, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            merged[i - 1] = merged[i - 1] + F.interpolate(merged[i], size=merged[i - 1].shape[2:], mode=self.upsample)
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=False)]
        if self.bottom_up:
            for i, conv in enumerate(self.downsample_convs):
                outputs[i + 1] = outputs[i + 1] + conv(outputs[i])
            plain = len(outputs) - len(self.pafpn_convs)
            outputs[plain:] = [conv(x) for conv, x in zip(self.pafpn_convs, outputs[plain:], strict=True)]
        if self.extra == "pool":
            while len(outputs) < self.levels:
                outputs.append(F.max_pool2d(outputs[-1], 1, 2))
            return outputs
        x = {"output": outputs, "input": levels, "lateral": merged}[self.extra][-1]
        for i, conv in enumerate(self.fpn_convs[len(merged) :]):
            x = conv(torch.relu(x) if self.relu and i > 0 else x)
            outputs.append(x)
        return outputs


def from_config(section: Section, trunk: Trunk, network: Callable[..., FPN] = FPN) -> Neck:
    """OpenMMLab's FPN and PAFPN, or another `network` with their keys."""
    count = len(trunk.levels)
    section.same("in_channels", trunk.channels)
    start, end = section.integer("start_level", 0, least=0, most=count - 1), section.integer("end_level", -1, least=-1)
    end = count - 1 if end == -1 else end
    channels, levels = section.integer("out_channels"), section.integer("num_outs", most=16)
    if not start <= end < count or levels < end - start + 1 or (levels > end - start + 1 and end < count - 1):
        section.refuse("num_outs", f"at least a level for each of the backbone's {count} from start_level to end_level")
    norm = read_norm(section, None)
    section.fixed(conv_cfg=None, act_cfg=None)
    modes: dict[Any, Any] = {"nearest": "nearest", "bilinear": "bilinear"}
    upsample, mode = section.section("upsample_cfg"), "nearest"
    if upsample is not None:
        mode = upsample.choice("mode", modes, "nearest")
        upsample.fixed(align_corners=False)
    kind = norm and norm.kind
    build = partial(
        network,
        trunk.channels[start : end + 1],
        channels,
        levels,
        extra=section.choice("add_extra_convs", _EXTRA, False),
        relu=section.flag("relu_before_extra_convs", False),
        lateral_norm=None if section.flag("no_norm_on_lateral", False) else kind,
        norm=kind,
        bottom_up="plain" if section.type == "PAFPN" else None,
        upsample=mode,
    )
    strides = [*trunk.strides[start : end + 1]]
    while len(strides) < levels:
        strides.append(2 * strides[-1])
    return Neck(normed(build, norm), trunk.levels[start : end + 1], channels, tuple(strides))


_EXTRA: dict[Any, Any] = {
    False: "pool",
    True: "input",
    "on_input": "input",
    "on_output": "output",
    "on_lateral": "lateral",
}
"""The source of extra levels for each value of `add_extra_convs`."""
