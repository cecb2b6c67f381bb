"""G-RMI's losses (Papandreou et al., arXiv 1701.01779, section 2.2): discs around keypoints, and offsets in them."""

from torch import Tensor
from torch.nn import functional as F

from .distances import smooth_l1_loss
from .precision import in_fp32


@in_fp32
def disc_loss(logits: Tensor, discs: Tensor) -> Tensor:
    """BCE per cell of logits and discs, 0 or 1, of the same shape (equation 3)."""
    return F.binary_cross_entropy_with_logits(logits, discs, reduction="none")


@in_fp32
def disc_offset_loss(offsets: Tensor, targets: Tensor, discs: Tensor) -> Tensor:
    """The mean over the cells of all discs of the Huber loss of both offsets, a scalar (equation 4).

    Shapes: offsets and targets (n, k, 2, h, w), from the cell to the keypoint in cells; discs (n, k, h, w), 0 or 1.
    """
    losses = smooth_l1_loss(offsets, targets).sum(2) * discs
    return losses.sum() / discs.sum().clamp(min=1)
