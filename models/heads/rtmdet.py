"""RTMDet's head (Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", arXiv 2212.07784,
section 3.2)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ...deploy.forms import Dense
from ..blocks import ConvAct, Norm, start_head
from ..coders import distances_to_boxes
from ..config.dense import check_classes, check_points
from ..config.norms import batch_norm, normed
from ..config.parts import Head, Neck
from ..config.section import Section
from ..config.trunks import check_activation
from ..csp import Convolution, Separable
from ..points import grid_points, points_first


class RTMDetHead(nn.Module):
    """Pyramid levels to class scores and boxes for every point.

    Training shares the convolutions, but not the norms, between levels. Checkpoints store the convolutions once per
    level, and so does this head. `forward` gives per level `classes` (n, classes, h, w), logits, and `sides`
    (n, 4, h, w), distances from the point to the sides of its box in strides, or with `exponential` their logarithms.
    `conv` builds the layers of the branches.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 2,
        exponential: bool = False,
        conv: Convolution = ConvAct,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides, self.exponential = tuple(strides), exponential
        widths = [in_channels or channels] + [channels] * (stacked - 1)

        def branches() -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(*(conv(width, channels, 3) for width in widths)) for _ in strides)

        self.cls_convs, self.reg_convs = branches(), branches()
        self.rtm_cls = nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in strides)
        self.rtm_reg = nn.ModuleList(nn.Conv2d(channels, 4, 1) for _ in strides)
        for classifier in self.rtm_cls:
            start_head(classifier, classifier)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        classes = [convs(x) for convs, x in zip(self.cls_convs, levels, strict=True)]
        boxes = [convs(x) for convs, x in zip(self.reg_convs, levels, strict=True)]
        return {
            "classes": [conv(x) for conv, x in zip(self.rtm_cls, classes, strict=True)],
            "sides": [conv(x) for conv, x in zip(self.rtm_reg, boxes, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, flat["sides"])
        ltrb = (flat["sides"].exp() if self.exponential else flat["sides"]) * strides
        return {"boxes": distances_to_boxes(ltrb, points), "scores": flat["classes"].sigmoid()}


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's RTMDetSepBNHead."""
    section.same("in_channels", neck.channels)
    section.fixed(conv_cfg=None, pred_kernel_size=1)
    section.same("with_objectness", False)
    section.training("share_conv", "reg_decoded_bbox")
    check_classes(section)
    check_points(section)
    check_activation(section, "SiLU", "Swish")
    if points := section.section("anchor_generator"):
        points.typed("MlvlPointGenerator")
        points.same("strides", neck.strides)
        points.same("offset", 0, 0.5)
    else:
        section.refuse("anchor_generator", "a MlvlPointGenerator")
    network = partial(
        RTMDetHead,
        channels=section.integer("feat_channels", 256),
        in_channels=neck.channels,
        strides=neck.strides,
        stacked=section.integer("stacked_convs", 4, most=64),
        exponential=section.flag("exp_on_reg", False),
        conv=Separable if section.flag("use_depthwise", False) else ConvAct,
    )
    return Head(
        normed(network, batch_norm(section, Norm("bn", 1e-3))),
        section.integer("num_classes"),
        "bbox_head.rtm_cls.0.weight",
        Dense(neck.strides),
    )
