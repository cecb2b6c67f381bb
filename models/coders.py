"""Decoding of box predictions: deltas from priors, or distances from points."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MAX_GROWTH = abs(math.log(16 / 1000))


def deltas_to_boxes(
    deltas: Tensor,
    priors: Tensor,
    stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    inclusive: bool = False,
    max_shift: float = math.inf,
) -> Tensor:
    """Boxes (n, a, 4) xyxy px from deltas (n, a, 4) and priors ([n,] a, 4) cxcywh px (Girshick et al., 1311.2524, C).

    A delta times its std is the shift of the centre in prior sides, `max_shift` px at most, or the logarithm of a
    side's growth, which is held within 62.5 to 1 either way. `inclusive` boxes are one pixel narrower, because their
    last pixel is included.
    """
    deltas = deltas * deltas.new_tensor(stds)
    shifts = priors[..., 2:] * deltas[..., :2]
    centres = priors[..., :2] + (shifts if max_shift == math.inf else shifts.clamp(-max_shift, max_shift))
    sides = priors[..., 2:] * deltas[..., 2:].clamp(-_MAX_GROWTH, _MAX_GROWTH).exp()
    reach = (sides - 1) / 2 if inclusive else sides / 2
    return torch.cat((centres - reach, centres + reach), -1)


def distances_to_boxes(ltrb: Tensor, points: Tensor) -> Tensor:
    """Boxes (n, a, 4) xyxy px from their sides' distances (n, a, 4) px to points (a, 2) xy px (FCOS, equation 1)."""
    return torch.cat((points - ltrb[..., :2], points + ltrb[..., 2:]), -1)


def shifts_to_boxes(values: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes (n, a, 4) xyxy px from values (n, a, 4) in strides (a, 1) px: the centre's shift from points (a, 2) xy px,
    and the logarithm of the sides (YOLOX, arXiv 2107.08430)."""
    shifts, sides = values.split(2, -1)
    centres, reach = points + shifts * strides, sides.exp() * strides / 2
    return torch.cat((centres - reach, centres + reach), -1)


def boxes_to_priors(boxes: Tensor, inclusive: bool = False) -> Tensor:
    """Boxes (n, k, 4) xyxy px as priors cxcywh px; the sides of `inclusive` ones count their last pixel."""
    low, high = boxes.split(2, -1)
    return torch.cat(((low + high) / 2, high - low + int(inclusive)), -1)
