"""Ghost boxes: boxes around several objects in a row (ExtremeNet, arXiv 1901.08043, section 4.3)."""

from dataclasses import replace

import numpy as np

from ..contract.suppression import Suppress
from ..results.instances import Instances

_LEAST, _TIMES = 0.2, 3
"""The score above which a box may be a ghost, and how many times its score those inside it have together."""


def without_ghosts(found: Instances, rule: Suppress) -> Instances:
    """Halve the scores of ghosts; the detections, best first, that still score above `conf`.

    A ghost contains boxes of its class, itself among them, whose scores sum to more than three times its own. Better
    boxes are judged first, and worse ones see their new scores.
    """
    scores, boxes = found.scores.copy(), found.boxes
    for i in np.flatnonzero(scores > _LEAST):
        inside = (boxes[:, :2] >= boxes[i, :2]).all(1) & (boxes[:, 2:] <= boxes[i, 2:]).all(1)
        if scores[inside & (found.labels == found.labels[i])].sum() > _TIMES * scores[i]:
            scores[i] /= 2
    order = np.argsort(-scores, kind="stable")
    return replace(found, scores=scores)[order[scores[order] > rule.conf]]
