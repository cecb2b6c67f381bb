"""RefineDet's head (Zhang et al., "Single-Shot Refinement Neural Network for Object Detection", arXiv 1711.06897)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..anchors import SizedAnchors
from ..coders import deltas_to_boxes
from ..necks.refine import Pairs
from ..points import points_first

_STDS = (0.1, 0.1, 0.2, 0.2)
_RARE = 0.01  # an anchor that is less likely to show an object gives nothing


class RefineDetHead(nn.Module):
    """Pairs of maps to class scores, which sum up to 1 with the background's, and boxes, in two steps.

    The first step moves every anchor and says whether there is an object, the second starts from there. `forward`
    gives raw logits per level, anchor by anchor: `moves` and `deltas` (n, anchors * 4, h, w), `objects`
    (n, anchors * 2, h, w) and `classes` (n, anchors * (classes + 1), h, w), the background first.
    """

    def __init__(self, classes: int, in_channels: Sequence[int], channels: int, *, anchors: SizedAnchors) -> None:
        super().__init__()
        self.classes, self.anchors = classes, anchors
        count = anchors.per_cell
        self.arm_loc, self.arm_conf = (
            nn.ModuleList(nn.Conv2d(c, count * columns, 3, padding=1) for c in in_channels) for columns in (4, 2)
        )
        self.odm_loc, self.odm_conf = (
            nn.ModuleList(nn.Conv2d(channels, count * columns, 3, padding=1) for _ in in_channels)
            for columns in (4, classes + 1)
        )

    def forward(self, levels: Pairs) -> dict[str, list[Tensor]]:
        first, second = ([pair[i] for pair in levels] for i in (0, 1))
        branches = {
            "moves": (self.arm_loc, first),
            "objects": (self.arm_conf, first),
            "deltas": (self.odm_loc, second),
            "classes": (self.odm_conf, second),
        }
        return {name: [conv(x) for conv, x in zip(convs, xs, strict=True)] for name, (convs, xs) in branches.items()}

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        columns = {"moves": 4, "objects": 2, "deltas": 4, "classes": self.classes + 1}
        flat = {
            name: points_first(logits[name]).float().unflatten(-1, (-1, k)).flatten(1, 2) for name, k in columns.items()
        }
        anchors = self.anchors([x.shape[2:] for x in logits["moves"]], flat["moves"])
        low, high = deltas_to_boxes(flat["moves"], anchors, _STDS).split(2, -1)
        refined = torch.cat(((low + high) / 2, high - low), -1)
        likely = flat["objects"].softmax(-1)[..., 1:] > _RARE
        scores = torch.where(likely, flat["classes"].softmax(-1)[..., 1:], 0.0)
        return {"boxes": deltas_to_boxes(flat["deltas"], refined, _STDS), "scores": scores}
