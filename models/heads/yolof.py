"""YOLOF's head (Chen et al., "You Only Look One-level Feature", arXiv 2103.09460, section 4.2)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..anchors import Anchors
from ..blocks import start_head, tower
from ..coders import deltas_to_boxes
from ..points import points_first

_MAX_SHIFT = 32.0  # px, of a box's centre from its anchor's


class YOLOFHead(nn.Module):
    """One level to class scores, boxes and objectness for every anchor.

    `forward` gives raw logits of the level, anchor by anchor, each in a list of one: `classes`
    (n, anchors * classes, h, w), `deltas` (n, anchors * 4, h, w) and `quality`, the objectness, (n, anchors, h, w).
    """

    def __init__(self, classes: int, channels: int = 512, *, anchors: Anchors) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        self.cls_subnet, self.bbox_subnet = (tower(channels, depth, norm="bn") for depth in (2, 4))
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
        deltas = flat["deltas"].reshape(len(flat["deltas"]), -1, 4)
        anchors = self.anchors([x.shape[2:] for x in logits["deltas"]], deltas)
        return {
            "boxes": deltas_to_boxes(deltas, anchors, max_shift=_MAX_SHIFT),
            "scores": flat["classes"].sigmoid().reshape(len(deltas), -1, self.classes),
            "quality": flat["quality"].sigmoid().flatten(1),
        }
