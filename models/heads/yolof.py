"""YOLOF's head (Chen et al., "You Only Look One-level Feature", arXiv 2103.09460, section 4.2)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..blocks import start_head, tower
from ..coders import deltas_to_boxes
from ..config.dense import check_classes, read_anchors
from ..config.norms import batch_norm, normed
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import points_first

_MAX_SHIFT = 32.0  # px, of a box's centre from its anchor's


class YOLOFHead(nn.Module):
    """One level to class scores, boxes and objectness for every anchor.

    `forward` gives raw logits of the level, anchor by anchor, each in a list of one: `classes`
    (n, anchors * classes, h, w), `deltas` (n, anchors * 4, h, w) and `quality`, the objectness, (n, anchors, h, w).
    `stacked` is the number of convolutions before those of classes and of boxes.
    """

    def __init__(
        self, classes: int, channels: int = 512, *, anchors: Anchors, stacked: tuple[int, int] = (2, 4)
    ) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        self.cls_subnet, self.bbox_subnet = (tower(channels, depth, norm="bn") for depth in stacked)
        self.cls_score = nn.Conv2d(channels, anchors.per_cell * classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, anchors.per_cell * 4, 3, padding=1)
        self.object_pred = nn.Conv2d(channels, anchors.per_cell, 3, padding=1)
        start_head(self, self.cls_score)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        (x,) = levels
        boxes = self.bbox_subnet(x)
        return {
            "classes": [self.cls_score(self.cls_subnet(x))],
            "deltas": [self.bbox_pred(boxes)],
            "quality": [self.object_pred(boxes)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        deltas = flat["deltas"].reshape(flat["deltas"].shape[0], -1, 4)
        anchors = self.anchors([x.shape[2:] for x in logits["deltas"]], deltas)
        return {
            "boxes": deltas_to_boxes(deltas, anchors, max_shift=_MAX_SHIFT),
            "scores": flat["classes"].sigmoid().reshape(deltas.shape[0], -1, self.classes),
            "quality": flat["quality"].sigmoid().flatten(1),
        }


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's YOLOFHead."""
    section.same("in_channels", neck.channels)
    check_classes(section)
    section.training("reg_decoded_bbox", "feat_channels")
    anchors = read_anchors(section, neck)
    coder = section.section("bbox_coder") or section.refuse("bbox_coder", "a DeltaXYWHBBoxCoder")
    coder.typed("DeltaXYWHBBoxCoder")
    coder.same("add_ctr_clamp", True)
    coder.fixed(target_means=(0.0,) * 4, target_stds=(1.0,) * 4, ctr_clamp=32, clip_border=True, use_box_type=False)
    stacked = section.integer("num_cls_convs", 2, least=0), section.integer("num_reg_convs", 4, least=0)
    network = partial(YOLOFHead, channels=neck.channels, anchors=anchors, stacked=stacked)
    return Head(
        normed(network, batch_norm(section)),
        section.integer("num_classes"),
        "bbox_head.cls_score.weight",
        Dense(neck.strides, anchors=anchors.per_cell),
        Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    )
