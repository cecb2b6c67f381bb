"""Plain float64 versions of what the runtime does, written to be read rather than to be fast."""

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes xyxy."""
    return float(ious(a[None], b)[0])


def ious(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) with one (4,)."""
    boxes, box = boxes.astype(np.float64), box.astype(np.float64)
    shared = (np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])).clip(0).prod(1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float, limit: int) -> list[int]:
    """Indices of the boxes that stay, best first; equal scores in the order of the input."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if labels[k] == labels[i]]
        if (ious(boxes[rivals], boxes[i]) <= threshold).all():
            kept.append(i)
    return kept[:limit]


def soft_nms(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float, sigma: float | None, floor: float
) -> list[tuple[int, float]]:
    """Indices and lowered scores of the boxes that stay, best first; equal scores in the order of the input."""
    left = {i: float(score) for i, score in enumerate(scores) if score > floor}
    kept: list[tuple[int, float]] = []
    while left:
        best = max(left, key=lambda i: (left[i], -i))
        kept.append((best, left.pop(best)))
        for i in left:
            overlap = iou(boxes[best], boxes[i]) if labels[best] == labels[i] else 0.0
            if sigma is not None:
                left[i] *= float(np.exp(-overlap * overlap / sigma))
            elif overlap >= threshold and labels[best] == labels[i]:
                left[i] *= 1 - overlap
        left = {i: score for i, score in left.items() if score > floor}
    return kept
