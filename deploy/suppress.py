"""Suppression of duplicates."""

from dataclasses import replace

import numpy as np

from . import _native
from .card import Suppress
from .decode.candidates import Candidates


def suppress(candidates: Candidates, spec: Suppress) -> Candidates:
    """The candidates that stay, best first, at most `max_det`; equal scores keep their order.

    "hard": a box goes when a better one of the same label overlaps it by an IoU above `iou`. "linear", "gaussian": such
    overlaps lower its score. "guided": it goes when one of better quality does, which takes the better score of both.
    "none": only the order and the limit apply.
    """
    # No IoU reaches 2, so that threshold suppresses nothing.
    iou = spec.iou if spec.kind == "hard" else 2.0
    boxes = np.ascontiguousarray(candidates.boxes)
    if spec.inclusive:
        boxes = boxes + np.array([0, 0, 1, 1], np.float32)
    if spec.kind in ("linear", "gaussian"):
        sigma = spec.sigma if spec.kind == "gaussian" else None
        kept, scores = _native.soft_nms(
            boxes, candidates.scores, candidates.labels, spec.iou, sigma, spec.conf, spec.max_det
        )
        return replace(candidates[kept], scores=scores)
    if spec.kind == "guided":
        assert candidates.quality is not None
        kept, scores = _native.guided_nms(
            boxes, candidates.scores, candidates.quality, candidates.labels, spec.iou, spec.max_det
        )
        return replace(candidates[kept], scores=scores)
    kept = _native.nms(boxes, candidates.scores, candidates.labels, iou, spec.max_det)
    return candidates[kept]
