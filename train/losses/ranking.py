"""Losses of the order of all class scores of a batch."""

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from .precision import in_fp32


@in_fp32
def ap_loss(logits: Tensor, targets: Tensor, delta: float = 1.0) -> Tensor:
    """1 - the mean precision at every positive (AP-Loss, Chen et al., arXiv 1904.06373, algorithm 1), a scalar.

    Logits and targets, 1 positive, 0 negative, -1 ignored, have the same shape. A score counts as above another by
    clip(difference / (2 delta) + 0.5, 0, 1). The gradient is the error-driven update (equation 6), not a derivative.
    """
    return _APLoss.apply(logits, targets, delta)


class _APLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, targets: Tensor, delta: float) -> Tensor:
        with torch.no_grad():
            update = torch.zeros_like(logits)
            positives = logits[targets == 1]
            if len(positives) == 0:
                ctx.save_for_backward(update)
                return logits.new_zeros(())
            # Negatives below every positive by delta or more change nothing.
            rivals = (targets == 0) & (logits >= positives.min() - delta)
            negatives = logits[rivals]
            order = positives.argsort()
            precisions = torch.empty_like(positives)
            raised = torch.zeros_like(negatives)
            best = torch.zeros((), device=logits.device, dtype=logits.dtype)
            for i in order:
                others = _above(positives, positives[i], delta).sum() + 0.5
                above = _above(negatives, positives[i], delta)
                rank = others + above.sum()
                precision = others / rank
                # Precision never falls with the score: a positive below the best shares in its errors by that much.
                share = torch.where(precision < best, (1 - best) / (1 - precision).clamp(min=1e-12), 1.0)
                best = torch.maximum(best, precision)
                precisions[i] = best
                raised += above / rank * share
            update[rivals] = raised
            update[targets == 1] = precisions - 1
            ctx.save_for_backward(update / len(positives))
            return 1 - precisions.mean()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (update,) = ctx.saved_tensors
        return update * gradient, None, None


def _above(scores: Tensor, score: Tensor, delta: float) -> Tensor:
    return ((scores - score) / (2 * delta) + 0.5).clamp(0, 1)


@in_fp32
def dr_loss(
    logits: Tensor,
    targets: Tensor,
    positive_scale: float = 1.0,
    negative_scale: float = 0.1 / math.log(3.5),
    smoothness: float = 6.0,
    margin: float = 0.5,
    weight: float = 4.0,
) -> Tensor:
    """The softened hinge of the hardest negatives' mean score above the hardest positives' (DR loss, Qian et al.,
    arXiv 1907.10156, equations 9 and 12), a scalar.

    Logits and targets, 1 positive, 0 negative, -1 ignored, have the same shape. Each mean is weighted by the softmax of
    the scores over its scale; without positives theirs is 1.
    """
    negatives, positives = logits[targets == 0].sigmoid(), logits[targets == 1].sigmoid()
    low = ((negatives / negative_scale).softmax(0) * negatives).sum()
    high = ((-positives / positive_scale).softmax(0) * positives).sum() if len(positives) else 1.0
    return weight / smoothness * F.softplus(smoothness * (low - high + margin))
