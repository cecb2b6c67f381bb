"""SABL's dense head (Wang et al., "Side-Aware Boundary Localization for More Precise Object Detection", arXiv
1912.04260): each side of a box is a bucket near the anchor's side, and an offset within it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..blocks import start_head
from ..config.dense import read_squares, read_towers
from ..config.norms import read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import points_first
from .squares import SquareAnchorHead

_BUCKETS = 14  # across a grown anchor; half of them lie on each side
_GROWTH = 3.0


class SABLHead(SquareAnchorHead):
    """Pyramid levels to class scores, boxes and their confidence, for one square anchor per cell.

    `forward` gives raw logits per level: `classes` (n, classes, h, w), `buckets` and `offsets` (n, 4 * 7, h, w), side
    by side as left, right, top, bottom. `norm` is that of the branches.
    """

    def __init__(self, classes: int, channels: int = 256, **branches: Any) -> None:
        super().__init__(channels, **branches)
        self.retina_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.retina_bbox_reg = nn.Conv2d(channels, 2 * _BUCKETS, 3, padding=1)
        self.retina_bbox_cls = nn.Conv2d(channels, 2 * _BUCKETS, 3, padding=1)
        start_head(self, self.retina_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        boxes = [self.reg_convs(x) for x in levels]
        return {
            "classes": [self.retina_cls(self.cls_convs(x)) for x in levels],
            "buckets": [self.retina_bbox_cls(x) for x in boxes],
            "offsets": [self.retina_bbox_reg(x) for x in boxes],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        anchors = self.anchors([x.shape[2:] for x in logits["buckets"]], flat["buckets"])
        boxes, quality = sides_to_boxes(flat["buckets"], flat["offsets"], anchors, _GROWTH)
        return {"boxes": boxes, "scores": flat["classes"].sigmoid(), "quality": quality}


def sides_to_boxes(buckets: Tensor, offsets: Tensor, priors: Tensor, growth: float) -> tuple[Tensor, Tensor]:
    """Boxes (n, a, 4) xyxy px and their confidence (n, a) from raw buckets and offsets (n, a, 4 * buckets per side).

    The buckets are those of priors ([n,] a, 4) cxcywh px whose sides are `growth` times as long.
    """
    buckets, offsets = buckets.unflatten(-1, (4, -1)), offsets.unflatten(-1, (4, -1))
    (best, second), (bucket, other) = (x.unbind(-1) for x in buckets.softmax(-1).topk(2))
    # A side on the border of two buckets is no less sure (section 3.3).
    sure = best + torch.where((bucket - other).abs() == 1, second, 0.0)
    inwards = 0.5 + bucket - _signed(offsets.gather(-1, bucket[..., None]).squeeze(-1))
    return _boxes(priors, inwards, growth, 2 * buckets.shape[-1]), sure.mean(-1)


def _signed(offsets: Tensor) -> Tensor:
    """Offsets (n, a, 4) to the right and to the bottom as offsets to the left and to the top, inwards for either."""
    return offsets * offsets.new_tensor((1.0, -1.0, 1.0, -1.0))


def _boxes(priors: Tensor, inwards: Tensor, growth: float, buckets: int) -> Tensor:
    """Boxes (n, a, 4) xyxy px whose sides lie so many buckets within grown priors ([n,] a, 4) cxcywh px."""
    sides = priors[..., 2:] * growth
    steps = inwards.unflatten(-1, (2, 2)) * (sides / buckets)[..., None]
    low, high = priors[..., :2] - sides / 2, priors[..., :2] + sides / 2
    return torch.cat((low + steps[..., 0], high - steps[..., 1]), -1)


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's SABLRetinaHead."""
    squares = read_squares(section, neck, "square_anchor_generator", Anchors(ratios=(1.0,), scales=(4.0,)))
    section.training("approx_anchor_generator", "reg_decoded_bbox", "loss_bbox_cls", "loss_bbox_reg")
    if coder := section.section("bbox_coder"):
        coder.typed("BucketingBBoxCoder")
        coder.same("num_buckets", _BUCKETS)
        coder.same("scale_factor", _GROWTH)
        coder.fixed(cls_ignore_neighbor=True, clip_border=True)
        coder.training("offset_topk", "offset_upperbound")
    build = read_towers(section, neck, SABLHead, read_norm(section, None))
    return Head(
        build(anchors=squares),
        section.integer("num_classes"),
        "bbox_head.retina_cls.weight",
        Dense(neck.strides, clip="last_pixel"),
        Fusion(1.0, 1.0),
    )
