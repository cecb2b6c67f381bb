"""RTMDet's head (Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", arXiv 2212.07784,
section 3.2)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import ConvAct, start_head
from ..coders import distances_to_boxes
from ..csp import Convolution
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
    ) -> None:
        super().__init__()
        self.strides, self.exponential = tuple(strides), exponential

        def branches() -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(*(conv(channels, channels, 3) for _ in range(stacked))) for _ in strides)

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
