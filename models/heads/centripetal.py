"""CentripetalNet's head (Dong et al., "CentripetalNet: Pursuing High-quality Keypoint Pairs for Object Detection",
arXiv 2003.09119)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ...deploy.forms import Centripetal
from ...plugins.deform_conv.op import deform_conv
from ..blocks import ConvNorm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..peaks import at_cells
from .corner import CornerHead, branch, last_stack, read_corners


class CentripetalHead(CornerHead):
    """CornerNet's head with shifts towards the object's centre in place of tags.

    `forward` gives, for each corner, `*_heat` and `*_off` as CornerHead, and the logarithms of shifts in cells,
    `*_guiding_shift` and `*_centripetal_shift` (n, 2, h, w). The first ones steer a deformable convolution in front of
    the second ones (section 3.3); `decode` reads the second ones.
    """

    paired_by = ("guiding_shift", 2)

    def __init__(self, classes: int, channels: int = 256, *, pooled: int = 128, peaks: int = 100) -> None:
        super().__init__(classes, channels, pooled=pooled, peaks=peaks)
        for corner in ("tl", "br"):
            setattr(self, f"{corner}_dcn_offset", ConvNorm(2, 18, 1, bias=False, relu=False))
            setattr(self, f"{corner}_feat_adaption", _Adaption(channels))
            setattr(self, f"{corner}_centripetal_shift", branch(channels, 2))

    def maps(self, corner: str, pooled: Tensor) -> dict[str, Tensor]:
        maps = super().maps(corner, pooled)
        offsets = getattr(self, f"{corner}_dcn_offset")(maps["guiding_shift"].detach())
        adapted = getattr(self, f"{corner}_feat_adaption")(pooled, offsets)
        return maps | {"centripetal_shift": getattr(self, f"{corner}_centripetal_shift")(adapted)}

    def pairing(
        self, corner: str, maps: dict[str, Tensor], cells: Tensor, points: Tensor, size: Tensor
    ) -> dict[str, Tensor]:
        """`centres` (n, k, 2) xy px: where each corner expects the centre of its object."""
        shift = at_cells(maps[f"{corner}_centripetal_shift"].float(), cells).exp()
        return {"centres": (points + shift if corner == "tl" else points - shift) * size}


class _Adaption(nn.Module):
    """A 3x3 deformable convolution whose offsets (n, 18, h, w) come from elsewhere; (n, channels, h, w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor, offsets: Tensor) -> Tensor:
        return deform_conv(x, offsets, self.weight, None, None, (1, 1), (1, 1), (1, 1), 1, 1)


SINGLE = ("pool", "dcn_offset", "feat_adaption")
DOUBLE = ("heat", "off", "guiding_shift", "centripetal_shift")


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's CentripetalHead."""
    section.same("corner_emb_channels", 0, 1)
    section.fixed(centripetal_shift_channels=2, guiding_shift_channels=2, feat_adaption_conv_kernel=3)
    section.training("loss_guiding_shift", "loss_centripetal_shift")
    layout = last_stack(neck.levels[-1] + 1, SINGLE, DOUBLE)
    head, distance = read_corners(section, neck, CentripetalHead, *layout)
    if not 0 <= distance <= 1:
        section.refuse("test_cfg", "a distance_threshold of 0 to 1")
    return replace(head, form=Centripetal(spread=distance))
