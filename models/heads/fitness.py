"""The box head of Fitness-NMS (Tychsen-Smith and Petersson, "Improving Object Localization with Fitness NMS and Bounded
IoU Loss", arXiv 1711.00164)."""

from typing import Any

import torch
from torch import Tensor, nn

from .bbox import BoxHead

FITNESS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The IoU of a box with its object, in steps: each stands for those from it up to the next."""


class FitnessHead(BoxHead):
    """A `BoxHead` that predicts the class of a box and how well it fits, as one distribution.

    The logits `classes` (n, k, classes * 5 + 1) are those of each class with each fitness, class by class, and of the
    background. The score of a class is the expected fitness, 0 where there is no object of the class: suppression by it
    keeps the box that fits best.
    """

    def __init__(self, classes: int, channels: int = 256, **others: Any) -> None:
        super().__init__(classes, channels, **others)
        self.fc_cls = nn.Linear(self.width, classes * len(FITNESS) + 1)
        nn.init.normal_(self.fc_cls.weight, std=0.01)

    def scores(self, logits: dict[str, Tensor]) -> Tensor:
        """The expected fitness (n, k, classes) for each class, in fp32."""
        joint = logits["classes"].float().softmax(-1)[..., :-1].unflatten(-1, (-1, len(FITNESS)))
        return joint @ torch.tensor(FITNESS, device=joint.device)
