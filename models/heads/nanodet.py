"""NanoDet's head: Generalized Focal Loss (Li et al., arXiv 2006.04388) on separable convolutions, for phones."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ...plugins.dfl.op import dfl_boxes
from ..blocks import start_head
from ..points import grid_points, points_first


class NanoDetHead(nn.Module):
    """Pyramid levels to class scores and boxes. Each level has its own layers, shared by both.

    `forward` gives per level `classes` (n, classes, h, w), logits, and `sides` (n, 4 * bins, h, w), the distributions
    of the distances to the sides of the box. Points lie at (index + `offset`) * stride. `conv` builds a layer of the
    tower from its input and output channels.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        *,
        conv: Callable[[int, int], nn.Module],
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 2,
        reg_max: int = 7,
        offset: float = 0.5,
    ) -> None:
        super().__init__()
        self.classes, self.strides, self.offset = classes, tuple(strides), offset
        sides = 4 * (reg_max + 1)
        self.cls_convs = nn.ModuleList(
            nn.Sequential(*(conv(channels, channels) for _ in range(stacked))) for _ in strides
        )
        self.gfl_cls = nn.ModuleList(nn.Conv2d(channels, classes + sides, 1) for _ in strides)
        for classifier in self.gfl_cls:
            start_head(classifier, classifier)
            nn.init.zeros_(classifier.bias[classes:])

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        logits: dict[str, list[Tensor]] = {"classes": [], "sides": []}
        for x, convs, last in zip(levels, self.cls_convs, self.gfl_cls, strict=True):
            both = last(convs(x))
            logits["classes"].append(both[:, : self.classes])
            logits["sides"].append(both[:, self.classes :])
        return logits

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes) and `boxes` (n, a, 4) xyxy px, in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        sizes = [x.shape[2:] for x in logits["sides"]]
        points, strides = grid_points(sizes, self.strides, flat["sides"], self.offset)
        return {"boxes": dfl_boxes(flat["sides"], points, strides), "scores": flat["classes"].sigmoid()}
