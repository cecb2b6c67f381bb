"""The points of a batch that answer for objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Positives:
    """Indices `image` and `point` (p,) of the positive points, with their objects (p, 4) xyxy px and labels (p,)."""

    image: Tensor
    point: Tensor
    boxes: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.point)

    def scatter(self, values: Tensor | float, like: Tensor) -> Tensor:
        """Zeros like (n, a, classes) with a value (p,) for the class of each positive."""
        targets = torch.zeros_like(like)
        targets[self.image, self.point, self.labels] = values
        return targets


def find_positives(assigned: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> Positives:
    """The positives among the assigned indices (a,) of each image, see `assign`."""
    image, point = torch.nonzero(torch.stack(list(assigned)) >= 0, as_tuple=True)
    own = [indices[indices >= 0] for indices in assigned]
    found_boxes = torch.cat([box[index] for box, index in zip(boxes, own, strict=True)])
    found_labels = torch.cat([label[index] for label, index in zip(labels, own, strict=True)])
    return Positives(image, point, found_boxes, found_labels)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """The sum of losses times weights (p,) over the sum of the weights, which counts as 1 at least."""
    return (losses * weights).sum() / weights.sum().clamp(min=1)
