"""FCOS' head as torchvision has it."""

from torch import Tensor, nn

from ..anchors import FittedAnchors
from ..coders import distances_to_boxes
from ..points import points_first
from .fcos import FCOSHead


class FittedFCOSHead(FCOSHead):
    """FCOS' improved head without scales, on the cells of `FittedAnchors`: distances are in strides, from a cell's
    corner."""

    def __init__(self, classes: int, channels: int = 256, *, stacked: int = 4) -> None:
        super().__init__(classes, channels, stacked=stacked, improved=True, bias=True)
        self.scales = nn.ModuleList(nn.Identity() for _ in self.strides)
        self.anchors = FittedAnchors(tuple((stride,) for stride in self.strides), self.strides, (1.0,))

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the centerness as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        cells = self.anchors([x.shape[2:] for x in logits["sides"]], flat["sides"])
        return {
            "boxes": distances_to_boxes(flat["sides"].relu() * cells[:, 2:3], cells[:, :2]),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }
