"""The selection of proposals, against its definition in float64."""

import numpy as np
import pytest
import torch

from detforge.models.proposals import ProposalRule

SIZES = np.array([(40.0, 50.0), (30.0, 64.0)])


def naive(boxes: list[np.ndarray], scores: list[np.ndarray], size: np.ndarray, rule: ProposalRule) -> np.ndarray:
    """The proposals (k, 5) of one image: xyxy px and a score."""
    last = float(rule.inclusive)
    rows = []
    for level, (level_boxes, level_scores) in enumerate(zip(boxes, scores, strict=True)):
        best = sorted(range(len(level_scores)), key=lambda i: -level_scores[i])[: rule.top_k]
        for i in best:
            low = np.clip(level_boxes[i, :2], 0, size[::-1] - last)
            high = np.clip(level_boxes[i, 2:], 0, size[::-1] - last)
            if (high + last > low).all():
                rows.append((level, level_scores[i], *low, *high))
    kept: list[tuple[float, ...]] = []
    for row in sorted(rows, key=lambda row: -row[1]):
        if all(row[0] != other[0] or overlap(row[2:], other[2:], last) <= rule.iou for other in kept):
            kept.append(row)
    return np.array([(*row[2:], row[1]) for row in kept[: rule.count]]).reshape(-1, 5)


def overlap(a: tuple[float, ...], b: tuple[float, ...], last: float) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + last
    height = min(a[3], b[3]) - max(a[1], b[1]) + last
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((x[2] - x[0] + last) * (x[3] - x[1] + last) for x in (a, b))
    return width * height / (areas - width * height)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(("top_k", "count"), [(20, 15), (20, 100), (200, 150)])
def test_proposals_equal_the_definition(inclusive: bool, top_k: int, count: int) -> None:
    random = np.random.default_rng(top_k)
    rule = ProposalRule(top_k, 0.5, count, inclusive)
    corners = [random.uniform(-20, 60, (2, a, 2)) for a in (60, 15)]
    boxes = [np.concatenate((x, x + random.uniform(5, 40, x.shape)), -1) for x in corners]
    scores = [random.uniform(0.01, 1, x.shape[:2]) for x in corners]
    best, places = zip(*(rule.best(torch.tensor(x).float()) for x in scores), strict=True)
    chosen = [
        torch.tensor(x).float().gather(1, i[..., None].expand(-1, -1, 4)) for x, i in zip(boxes, places, strict=True)
    ]
    proposals = rule(chosen, best, torch.tensor(SIZES).float())
    assert proposals.boxes.shape == (2, count, 4)
    for i, size in enumerate(SIZES):
        expected = naive([x[i] for x in boxes], [x[i] for x in scores], size, rule)
        found = len(expected)
        assert found > 10
        np.testing.assert_allclose(proposals.boxes[i, :found].numpy(), expected[:, :4], rtol=1e-5)
        np.testing.assert_allclose(proposals.scores[i, :found].numpy(), expected[:, 4], rtol=1e-6)
        assert not proposals.boxes[i, found:].any()
        assert not proposals.scores[i, found:].any()


def test_an_image_without_proposals() -> None:
    outside = torch.tensor([[[70.0, 70, 90, 90], [10, 10, 10, 30]]])
    proposals = ProposalRule(2, 0.7, 4)([outside], [torch.full((1, 2), 0.9)], torch.tensor([[40.0, 50]]))
    assert not proposals.boxes.any()
    assert not proposals.scores.any()
