"""The head of the PicoDets of 2022: GFL's distributions, with the alignment of score and box that TOOD predicts
(Feng et al., "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755)."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ...plugins.dfl.op import dfl_boxes
from ..blocks import ConvAct, ConvNorm, start_head
from ..points import grid_points, points_first


class ExciteTower(nn.Module):
    """Channels scaled by factors in 0..1 that are computed from their means, and a 1x1 convolution.

    Shapes: (n, channels, h, w) to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)
        self.conv = ConvAct(channels, channels, 1, activation=F.hardswish)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x * self.fc(x.mean((2, 3), keepdim=True)).sigmoid())


class Alignment(nn.Module):
    """The logit of the alignment: (n, channels, h, w) to (n, 1, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvAct(channels, 1, 5, activation=F.hardswish)
        self.pointwise_conv = ConvNorm(1, 1, 1, norm="bn", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class AlignedHead(nn.Module):
    """Pyramid levels to class scores, boxes and alignment. Each level has its own layers.

    `forward` gives per level `classes` (n, classes, h, w) and `quality` (n, 1, h, w), the alignment, both logits, and
    `sides` (n, 4 * bins, h, w), the distributions of the distances to the sides of the box. Points lie in the middle of
    a cell. `conv` builds a layer of the tower from its input and output channels.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        *,
        conv: Callable[[int, int], nn.Module],
        strides: Sequence[int],
        stacked: int,
        reg_max: int,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.cls_convs = nn.ModuleList(
            nn.Sequential(*(conv(channels, channels) for _ in range(stacked))) for _ in strides
        )
        self.se = nn.ModuleList(ExciteTower(channels) for _ in strides)
        self.gfl_cls = nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in strides)
        self.gfl_reg = nn.ModuleList(nn.Conv2d(channels, 4 * (reg_max + 1), 1) for _ in strides)
        self.cls_align = nn.ModuleList(Alignment(channels) for _ in strides)
        for classifier in self.gfl_cls:
            start_head(classifier, classifier)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        towers = [convs(x) for convs, x in zip(self.cls_convs, levels, strict=True)]
        excited = [excite(x) for excite, x in zip(self.se, towers, strict=True)]
        return {
            "classes": [conv(x) for conv, x in zip(self.gfl_cls, excited, strict=True)],
            "sides": [conv(x) for conv, x in zip(self.gfl_reg, excited, strict=True)],
            "quality": [align(x) for align, x in zip(self.cls_align, towers, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the alignment as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["sides"]], self.strides, flat["sides"], 0.5)
        return {
            "boxes": dfl_boxes(flat["sides"], points, strides),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }
