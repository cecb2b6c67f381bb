"""The losses against their formulas, written out element by element in float64."""

import math

import numpy as np
import pytest
import torch

from detforge.train.losses.boxes import giou_loss
from detforge.train.losses.classification import quality_focal_loss
from detforge.train.losses.distances import distribution_focal_loss


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("logit", [-6.0, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0])
def test_quality_focal_loss(logit: float, quality: float) -> None:
    p = sigmoid(logit)
    expected = abs(quality - p) ** 2 * -(quality * math.log(p) + (1 - quality) * math.log(1 - p))
    value = quality_focal_loss(torch.tensor([logit]), torch.tensor([quality]))
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("distance", [0.0, 0.25, 3.0, 6.9])
def test_distribution_focal_loss(distance: float) -> None:
    logits = np.random.default_rng(1).standard_normal(8)
    log_p = logits - math.log(np.exp(logits).sum())
    below = int(distance)
    expected = -((below + 1 - distance) * log_p[below] + (distance - below) * log_p[below + 1])
    value = distribution_focal_loss(torch.tensor(logits), torch.tensor(distance, dtype=torch.float64))
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_giou_loss_of_known_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2], [0.0, 0, 1, 1]])
    targets = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [2.0, 0, 3, 1]])
    # equal boxes; half shifted: IoU 1/3 and no empty hull; apart: IoU 0 and one third of the hull empty
    assert giou_loss(boxes, targets).tolist() == pytest.approx([0.0, 2 / 3, 4 / 3], abs=1e-6)
