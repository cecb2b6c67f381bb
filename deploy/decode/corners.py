"""Outputs of CornerNet (arXiv 1808.01244, section 4.2): the best peaks of two heatmaps, which are paired here."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..backends import Arrays
from ..forms import CornerDecode
from ..preprocess import Frame
from .candidates import Candidates

Floats = NDArray[np.float32]


def decode(outputs: Arrays, spec: CornerDecode, conf: float, frame: Frame) -> Candidates:
    """Of one image's corners, the pairs that make a box, in px of the resized image.

    A pair has one label, tags that differ by `tag_distance` at most, a mean score above `conf`, and its bottom-right
    corner beyond the other one; of equal scores, those with the better top-left corner come first.
    """
    tl_scores: Floats = outputs["tl_scores"]
    br_scores: Floats = outputs["br_scores"]
    scores = (tl_scores[:, None] + br_scores) * np.float32(0.5)
    distance = np.abs(outputs["tl_tags"][:, None] - outputs["br_tags"])
    alike = (outputs["tl_labels"][:, None] == outputs["br_labels"]) & (distance <= spec.tag_distance)
    tl, br = np.nonzero(alike & (scores > conf))
    top, left = frame.offset
    corners = np.concatenate((outputs["tl_points"][tl], outputs["br_points"][br]), 1)
    boxes = corners - np.array([left, top, left, top], np.float32)
    found = Candidates(boxes, scores[tl, br], outputs["tl_labels"][tl])
    if spec.cut == "origin":
        found = replace(found, boxes=np.maximum(boxes, 0))
    found = found[np.all(found.boxes[:, 2:] > found.boxes[:, :2], axis=1)]
    if spec.cut == "image":
        height, width = frame.resized_size
        found = replace(found, boxes=np.clip(found.boxes, 0, np.array([width, height, width, height], np.float32)))
    return found[np.argsort(-found.scores, kind="stable")[: spec.top_k]]
