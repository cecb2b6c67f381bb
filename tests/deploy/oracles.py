"""Plain float64 versions of what the runtime does, written to be read rather than to be fast."""

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes xyxy."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union if union > 0 else 0.0


def nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float, limit: int) -> list[int]:
    """Indices of the boxes that stay, best first; equal scores in the order of the input."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = (k for k in kept if labels[k] == labels[i])
        if all(iou(boxes[k], boxes[i]) <= threshold for k in rivals):
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
