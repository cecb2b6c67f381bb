"""IoU-Net's second stage: the gradient by the corners of boxes, and the boxes that move along it."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops

from detforge.models.heads.bbox import BoxHead
from detforge.models.heads.iou_net import IoUHead, IoUNetRoIHead
from detforge.models.regions import PreciseFeatures

GOLDENS = {case["name"]: case for case in load_ops("prroi_pool")}


@pytest.mark.parametrize("name", GOLDENS)
def test_slope_equals_central_differences_of_the_definition(name: str) -> None:
    case: dict[str, Any] = GOLDENS[name]
    given = {key: torch.from_numpy(value).double() for key, value in case["in"].items()}
    features = PreciseFeatures(1, round(1 / case["args"]["spatial_scale"]), case["args"]["output_size"])
    boxes = given["rois"][:, None, 1:]
    levels = [given["x"][given["rois"][:, 0].long()]]
    pooled = features(levels, boxes)
    slope = features.slope(levels, boxes, pooled, given["up"][:, None])[:, 0].numpy()
    sides = (boxes[:, 0, 2:] - boxes[:, 0, :2]).repeat(1, 2).numpy()
    expected = np.where(sides > 0, case["out"]["grad/rois"] * sides, 0)
    np.testing.assert_allclose(np.where(sides > 0, slope, 0), expected, atol=0.01 * np.abs(expected).max())


def iou_head(classes: int = 3) -> IoUHead:
    torch.manual_seed(0)
    head = IoUHead(classes, 4, size=3, width=8).double()
    torch.nn.init.normal_(head.fc_iou.weight)
    return head


def test_gradient_of_the_iou_is_that_of_automatic_differentiation() -> None:
    head, features = iou_head(), torch.randn(2, 5, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(3, (2, 5))
    iou, gradient = head.slope(features, labels)
    raw = head.fc_iou(head.hidden(features)).gather(2, labels[..., None])[..., 0] / 2
    torch.testing.assert_close(iou, (raw.float() + 0.5).clamp(0, 1))
    torch.testing.assert_close(gradient, torch.autograd.grad(raw.sum(), features)[0])


class Fixed(torch.nn.Module):
    """An IoU head whose answers are given, one for each step."""

    def __init__(self, answers: list[list[float]]) -> None:
        super().__init__()
        self.answers = iter(answers)

    def slope(self, features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([next(self.answers)]), torch.ones_like(features)


def test_boxes_stop_where_their_iou_stalls_or_falls() -> None:
    # The surface rises by 1 per cell to the right and downwards: every step is the same.
    surface = torch.arange(32.0)[:, None] + torch.arange(32.0)
    levels, features = [surface[None, None]], PreciseFeatures(1, 4, 2)
    answers = [[0.1, 0.1, 0.5], [0.2, 0.1, 0.6], [0.3, 0.2, 0.55], [0.4, 0.3, 0.7], [0.5, 0.4, 0.8]]
    head = IoUNetRoIHead(features, BoxHead(1, 1, size=2, width=1), Fixed(answers))
    boxes = torch.tensor([[[40.0, 40, 56, 60]]]).expand(1, 3, 4)
    moved = head.climb(levels, boxes, torch.zeros(1, 3, dtype=torch.long)) - boxes
    # The sum of four bins' means changes by 4 * 0.5 / 4 px, times the sides 16 and 20 px, times the rate.
    first = np.array([8.0, 10, 8, 10]) / 2
    assert moved[0, 1].numpy() == pytest.approx(first, rel=1e-3)  # stalls at once
    assert moved[0, 0].numpy()[0] > 4 * first[0]
    assert first[0] * 1.9 < moved[0, 2].numpy()[0] < 3 * first[0]  # falls after its second step


def test_only_boxes_that_nms_leaves_move() -> None:
    torch.manual_seed(0)
    features = PreciseFeatures(1, 4, 2)
    head = IoUNetRoIHead(features, BoxHead(2, 3, size=2, width=8, agnostic=True), IoUHead(2, 3, size=2, width=8), 0.3)
    torch.nn.init.normal_(head.iou_head.fc_iou.weight)
    levels = [torch.randn(1, 3, 20, 20)]
    boxes = torch.tensor([[[8.0, 8, 40, 40], [9, 8, 40, 40], [50, 50, 70, 75], [50, 10, 70, 30], [0, 0, 0, 0]]])
    scores = torch.tensor([[[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.1], [0.9, 0.0]]])
    with torch.inference_mode():
        fit = head.iou_head(features(levels, boxes))
        refined, iou = head._refined(levels, boxes, scores)
        moved = (refined != boxes).any(-1)[0].tolist()
        torch.testing.assert_close(iou, head.iou_head(features(levels, refined)))
    best = int(fit[0, 1, 0] > fit[0, 0, 0])  # of the two that overlap
    assert moved == [best == 0, best == 1, True, False, False]
