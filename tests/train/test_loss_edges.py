"""Losses on what training meets sooner or later: no objects, one, all, extreme logits and half precision."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from detforge.train.boxes import iou
from detforge.train.losses import boxes, classification, cleanliness, corners, distances, ghm, pisa, quality, ranking

SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal": classification.focal_loss,
    "quality focal": classification.quality_focal_loss,
    "varifocal": classification.varifocal_loss,
    "gaussian focal": classification.gaussian_focal_loss,
    "ghm": lambda logits, targets: ghm.ghm_classification_loss(logits, targets, torch.ones_like(targets)),
    "ap": ranking.ap_loss,
    "dr": ranking.dr_loss,
}
LOGITS = (-1e4, -90.0, 90.0, 1e4)
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "smooth l1": distances.smooth_l1_loss,
    "balanced l1": distances.balanced_l1_loss,
    "ghm": lambda values, targets: ghm.ghm_regression_loss(values, targets, torch.ones_like(targets)),
}
BOXES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": boxes.iou_loss,
    "giou": boxes.giou_loss,
    "diou": boxes.diou_loss,
    "ciou": boxes.ciou_loss,
}


def learn(loss: Callable[[Tensor, Tensor], Tensor], values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of a loss and its gradient."""
    values = values.clone().requires_grad_()
    total = loss(values, targets).sum()
    return total.detach(), torch.autograd.grad(total, values)[0]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("positives", [0, 1, 12])
def test_scores_of_any_share_of_positives(name: str, positives: int) -> None:
    torch.manual_seed(1)
    logits, targets = torch.randn(12), torch.zeros(12)
    targets[:positives] = 1
    value, gradient = learn(SCORES[name], logits, targets)
    assert value.isfinite() and value >= 0
    if name != "dr":  # Its softmax takes weight from an element when another one moves.
        assert (gradient[:positives] <= 0).all() and (gradient[positives:] >= 0).all()


@pytest.mark.parametrize(("name", "logit", "target"), list(itertools.product(SCORES, LOGITS, (0.0, 1.0))))
def test_extreme_logits_stay_finite(name: str, logit: float, target: float) -> None:
    value, gradient = learn(SCORES[name], torch.tensor([logit, -logit]), torch.tensor([target, 0.0]))
    assert value.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in SCORES if name != "dr"])
def test_no_elements_cost_nothing(name: str) -> None:
    value, gradient = learn(SCORES[name], torch.zeros(0), torch.zeros(0))
    assert value == 0 and gradient.shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SCORES)
def test_scores_in_half_precision(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    logits, targets = torch.randn(40).mul(9).to(dtype), (torch.rand(40) < 0.2).to(dtype)
    value, gradient = learn(SCORES[name], logits, targets)
    exact, slope = learn(SCORES[name], logits.float(), targets.float())
    assert gradient.dtype == dtype and value.dtype == torch.float32
    assert value == exact
    torch.testing.assert_close(gradient, slope.to(dtype))


# These pass gradients through every factor. GHM and CIoU hold a weight constant, and AP-loss has no derivative.
DERIVED = {name: SCORES[name] for name in ("focal", "quality focal", "varifocal", "gaussian focal", "dr")}


@pytest.mark.parametrize("name", DERIVED)
def test_gradients_of_scores_by_finite_differences(name: str) -> None:
    torch.manual_seed(3)
    logits = torch.randn(9, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    assert gradcheck(lambda x: DERIVED[name](x, targets), logits)


@pytest.mark.parametrize("name", ["iou", "giou", "diou"])
def test_gradients_of_boxes_by_finite_differences(name: str) -> None:
    torch.manual_seed(4)
    low = torch.rand(6, 2, dtype=torch.float64) * 4
    found = torch.cat((low, low + 2 + torch.rand(6, 2, dtype=torch.float64)), 1).requires_grad_()
    target = torch.tensor([1.0, 1.5, 4.0, 4.5], dtype=torch.float64).expand(6, 4)
    assert gradcheck(lambda x: BOXES[name](x, target), found)


@pytest.mark.parametrize("name", ["smooth l1", "balanced l1"])
def test_gradients_of_distances_by_finite_differences(name: str) -> None:
    values = torch.tensor([-3.0, -0.4, 0.2, 0.7, 2.5], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: DISTANCES[name](x, torch.zeros(5, dtype=torch.float64)), values)


@pytest.mark.parametrize("name", BOXES)
def test_boxes_without_area_and_far_apart(name: str) -> None:
    found = torch.tensor([[0.0, 0, 0, 0], [5.0, 5, 5, 9], [0.0, 0, 1e4, 1e4], [1e4, 1e4, 1e4 + 1, 1e4 + 1]])
    target = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2], [0.0, 0, 2, 2], [0.0, 0, 2, 2]])
    value, gradient = learn(BOXES[name], found, target)
    assert value.isfinite() and gradient.isfinite().all()
    assert BOXES[name](target, target) == pytest.approx(0, abs=1e-5)
    assert BOXES[name](target[:0], target[:0]).shape == (0,)


def test_ciou_counts_the_aspect_only_above_half_overlap() -> None:
    target = torch.tensor([0.0, 0, 4, 4], dtype=torch.float64)
    near, far = torch.tensor([[0.0, 0, 4, 3], [0.0, 0, 4, 1]], dtype=torch.float64)
    v = 4 / math.pi**2 * (math.atan(4 / 3) - math.pi / 4) ** 2
    shift = 0.5**2 / 32
    assert boxes.ciou_loss(near, target).item() == pytest.approx(0.25 + shift + v * v / (0.25 + v), rel=1e-6)
    assert boxes.ciou_loss(far, target).item() == pytest.approx(0.75 + 1.5**2 / 32, rel=1e-6)


def test_the_predicted_overlap_reaches_the_box_only_if_asked() -> None:
    logits = torch.tensor([0.7])
    target = torch.tensor([[0.0, 0, 4, 4]])
    found = torch.tensor([[1.0, 0, 5, 4]], requires_grad=True)
    quality.predicted_iou_loss(logits, found, target, through_boxes=True).sum().backward()
    through = found.grad
    assert through is not None
    overlap = torch.autograd.grad(iou(found, target).sum(), found)[0]
    torch.testing.assert_close(through, -0.7 * overlap)  # d BCE / d target = -logit
    assert not quality.predicted_iou_loss(logits, found, target).requires_grad


def test_centerness_of_known_points() -> None:
    sides = torch.tensor([[5.0, 5, 5, 5], [1.0, 4, 4, 4], [2.0, 1, 8, 9]])
    assert quality.centerness(sides).tolist() == pytest.approx([1.0, 0.5, math.sqrt(0.25 / 9)])
    logits = torch.tensor([0.0, 2.0, -1.0])
    expected = [
        -(c * math.log(1 / (1 + math.exp(-x))) + (1 - c) * math.log(1 - 1 / (1 + math.exp(-x))))
        for c, x in zip([1.0, 0.5, math.sqrt(0.25 / 9)], [0.0, 2.0, -1.0], strict=True)
    ]
    assert quality.centerness_loss(logits, sides).tolist() == pytest.approx(expected)


def test_clean_anchors_weigh_most() -> None:
    ious, confidences = [0.9, 0.6, 0.3], [0.8, 0.1, 0.5]
    found = cleanliness.cleanliness(torch.tensor(ious), torch.tensor(confidences))
    assert found.tolist() == pytest.approx([0.75 * a + 0.25 * c for a, c in zip(ious, confidences, strict=True)])
    raw = [0.75 / (1 - a) + 0.25 / (1 - c) for a, c in zip(ious, confidences, strict=True)]
    weights = cleanliness.cleanliness_weights(torch.tensor(ious), torch.tensor(confidences))
    assert weights.tolist() == pytest.approx([3 * r / sum(raw) for r in raw])
    assert cleanliness.cleanliness_weights(torch.ones(2), torch.ones(2)).isfinite().all()


def test_one_object_is_pulled_and_not_pushed() -> None:
    first, second = torch.tensor([[0.5, 9.0]]), torch.tensor([[1.5, -9.0]])
    valid = torch.tensor([[True, False]])
    assert corners.pull_loss(first, second, valid).item() == pytest.approx(0.5 / 1.0001)
    assert corners.push_loss(first, second, valid).abs() < 1.1  # (1 - 1/1.0001) / 1e-4, as the authors divide
    assert corners.push_loss(first, second, torch.zeros_like(valid)) == 0


def test_prime_samples_of_no_positives() -> None:
    none, whole = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    assert pisa.importance_weights(none, whole, whole, none).shape == (0,)
    assert pisa.classification_aware_regression_loss(torch.zeros(0, 4), none).shape == (0, 4)
