"""ATSS' head (Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", arXiv 1912.02424)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..blocks import Scale, start_head, tower
from ..coders import deltas_to_boxes
from ..config.dense import GROUPS, read_anchors, read_deltas, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..config.thresholds import read_thresholds
from ..points import points_first

_STDS = (0.1, 0.1, 0.2, 0.2)


class ATSSHead(nn.Module):
    """Pyramid levels to class scores, boxes and centerness for the one anchor of every cell.

    `forward` gives raw logits per level: `classes` (n, classes, h, w), `deltas` (n, 4, h, w) and `quality`
    (n, 1, h, w). The authors' code has `inclusive` boxes, `bias` in the branches, and `deformable` last convolutions of
    both branches. Deltas are in units of `stds`. `kernel` is the kernel size of the last layers.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        anchors: Anchors,
        stacked: int = 4,
        inclusive: bool = False,
        bias: bool = False,
        deformable: bool = False,
        stds: Sequence[float] = _STDS,
        kernel: int = 3,
        norm: Literal["bn", "gn"] | None = "gn",
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.anchors, self.inclusive, self.stds = anchors, inclusive, tuple(stds)
        branch = partial(tower, bias=bias or None, deformable=deformable, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(channels, stacked), branch(channels, stacked)
        self.atss_cls = nn.Conv2d(channels, classes, kernel, padding=kernel // 2)
        self.atss_reg = nn.Conv2d(channels, 4, kernel, padding=kernel // 2)
        self.atss_centerness = nn.Conv2d(channels, 1, kernel, padding=kernel // 2)
        self.scales = nn.ModuleList(Scale() for _ in anchors.strides)
        start_head(self, self.atss_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        boxes = [self.reg_convs(x) for x in levels]
        return {
            "classes": [self.atss_cls(self.cls_convs(x)) for x in levels],
            "deltas": [scale(self.atss_reg(x)) for x, scale in zip(boxes, self.scales, strict=True)],
            "quality": [self.atss_centerness(x) for x in boxes],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the centerness as `quality` (n, a), in fp32."""
        classes, deltas, quality = (points_first(logits[name]).float() for name in ("classes", "deltas", "quality"))
        anchors = self.anchors([x.shape[2:] for x in logits["deltas"]], deltas)
        boxes = deltas_to_boxes(deltas, anchors, self.stds, self.inclusive)
        return {"boxes": boxes, "scores": classes.sigmoid(), "quality": quality.sigmoid().squeeze(-1)}


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's ATSSHead, PAAHead and LADHead."""
    anchors = read_anchors(section, neck)
    if anchors.per_cell > 1:
        section.refuse("anchor_generator", "one anchor a cell")
    section.training("reg_decoded_bbox")
    build = read_towers(section, neck, ATSSHead, read_norm(section, GROUPS))
    stds, kernel = read_deltas(section, (1.0, 1.0, 1.0, 1.0)), section.choice("pred_kernel_size", {1: 1, 3: 3, 5: 5}, 3)
    head = Head(
        build(anchors=anchors, stds=stds, kernel=kernel),
        section.integer("num_classes"),
        "bbox_head.atss_cls.weight",
        Dense(neck.strides),
        Fusion(1.0, 1.0),
        unused=("teacher_model.",),
    )
    return head if section.type == "ATSSHead" else _of_paa(section, head)


def _of_paa(section: Section, head: Head) -> Head:
    """The head with PAA's rule, whose scores are square roots and whose boxes vote (arXiv 2007.08103, section 3.3)."""
    section.training("topk", "covariance_type")
    test = section.section("test_cfg") or section.refuse("test_cfg", "a dict")
    test.training("score_voting")  # the head has its own, which counts
    suppress, top_k = read_thresholds(test)
    return replace(
        head,
        form=replace(head.form, unit="points", top_k=top_k),
        fusion=Fusion(0.5, 0.5, threshold_by="fused", rank_by="fused"),
        suppress=replace(suppress, voting=section.flag("score_voting", True)),
    )
