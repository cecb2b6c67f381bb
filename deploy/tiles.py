"""Detection in overlapping tiles, for objects that are small in a large image."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from . import _native
from .detector import Detector
from .instances import Instances
from .preprocess import Image


def detect_tiled(detector: Detector, image: Image, tile: int, overlap: float) -> Instances:
    """Detect in the whole image (h, w, 3) uint8 BGR and in square tiles of it, merged with class-aware NMS.

    `tile` is the side in px and `overlap` the part of it that neighbours share; what is smaller than that
    lies whole in some tile, what is larger than a tile is found in the whole image.
    """
    height, width = image.shape[:2]
    corners = [(x, y) for y in _starts(height, tile, overlap) for x in _starts(width, tile, overlap)]
    if len(corners) == 1:
        return detector(image)
    views = [np.ascontiguousarray(image[y : y + tile, x : x + tile]) for x, y in corners]
    whole, *parts = detector([image, *views])
    shifted = [part.boxes + np.array([x, y, x, y], np.float32) for part, (x, y) in zip(parts, corners, strict=True)]
    cut = [_is_cut(part, corner, (width, height)) for part, corner in zip(parts, corners, strict=True)]
    boxes = np.concatenate([whole.boxes, *shifted])
    scores = np.concatenate([part.scores for part in (whole, *parts)])
    labels = np.concatenate([part.labels for part in (whole, *parts)])
    stays = ~_is_fragment(boxes, labels, np.concatenate([np.zeros(len(whole), np.bool_), *cut]))
    boxes, scores, labels = boxes[stays], scores[stays], labels[stays]
    spec = detector.card.suppress
    kept = _native.nms(boxes, scores, labels, spec.iou, spec.max_det)
    timing = {stage: sum(part.timing[stage] for part in (whole, *parts)) for stage in whole.timing}
    return replace(whole, boxes=boxes[kept], scores=scores[kept], labels=labels[kept], timing=timing)


def _starts(size: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along one axis, evenly spread, the last one ending with the image."""
    if size <= tile:
        return [0]
    step = max(1, int(tile * (1 - overlap)))
    count = -(-(size - tile) // step) + 1
    return [round(i * (size - tile) / (count - 1)) for i in range(count)]


def _is_cut(part: Instances, corner: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Of the boxes in one tile, which touch a border of it that is not the image's."""
    (x, y), (width, height) = corner, part.image_size
    inner = np.array([x > 0, y > 0, x + width < image_size[0], y + height < image_size[1]])
    near = np.concatenate([part.boxes[:, :2] < 1, part.boxes[:, 2:] > np.array([width, height]) - 1], axis=1)
    return np.any(near & inner, axis=1).astype(np.bool_)


def _is_fragment(boxes: NDArray[np.float32], labels: NDArray[np.int64], cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which cut boxes lie for more than half in an uncut one of their label: parts of what is known whole."""
    fragment = np.zeros(len(boxes), np.bool_)
    for i in np.flatnonzero(cut):
        others = boxes[~cut & (labels == labels[i])]
        sides = np.minimum(others[:, 2:], boxes[i, 2:]) - np.maximum(others[:, :2], boxes[i, :2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        fragment[i] = bool((shared > (boxes[i, 2:] - boxes[i, :2]).prod() / 2).any())
    return fragment
