"""Suppression of duplicates."""

import numpy as np

from . import _native
from .card import Suppress
from .decode.candidates import Candidates


def suppress(candidates: Candidates, spec: Suppress) -> Candidates:
    """The candidates that stay, best first, at most `max_det`; equal scores keep their order.

    "hard": a box goes when a better one of the same label overlaps it by an IoU above `iou`. "none": only the
    order and the limit apply.
    """
    # No IoU reaches 2, so that threshold suppresses nothing.
    iou = spec.iou if spec.kind == "hard" else 2.0
    kept = _native.nms(np.ascontiguousarray(candidates.boxes), candidates.scores, candidates.labels, iou, spec.max_det)
    return candidates[kept]
