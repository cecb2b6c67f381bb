"""ATSS' head (Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", arXiv 1912.02424)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..anchors import Anchors
from ..blocks import Scale, start_head, tower
from ..coders import deltas_to_boxes
from ..points import points_first

_STDS = (0.1, 0.1, 0.2, 0.2)


class ATSSHead(nn.Module):
    """Pyramid levels to class scores, boxes and centerness for the one anchor of every cell.

    `forward` gives raw logits per level: `classes` (n, classes, h, w), `deltas` (n, 4, h, w) and `quality`
    (n, 1, h, w). `inclusive` boxes and `bias` in the branches belong to the authors' code, and so does `deformable`:
    the last convolution of either branch.
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
    ) -> None:
        super().__init__()
        self.anchors, self.inclusive = anchors, inclusive
        self.cls_convs, self.reg_convs = (tower(channels, stacked, bias=bias, deformable=deformable) for _ in range(2))
        self.atss_cls = nn.Conv2d(channels, classes, 3, padding=1)
        self.atss_reg = nn.Conv2d(channels, 4, 3, padding=1)
        self.atss_centerness = nn.Conv2d(channels, 1, 3, padding=1)
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
        boxes = deltas_to_boxes(deltas, anchors, _STDS, self.inclusive)
        return {"boxes": boxes, "scores": classes.sigmoid(), "quality": quality.sigmoid().squeeze(-1)}
