"""The head of NSRM, which predicts masks of a hand's structure before its heatmaps (Chen et al., "Nonparametric
Structure Regularization Machine for 2D Hand Pose Estimation", arXiv 2001.08869, section 3)."""

import torch
from torch import Tensor, nn

from .affinity import stage_layers


class StructureHead(nn.Module):
    """Features (n, channels, h, w) to `heatmaps` (n, keypoints, h, w).

    Half of the six stages predict `masks` masks of limbs, and the other half heatmaps, each from the features and from
    what the stages before predict. `forward` gives the logits of all stages. `width` is that of the layers, and four
    times as much in the first stage.
    """

    each = 3
    """The number of stages for the masks, and for the heatmaps."""

    def __init__(self, keypoints: int, channels: int, *, masks: int = 7, width: int = 128) -> None:
        super().__init__()
        mask_inputs = (channels, channels + masks, channels + masks)
        map_inputs = (channels + masks, channels + masks + keypoints, channels + masks + keypoints)
        self.stages = nn.ModuleList([stage_layers([channels, 4 * width, masks], (1, 1))])
        for inputs, outputs in ((mask_inputs[1:], masks), (map_inputs, keypoints)):
            self.stages += [stage_layers([given, *[width] * 6, outputs], (7, 7, 7, 7, 7, 1, 1)) for given in inputs]

    def forward(self, features: Tensor) -> list[Tensor]:
        logits: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            # The last masks, and the heatmaps of the stage before.
            given = logits[-1:] if i <= self.each else [logits[self.each - 1], logits[-1]]
            logits.append(stage(torch.cat((features, *given), 1)))
        return logits

    def decode(self, logits: list[Tensor]) -> dict[str, Tensor]:
        return {"heatmaps": logits[-1].float()}
