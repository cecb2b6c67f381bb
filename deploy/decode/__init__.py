"""Network outputs to candidates: one file per form of output, chosen by the Card's `decode.kind`."""

from dataclasses import replace

import numpy as np

from ..backends import Arrays
from ..card import Card
from ..forms import CornerDecode, DenseDecode, PeakDecode
from ..preprocess import Frame
from . import corners, dense, graph, peaks
from .candidates import Candidates

READS = {
    "dense": frozenset({"boxes", "scores"}),
    "peaks": frozenset({"boxes", "scores", "labels"}),
    "corners": frozenset(f"{at}_{what}" for at in ("tl", "br") for what in ("points", "scores", "labels", "tags")),
    "heatmap": frozenset({"heatmaps"}),
    "offsets": frozenset({"heatmaps", "offsets"}),
    "hough": frozenset({"heatmaps", "offsets"}),
    "simcc": frozenset({"x", "y"}),
    "tags": frozenset({"heatmaps", "tags"}),
    "graph": frozenset({"boxes", "scores", "labels", "num"}),
}
"""The outputs that each decoder needs; `dense` also uses `quality` where there is one."""


def decode(outputs: Arrays, card: Card, frame: Frame) -> Candidates:
    """One image's outputs of a detector, without the batch axis, to boxes in px of the resized image."""
    spec, conf = card.decode, card.suppress.conf
    if isinstance(spec, CornerDecode):
        return corners.decode(outputs, spec, conf, frame)
    if isinstance(spec, DenseDecode):
        found = dense.decode(outputs, spec, card.fusion, conf, frame.canvas_size)
    elif isinstance(spec, PeakDecode):
        found = peaks.decode(outputs, conf)
    else:
        found = graph.decode(outputs, conf)
    top, left = frame.offset
    corner = np.array([left, top, left, top], np.float32)
    visible = None if found.visible is None else found.visible - corner
    return replace(found, boxes=found.boxes - corner, visible=visible)
