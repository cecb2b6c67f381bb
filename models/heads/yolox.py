"""YOLOX' head (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430, section 2.1)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..blocks import ConvAct, start_head
from ..coders import shifts_to_boxes
from ..csp import Convolution
from ..points import grid_points, points_first


class YOLOXHead(nn.Module):
    """Pyramid levels to class scores, boxes and objectness for every point; each level has its own layers.

    `forward` gives per level `classes` (n, classes, h, w) and `quality` (n, 1, h, w), the objectness, both logits, and
    `boxes` (n, 4, h, w): the shift of the centre from the point and the logarithm of the sides, in strides. `conv`
    builds the layers of the branches.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 2,
        conv: Convolution = ConvAct,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)

        def branches() -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(*(conv(channels, channels, 3) for _ in range(stacked))) for _ in strides)

        def outputs(count: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(channels, count, 1) for _ in strides)

        self.multi_level_cls_convs, self.multi_level_reg_convs = branches(), branches()
        self.multi_level_conv_cls = outputs(classes)
        self.multi_level_conv_reg = outputs(4)
        self.multi_level_conv_obj = outputs(1)
        for classifier in (*self.multi_level_conv_cls, *self.multi_level_conv_obj):
            start_head(classifier, classifier)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        boxes = [convs(x) for convs, x in zip(self.multi_level_reg_convs, levels, strict=True)]
        classes = [convs(x) for convs, x in zip(self.multi_level_cls_convs, levels, strict=True)]
        return {
            "classes": [conv(x) for conv, x in zip(self.multi_level_conv_cls, classes, strict=True)],
            "boxes": [conv(x) for conv, x in zip(self.multi_level_conv_reg, boxes, strict=True)],
            "quality": [conv(x) for conv, x in zip(self.multi_level_conv_obj, boxes, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the objectness as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["boxes"]], self.strides, flat["boxes"])
        return {
            "boxes": shifts_to_boxes(flat["boxes"], points, strides),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }
