"""CrowdDet's box head, which finds two objects in a proposal (Chu et al., "Detection in Crowded Scenes: One Proposal,
Multiple Predictions", arXiv 2003.09163)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..coders import boxes_to_priors, deltas_to_boxes
from .bbox import SharedLayers

PREDICTIONS = 2


class CrowdHead(SharedLayers):
    """Features of regions (n, k, channels, size, size) to the scores and boxes of two objects in each.

    `forward` gives the raw logits of the first object before those of the second: `classes` (n, k, 2 * (classes + 1)),
    with the background first, and `deltas` (n, k, 2 * classes * 4). With `refines` a further layer, which also takes
    these, corrects them: `refined_classes` and `refined_deltas`. `layers` are the arguments of `SharedLayers`.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        refines: bool = False,
        **layers: Any,
    ) -> None:
        super().__init__(channels, **layers)
        self.stds, self.refines, width = tuple(stds), refines, self.width
        self.fc_cls, self.fc_reg = (_each(width, count) for count in (classes + 1, classes * 4))
        if refines:
            # The authors repeat the few values of the first predictions, beside the many features.
            self.shared_fcs_ref = nn.Linear(width + _REPEATS * classes * 5, width)
            self.fc_cls_ref, self.fc_reg_ref = (_each(width, count) for count in (classes + 1, classes * 4))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        x = self.hidden(features)
        classes, deltas = ([layer(x) for layer in layers] for layers in (self.fc_cls, self.fc_reg))
        logits = {"classes": torch.cat(classes, -1), "deltas": torch.cat(deltas, -1)}
        if self.refines:
            first = [torch.cat((box, own.softmax(-1)[..., 1:]), -1) for own, box in zip(classes, deltas, strict=True)]
            hidden = [torch.relu(self.shared_fcs_ref(torch.cat((x, *[own] * _REPEATS), -1))) for own in first]
            for name, layers in (("refined_classes", self.fc_cls_ref), ("refined_deltas", self.fc_reg_ref)):
                logits[name] = torch.cat([layer(y) for layer, y in zip(layers, hidden, strict=True)], -1)
        return logits

    def scores(self, logits: dict[str, Tensor]) -> Tensor:
        """The scores (n, k, 2 * classes), in fp32."""
        classes = logits["refined_classes" if self.refines else "classes"].float()
        return classes.unflatten(-1, (PREDICTIONS, -1)).softmax(-1)[..., 1:].flatten(2)

    def boxes(self, logits: dict[str, Tensor], regions: Tensor) -> Tensor:
        """The boxes (n, k, 2 * classes, 4) xyxy px for regions (n, k, 4) xyxy px, in fp32."""
        deltas = logits["refined_deltas" if self.refines else "deltas"].float()
        return deltas_to_boxes(deltas.unflatten(-1, (-1, 4)), boxes_to_priors(regions)[:, :, None], self.stds)


_REPEATS = 4


def _each(width: int, outputs: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width, outputs) for _ in range(PREDICTIONS))
