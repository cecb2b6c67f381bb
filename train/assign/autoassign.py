"""AutoAssign's centre prior (Zhu et al., arXiv 2007.03496, section 3.3): a learned Gaussian for each class."""

import torch
from torch import Tensor, nn

_NEAREST = 9  # points that an object without any inside gets


class CenterPrior(nn.Module):
    """What is learned of the prior: `mean` and `sigma` (classes, 2) of the distance from the centre in strides."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mean, self.sigma = nn.Parameter(torch.zeros(classes, 2)), nn.Parameter(torch.ones(classes, 2))


def center_priors(
    points: Tensor, strides: Tensor, objects: Tensor, labels: Tensor, mean: Tensor, sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """The prior (a, g) of every point for every object, and which points (a, g) are inside it.

    Shapes: points (a, 2) xy px, strides (a, 1) px, objects (g, 4) xyxy px, labels (g,), and the learned `mean` and
    `sigma` (classes, 2) of the distance from the object's centre in strides. Outside the object the prior is 0; an
    object between the points has the nine of the largest prior inside.
    """
    centres = (objects[:, :2] + objects[:, 2:]) / 2
    distance = (points[:, None] - centres) / strides[:, None]  # (a, g, 2)
    priors = torch.exp(-((distance - mean[labels]) ** 2) / (2 * sigma[labels] ** 2)).prod(-1)
    with torch.no_grad():
        sides = torch.cat((points[:, None] - objects[:, :2], objects[:, 2:] - points[:, None]), -1)
        inside = sides.amin(-1) > 0
        lost = ~inside.any(0)
        if lost.any():
            nearest = priors[:, lost].topk(min(_NEAREST, len(points)), 0).indices
            inside[nearest, lost.nonzero().T] = True
    return torch.where(inside, priors, 0), inside
