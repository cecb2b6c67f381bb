"""AutoAssign's head (Zhu et al., "AutoAssign: Differentiable Label Assignment", arXiv 2007.03496)."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..config.dense import GROUPS, check_points, check_strides, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from .fcos import FCOSHead


class AutoAssignHead(FCOSHead):
    """FCOS' improved head with points at the corners of cells, whose `quality` is an implicit objectness.

    Only the training differs from a centerness (section 3.2). Boxes start with distances of four strides.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32, 64, 128),
        stacked: int = 4,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        own = {"improved": True, "bias": True, "offset": 0.0}
        super().__init__(classes, channels, strides=strides, stacked=stacked, norm=norm, in_channels=in_channels, **own)
        nn.init.constant_(self.conv_reg.bias, 4.0)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's AutoAssignHead, which overrides FCOS' options in a configuration."""
    build = read_towers(section, neck, AutoAssignHead, read_norm(section, GROUPS))
    check_points(section)
    check_strides(section, neck)
    section.fixed(dcn_on_last_conv=False)
    section.training("regress_ranges", "center_sampling", "center_sample_radius", "norm_on_bbox", "centerness_on_reg")
    section.training("force_topk", "topk", "pos_loss_weight", "neg_loss_weight", "center_loss_weight", "conv_bias")
    return Head(
        build(strides=neck.strides),
        section.integer("num_classes"),
        "bbox_head.conv_cls.weight",
        Dense(neck.strides),
        Fusion(1.0, 1.0),
        unused=("bbox_head.center_prior.",),
    )
