"""PAA's score voting, which moves boxes after suppression; the runtime leaves them where they are."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detforge.deploy.results.instances import Instances


def voted(found: Instances, candidates: Instances) -> Instances:
    """Each box becomes the weighted mean of all candidates of its class that it overlaps (2007.08103, equation 9)."""
    boxes = [
        _voted(box, candidates[candidates.labels == label])
        for box, label in zip(found.boxes, found.labels, strict=True)
    ]
    return replace(found, boxes=np.array(boxes, np.float32))


def _voted(box: NDArray[np.float32], candidates: Instances) -> NDArray[np.float64]:
    others = candidates.boxes.astype(np.float64)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    iou = shared / ((box[2:] - box[:2]).prod() + areas - shared)
    weights = np.exp(-((1 - iou) ** 2) / 0.025) * candidates.scores * (iou > 0.01)
    return weights @ others / weights.sum()
