"""A cascade of box heads, each of which starts from the boxes of the one before (Cai and Vasconcelos, "Cascade R-CNN",
arXiv 1712.00726)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..proposals import clipped
from ..regions import RegionFeatures
from ..two_stage import Stage, decoded


class CascadeRoIHead(nn.Module):
    """Pyramid levels and proposals to class scores and boxes, in as many stages as there are `heads`.

    `forward` and `decode` are those of `RoIHead`. The boxes are the last stage's; the scores are those of the mean of
    all stages' logits. With `inclusive`, boxes between the stages end at the image's last pixel.
    """

    def __init__(self, features: RegionFeatures, heads: Sequence[nn.Module], inclusive: bool = False) -> None:
        super().__init__()
        self.inclusive = inclusive
        self.features, self.bbox_head = features, nn.ModuleList(heads)

    def forward(self, levels: Sequence[Tensor], regions: Tensor, image_size: Tensor) -> list[Stage]:
        stages: list[Stage] = []
        for head in self.bbox_head:
            stages.append(Stage(head(self.features(levels, regions)), regions))
            if len(stages) < len(self.bbox_head):
                regions = clipped(_best(head, stages[-1]), image_size, self.inclusive)
        return stages

    def decode(self, stages: Sequence[Stage]) -> dict[str, Tensor]:
        head, last = self.bbox_head[-1], stages[-1]
        classes = torch.stack([stage.logits["classes"].float() for stage in stages]).mean(0)
        return decoded(head, Stage(last.logits | {"classes": classes}, last.regions))


def _best(head: nn.Module, stage: Stage) -> Tensor:
    """The box (n, k, 4) xyxy px of each region's best class."""
    boxes = head.boxes(stage.logits, stage.regions)
    if boxes.shape[2] == 1:
        return boxes[:, :, 0]
    best = head.scores(stage.logits).argmax(-1)
    return boxes.gather(2, best[..., None, None].expand(-1, -1, 1, 4))[:, :, 0]
