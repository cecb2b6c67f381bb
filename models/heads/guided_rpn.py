"""The region proposal network with guided anchors (Wang et al., "Region Proposal by Guided Anchoring", arXiv
1901.03278)."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..anchors import Anchors
from ..blocks import start_head
from ..coders import deltas_to_boxes
from ..config.dense import read_deltas, read_squares
from ..config.parts import Neck
from ..config.section import Section
from ..points import points_first
from ..proposals import USUAL, ProposalRule, Proposals, rows_at
from .guided import GROUPS, RARE, FeatureAdaption, guided, likely
from .rpn import read_rule

_SHAPE_STDS, _STDS = (0.07, 0.07, 0.14, 0.14), (0.07, 0.07, 0.11, 0.11)


class GuidedRPNHead(nn.Module):
    """Pyramid levels to the regions in which there may be an object, for one predicted anchor a cell.

    `forward` gives raw logits per level: `objects` (n, 1, h, w), `deltas` (n, 4, h, w), `shape` (n, 2, h, w), the
    logarithms of how much wider and taller the anchor is than its square, over their stds, and `centre` (n, 1, h, w),
    whether the cell holds an object's centre. `propose` turns them into proposals by the `rule`.
    """

    def __init__(
        self,
        channels: int = 256,
        *,
        anchors: Anchors,
        rule: ProposalRule = USUAL,
        stds: Sequence[float] = _STDS,
        shape_stds: Sequence[float] = _SHAPE_STDS,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.anchors, self.rule, self.stds, self.shape_stds = anchors, rule, tuple(stds), tuple(shape_stds)
        self.rpn_conv = nn.Conv2d(in_channels or channels, channels, 3, padding=1)
        self.conv_loc, self.conv_shape = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 2, 1)
        self.feature_adaption = FeatureAdaption(channels)
        self.conv_cls, self.conv_reg = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 4, 1)
        start_head(self, self.conv_cls, prior=0.5)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"objects": [], "deltas": [], "shape": [], "centre": []}
        for x in levels:
            x = torch.relu(self.rpn_conv(x))
            shape = self.conv_shape(x)
            adapted = self.feature_adaption(x, shape)
            logits["objects"].append(self.conv_cls(adapted))
            logits["deltas"].append(self.conv_reg(adapted))
            logits["shape"].append(shape)
            logits["centre"].append(self.conv_loc(x))
        return logits

    def propose(self, logits: dict[str, list[Tensor]], image_size: Tensor) -> Proposals:
        """The proposals in images of (height, width) px (n, 2), in fp32."""
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        anchors = self.anchors.levels([x.shape[2:] for x in logits["objects"]], image_size)
        for squares, *level in zip(anchors, *logits.values(), strict=True):
            objects, deltas, shape, centre = (points_first([x]).float() for x in level)
            best, places = self.rule.best(torch.where(likely(centre), objects.sigmoid(), 0.0).flatten(1))
            growth = shape * shape.new_tensor(self.shape_stds[2:])
            rows, priors = (rows_at(values, places) for values in (deltas, guided(squares, growth)))
            boxes.append(deltas_to_boxes(rows, priors, self.stds))
            scores.append(best)
        return self.rule(boxes, scores, image_size)


def from_config(section: Section, neck: Neck, test: Section) -> Callable[[], GuidedRPNHead]:
    """OpenMMLab's GARPNHead; `test` selects its proposals."""
    section.same("in_channels", neck.channels)
    section.training("approx_anchor_generator", "reg_decoded_bbox", "loss_loc", "loss_shape", "loss_bbox", "loss_cls")
    section.fixed(num_classes=1, deform_groups=GROUPS, loc_filter_thr=RARE)
    return partial(
        GuidedRPNHead,
        section.integer("feat_channels", 256),
        anchors=read_squares(section, neck, "square_anchor_generator"),
        rule=read_rule(test),
        stds=read_deltas(section, _ONES),
        shape_stds=read_deltas(section, _ONES, "anchor_coder"),
        in_channels=neck.channels,
    )


_ONES = (1.0, 1.0, 1.0, 1.0)
