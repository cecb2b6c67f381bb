"""Maps of all views of an image, as one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..inputs.geometry import Frame

Floats = NDArray[np.float32]
Affine = tuple[float, float]
"""A position on one axis as step * i + start."""


def add_maps(
    source: Floats, target: Floats, order: Sequence[int], signs: Sequence[float], rows: Affine, columns: Affine
) -> None:
    """Add maps (c, h, w) to a target (k, h', w'): map order[i] times signs[i] to the target's map i.

    The maps are sampled bilinearly at the rows and columns that `rows` and `columns` give for those of the target.
    """
    source = np.ascontiguousarray(source, np.float32)
    _native.blend(source, target, np.array(order, np.int64), np.array(signs, np.float32), rows, columns)


def spread(source: int, target: int, aligned: bool, mirrored: bool = False) -> Affine:
    """The positions on an axis of `source` px of `target` px that cover it.

    With `aligned` the centres of the first and last px coincide, otherwise their outer edges.
    """
    step = (source - 1) / max(1, target - 1) if aligned else source / target
    start = 0.0 if aligned else 0.5 * step - 0.5
    return (-step, source - 1 - start) if mirrored else (step, start)


def same_places(frame: Frame, target: Frame, stride: int, mirrored: bool) -> tuple[Affine, Affine]:
    """The rows and columns of a frame's maps that show the same places of the image as those of another frame's maps.

    A px of the maps has `stride` px of the canvas. With `mirrored` the frame's image is mirrored.
    """
    (x0, y0), (x1, y1) = frame.to_canvas(np.array([[0.0, 0.0], [1e3, 1e3]])).astype(float).tolist()
    (u0, v0), (u1, v1) = target.to_canvas(np.array([[0.0, 0.0], [1e3, 1e3]])).astype(float).tolist()
    columns = _through(x0, (x1 - x0) / 1e3, u0, (u1 - u0) / 1e3, stride, frame.image_size[1] if mirrored else None)
    return _through(y0, (y1 - y0) / 1e3, v0, (v1 - v0) / 1e3, stride, None), columns


def _through(start: float, scale: float, other: float, other_scale: float, stride: int, mirror: int | None) -> Affine:
    """Px of the other map to the image, which is mirrored if its length is given, and on to px of this map."""
    step = scale / other_scale
    first = (0.5 * stride - other) / other_scale  # of the image, at the centre of the other map's first px
    if mirror is not None:
        step, first = -step, mirror - first
    return step, (first * scale + start) / stride - 0.5
