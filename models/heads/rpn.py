"""The region proposal network (Ren et al., "Faster R-CNN", arXiv 1506.01497)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ..anchors import Anchors, FittedAnchors
from ..blocks import start_head, tower
from ..coders import deltas_to_boxes
from ..config.dense import read_anchors, read_deltas
from ..config.parts import Neck
from ..config.section import Section
from ..points import points_first
from ..proposals import USUAL, ProposalRule, Proposals, rows_at


class RPNHead(nn.Module):
    """Pyramid levels to the regions in which there may be an object.

    `forward` gives raw logits per level, anchor by anchor: `objects` (n, anchors, h, w), or with `softmax` those of an
    object and of none (n, anchors * 2, h, w), and `deltas` (n, anchors * 4, h, w). `propose` turns them into proposals
    by the `rule`. There are `depth` convolutions before.
    """

    def __init__(
        self,
        channels: int = 256,
        *,
        anchors: Anchors | FittedAnchors,
        rule: ProposalRule = USUAL,
        stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        in_channels: int | None = None,
        depth: int = 1,
        softmax: bool = False,
    ) -> None:
        super().__init__()
        self.anchors, self.rule, self.stds, self.softmax = anchors, rule, tuple(stds), softmax
        if depth == 1:
            self.rpn_conv = nn.Conv2d(in_channels or channels, channels, 3, padding=1)
        else:
            self.rpn_conv = tower(channels, depth, norm=None, in_channels=in_channels)
        self.rpn_cls = nn.Conv2d(channels, anchors.per_cell * (1 + softmax), 1)
        self.rpn_reg = nn.Conv2d(channels, anchors.per_cell * 4, 1)
        start_head(self, self.rpn_cls, prior=0.5)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        features = [torch.relu(self.rpn_conv(x)) for x in levels]
        return {
            "objects": [self.rpn_cls(x) for x in features],
            "deltas": [self.rpn_reg(x) for x in features],
        }

    def propose(self, logits: dict[str, list[Tensor]], image_size: Tensor) -> Proposals:
        """The proposals in images of (height, width) px (n, 2), in fp32."""
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        sizes = [x.shape[2:] for x in logits["objects"]]
        anchors = self.anchors.levels(sizes, image_size)
        for priors, objects, deltas in zip(anchors, logits["objects"], logits["deltas"], strict=True):
            found = points_first([objects]).float()
            found = found.unflatten(-1, (-1, 2)).softmax(-1)[..., 0] if self.softmax else found.sigmoid()
            best, places = self.rule.best(found.flatten(1))
            rows = points_first([deltas]).float().unflatten(-1, (-1, 4)).flatten(1, 2)
            boxes.append(deltas_to_boxes(rows_at(rows, places), priors[places], self.stds, self.anchors.inclusive))
            scores.append(best)
        return self.rule(boxes, scores, image_size)


def from_config(section: Section, neck: Neck, test: Section) -> Callable[[], RPNHead]:
    """OpenMMLab's RPNHead; `test` selects its proposals."""
    section.same("in_channels", neck.channels)
    section.fixed(num_classes=1, num_convs=1)
    section.training("loss_bbox")
    loss, coder = section.section("loss_cls"), section.section("bbox_coder")
    softmax = loss is not None and not loss.flag("use_sigmoid", False)
    if loss is not None:
        loss.rest_trains()
    clips = coder is None or coder.flag("clip_border", True)
    return partial(
        RPNHead,
        section.integer("feat_channels", 256),
        anchors=read_anchors(section, neck),
        rule=replace(read_rule(test), clips=clips),
        stds=read_deltas(section, (1.0, 1.0, 1.0, 1.0), clips=clips),
        in_channels=neck.channels,
        softmax=softmax,
    )


def read_rule(test: Section) -> ProposalRule:
    """The selection of proposals, also as mmdet wrote it before 2.4."""
    test.fixed(nms_across_levels=False)
    count = test.integer("max_per_img" if "max_per_img" in test else "max_num", most=20_000)
    if test.integer("nms_post", count, most=1 << 30) < count:
        test.refuse("nms_post", "at least max_per_img")
    top_k = test.integer("nms_pre", most=20_000)
    least = test.number("min_bbox_size", 0.0)
    if least < 0:
        test.refuse("min_bbox_size", "0 or more")
    if "nms_thr" in test:
        return ProposalRule(top_k, test.number("nms_thr"), count, least=least)
    nms = test.section("nms") or test.refuse("nms", "a dict with its type")
    nms.typed("nms", default="nms")
    return ProposalRule(top_k, nms.number("iou_thr" if "iou_thr" in nms else "iou_threshold"), count, least=least)
