"""Detection in overlapping tiles, for small objects in large images."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns.transform import Transform
from ..inputs.geometry import Image
from ..results.instances import Instances


def find_in_tiles(
    look: Callable[[Sequence[Image]], list[Instances]],
    suppress: Callable[[Instances], Instances],
    image: Image,
    tile: int,
    overlap: float,
) -> Instances:
    """Run on the whole image (h, w, 3) uint8 BGR and on square tiles of it, and suppress all candidates together.

    `tile` is the side in px and `overlap` the fraction of it that neighbours share. An object smaller than the overlap
    is complete in at least one tile; one larger than a tile is found in the whole image. `look` returns the candidates
    of each image before suppression.
    """
    height, width = image.shape[:2]
    corners = [(x, y) for y in _starts(height, tile, overlap) for x in _starts(width, tile, overlap)]
    if len(corners) == 1:
        return suppress(look([image])[0])
    views = [np.ascontiguousarray(image[y : y + tile, x : x + tile]) for x, y in corners]
    whole, *parts = look([image, *views])
    cut = [_is_cut(part, corner, (width, height)) for part, corner in zip(parts, corners, strict=True)]
    shifted = [
        part.mapped(Transform((width, height), shift=(float(x), float(y))))
        for part, (x, y) in zip(parts, corners, strict=True)
    ]
    found = Instances.joined([whole, *shifted])
    found = found[~_is_fragment(found.boxes, found.labels, np.concatenate([np.zeros(len(whole), np.bool_), *cut]))]
    timing = {stage: sum(part.timing[stage] for part in (whole, *parts)) for stage in whole.timing}
    return replace(suppress(found), timing=timing)


def _starts(size: int, tile: int, overlap: float) -> list[int]:
    """The starts of evenly spaced tiles along one axis. The last tile ends at the border of the image."""
    if size <= tile:
        return [0]
    step = max(1, int(tile * (1 - overlap)))
    count = -(-(size - tile) // step) + 1
    return [round(i * (size - tile) / (count - 1)) for i in range(count)]


def _is_cut(part: Instances, corner: tuple[int, int], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes of a tile touch one of its borders inside the image."""
    (x, y), (width, height) = corner, part.image_size
    inner = np.array([x > 0, y > 0, x + width < image_size[0], y + height < image_size[1]])
    near = np.concatenate([part.boxes[:, :2] < 1, part.boxes[:, 2:] > np.array([width, height]) - 1], axis=1)
    return np.any(near & inner, axis=1).astype(np.bool_)


def _is_fragment(boxes: NDArray[np.float32], labels: NDArray[np.int64], cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which cut boxes are fragments: more than half of their area is in one uncut box of the same label."""
    fragment = np.zeros(len(boxes), np.bool_)
    for i in np.flatnonzero(cut):
        others = boxes[~cut & (labels == labels[i])]
        sides = np.minimum(others[:, 2:], boxes[i, 2:]) - np.maximum(others[:, :2], boxes[i, :2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        fragment[i] = bool((shared > (boxes[i, 2:] - boxes[i, :2]).prod() / 2).any())
    return fragment
