"""Suppression of duplicates."""

from dataclasses import replace

import numpy as np

from . import _native
from .card import Suppress
from .decode.candidates import Candidates


def suppress(candidates: Candidates, spec: Suppress) -> Candidates:
    """The candidates that stay, best first, at most `max_det`; equal scores keep their order.

    "hard": a box goes when a better one of the same label overlaps it by an IoU above `iou`. "visible": the same, of
    what can be seen of both. "linear", "gaussian": such overlaps lower its score. "guided": it goes when one of better
    quality does, which takes the better score of both. "none": only the order and the limit apply.
    """
    scores, labels = candidates.scores, candidates.labels
    compared = candidates.visible if spec.kind == "visible" else candidates.boxes
    assert compared is not None
    # Sides are x2 - x1 from here on.
    boxes = compared + np.array([0, 0, 1, 1], np.float32) if spec.inclusive else np.ascontiguousarray(compared)
    if spec.kind in ("linear", "gaussian"):
        sigma = spec.sigma if spec.kind == "gaussian" else None
        kept, scores = _native.soft_nms(boxes, scores, labels, spec.iou, sigma, spec.conf, spec.max_det)
        return replace(candidates[kept], scores=scores)
    if spec.kind == "guided":
        assert candidates.quality is not None
        kept, scores = _native.guided_nms(boxes, scores, candidates.quality, labels, spec.iou, spec.max_det)
        return replace(candidates[kept], scores=scores)
    # No IoU reaches 2, so that threshold suppresses nothing.
    iou = spec.iou if spec.kind in ("hard", "visible") else 2.0
    return candidates[_native.nms(boxes, scores, labels, iou, spec.max_det)]
