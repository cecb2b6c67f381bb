"""Each operator's formula in float64, one place at a time."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def corner_pool(x: Array, direction: str) -> Array:
    """The largest value from each place to the "top", "bottom", "left" or "right" corner's far border."""
    y = np.empty_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        ways = {
            "top": x[n, c, i:, j],
            "bottom": x[n, c, : i + 1, j],
            "left": x[n, c, i, j:],
            "right": x[n, c, i, : j + 1],
        }
        y[n, c, i, j] = ways[direction].max()
    return y


def border_align(x: Array, boxes: Array, pool_size: int) -> Array:
    """The largest of the pool_size + 1 samples of every border."""
    n, channels, _, _ = x.shape
    y = np.empty((n, channels // 4, boxes.shape[1], 4))
    for image, c, k, side in np.ndindex(y.shape):
        x1, y1, x2, y2 = boxes[image, k]
        start, end = [
            ((x1, y1), (x2, y1)),
            ((x1, y1), (x1, y2)),
            ((x2, y2), (x1, y2)),
            ((x2, y2), (x2, y1)),
        ][side]
        values = x[image, side * (channels // 4) + c]
        samples = []
        for t in range(pool_size + 1):
            px, py = (start[axis] + t / pool_size * (end[axis] - start[axis]) for axis in (0, 1))
            samples.append(_border_sample(values, px, py))
        y[image, c, k, side] = np.max(samples)
    return y


def _border_sample(values: Array, px: float, py: float) -> float:
    height, width = values.shape
    if not (-1 <= px <= width and -1 <= py <= height):
        return 0.0
    px, py = min(max(px, 0), width - 1), min(max(py, 0), height - 1)
    left, top = math.floor(px), math.floor(py)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = values[top, left] * (left + 1 - px) + values[top, right] * (px - left)
    lower = values[bottom, left] * (left + 1 - px) + values[bottom, right] * (px - left)
    return upper * (top + 1 - py) + lower * (py - top)


def dfl(logits: Array) -> Array:
    """The expectation of every side's bin."""
    n, a, channels = logits.shape
    y = np.empty((n, a, 4))
    for image, point, side in np.ndindex(y.shape):
        row = logits[image, point].reshape(4, channels // 4)[side]
        shares = np.exp(row - row.max())
        y[image, point, side] = sum(b * share for b, share in enumerate(shares)) / shares.sum()
    return y


def dfl_boxes(logits: Array, points: Array, strides: Array) -> Array:
    """The box that the distances span around every point."""
    y = dfl(logits)
    for image, point in np.ndindex(y.shape[:2]):
        left, top, right, bottom = y[image, point] * strides[point, 0]
        px, py = points[point]
        y[image, point] = px - left, py - top, px + right, py + bottom
    return y


def deform_conv(
    x: Array,
    offset: Array,
    mask: Array | None,
    weight: Array,
    bias: Array | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
    offset_group: int,
) -> Array:
    """y(p) = sum_k w_k * m_k(p) * x(p + p_k + d_k(p)) + b, one sample at a time; pads are ONNX's four."""
    channels, (out_channels, per_group, kh, kw) = x.shape[1], weight.shape
    samples = np.zeros((x.shape[0], channels, kh, kw, *offset.shape[2:]))
    for n, c, ki, kj, i, j in np.ndindex(samples.shape):
        tap = c // (channels // offset_group) * kh * kw + ki * kw + kj
        row = i * strides[0] - pads[0] + ki * dilations[0] + offset[n, 2 * tap, i, j]
        column = j * strides[1] - pads[1] + kj * dilations[1] + offset[n, 2 * tap + 1, i, j]
        share = 1.0 if mask is None else mask[n, tap, i, j]
        samples[n, c, ki, kj, i, j] = share * _zero_padded_sample(x[n, c], row, column)
    y = np.zeros((x.shape[0], out_channels, *offset.shape[2:]))
    for o in range(out_channels):
        first = o // (out_channels // group) * per_group
        y[:, o] = np.einsum("ckl,nckluv->nuv", weight[o], samples[:, first : first + per_group])
    return y if bias is None else y + bias[:, None, None]


def _zero_padded_sample(values: Array, row: float, column: float) -> float:
    height, width = values.shape
    if not (-1 < row < height and -1 < column < width):
        return 0.0
    top, left = math.floor(row), math.floor(column)
    corners = itertools.product((top, top + 1), (left, left + 1))
    return sum(
        values[p, q] * (1 - abs(row - p)) * (1 - abs(column - q))
        for p, q in corners
        if 0 <= p < height and 0 <= q < width
    )


def nms(boxes: Array, scores: Array, labels: Array, iou: Array, classes: int, limit: int) -> Array:
    """The score and position of each box that no better one of its label overlaps by more, best first."""
    y = np.zeros((*scores.shape, 2))
    for n in range(len(scores)):
        kept: list[int] = []
        for i in sorted(np.flatnonzero(scores[n] > 0), key=lambda i: (-scores[n, i], i)):
            rivals = [j for j in kept if labels[n, j] == labels[n, i]]
            if len(kept) < limit and all(_overlap(boxes[n, i], boxes[n, j]) <= iou[0] for j in rivals):
                y[n, len(kept)] = scores[n, i], i
                kept.append(i)
    return y


def _overlap(a: Array, b: Array) -> float:
    w, h = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def roi_align(
    *inputs: Array,
    output_height: int,
    output_width: int,
    stride: int,
    sampling_ratio: int,
    aligned: int,
    minimum: int,
    finest_scale: int,
) -> Array:
    """The mean of every bin's samples, from the level of the box's size."""
    *levels, boxes, regions = inputs
    n, k = boxes.shape[:2]
    y = np.zeros((n, k, levels[0].shape[1], output_height, output_width))
    for image, box in np.ndindex(n, k):
        level = _level(boxes[image, box], len(levels), finest_scale)
        values = levels[level][image]
        if np.isnan(regions[image, box]).any():
            continue
        rows, columns = (
            _samples(regions[image, box, axis::2], stride * 2**level, size, bins, sampling_ratio, aligned, minimum)
            for axis, size, bins in ((1, values.shape[1], output_height), (0, values.shape[2], output_width))
        )
        for c, i, j in np.ndindex(y.shape[2:]):
            samples = [_border_sample(values[c], px, py) for py in rows[i] for px in columns[j]]
            y[image, box, c, i, j] = np.mean(samples) if samples else 0
    return y.reshape(*y.shape[:3], output_height * output_width)


def _level(box: Array, count: int, finest_scale: int) -> int:
    w, h = (max(box[i + 2] - box[i], 0) for i in (0, 1))
    size = math.sqrt(w * h) / finest_scale + 1e-6
    return max([0, *(level for level in range(1, count) if size >= 2**level)])


def _samples(ends: Array, cell: int, size: int, bins: int, ratio: int, aligned: int, minimum: int) -> list[list[float]]:
    """The positions of the samples of each bin."""
    start, end = (min(max(x / cell, -size - 2), 2 * size + 4) - 0.5 * aligned for x in ends)
    width = max(end - start, minimum) / bins
    count = ratio or math.ceil(width)
    return [[start + (i + (s + 0.5) / count) * width for s in range(count)] for i in range(bins)]


def prroi_pool(*inputs: Array, output_height: int, output_width: int, stride: int, finest_scale: int) -> Array:
    """The mean of the bilinear surface over every bin, one piece between two rows and two columns at a time.

    The mean over such a piece is the value at its centre, as the surface is bilinear there.
    """
    *levels, boxes, regions = inputs
    n, k = boxes.shape[:2]
    y = np.zeros((n, k, levels[0].shape[1], output_height, output_width))
    for image, box in np.ndindex(n, k):
        level = _level(boxes[image, box], len(levels), finest_scale)
        values = levels[level][image]
        if np.isnan(regions[image, box]).any():
            continue
        rows, columns = (
            _pieces(regions[image, box, axis::2], stride * 2**level, size, bins)
            for axis, size, bins in ((1, values.shape[1], output_height), (0, values.shape[2], output_width))
        )
        for c, i, j in np.ndindex(y.shape[2:]):
            y[image, box, c, i, j] = sum(
                h * w * _zero_padded_sample(values[c], py, px) for py, h in rows[i] for px, w in columns[j]
            )
    return y.reshape(*y.shape[:3], output_height * output_width)


def _pieces(ends: Array, cell: int, size: int, bins: int) -> list[list[tuple[float, float]]]:
    """The pieces of each bin: their centres and their shares of the bin."""
    start, end = (min(max(x / cell, -size - 2), 2 * size + 4) for x in ends)
    if end <= start:
        return [[] for _ in range(bins)]
    edges = [start + (end - start) * i / bins for i in range(bins + 1)]
    made: list[list[tuple[float, float]]] = []
    for low, high in itertools.pairwise(edges):
        cuts = [low, *range(math.floor(low) + 1, math.ceil(high)), high]
        made.append([((a + b) / 2, (b - a) / (high - low)) for a, b in itertools.pairwise(cuts)])
    return made


def deform_roi_pool(
    *inputs: Array, output_height: int, output_width: int, stride: int, samples: int, finest_scale: int
) -> Array:
    """The mean of the samples inside of every moved bin."""
    *levels, boxes, regions, shifts = inputs
    n, k = boxes.shape[:2]
    y = np.zeros((n, k, levels[0].shape[1], output_height, output_width))
    moves = shifts.reshape(n, k, 2, output_height, output_width)
    for image, box, i, j in np.ndindex(n, k, output_height, output_width):
        level = _level(boxes[image, box], len(levels), finest_scale)
        values = levels[level][image]
        positions: list[list[float]] = []
        for axis, size, bins, place in ((1, values.shape[1], output_height, i), (0, values.shape[2], output_width, j)):
            given = regions[image, box]
            ends = [-math.inf] * 2 if np.isnan(given).any() else given[axis::2] / (stride * 2**level)
            start, end = (min(max(x, -size - 2), 2 * size + 4) - 0.5 for x in ends)
            length = max(end - start, 0.1)
            first = start + length * (place / bins + moves[image, box, axis, i, j])
            found = [first + s * length / bins / samples for s in range(samples)]
            positions.append([min(max(x, 0), size - 1) for x in found if -0.5 <= x <= size - 0.5])
        for c in range(len(values)):
            inside = [_border_sample(values[c], px, py) for py in positions[0] for px in positions[1]]
            y[image, box, c, i, j] = np.mean(inside) if inside else 0
    return y.reshape(*y.shape[:3], output_height * output_width)


def bezier_align(*inputs: Array, output_height: int, output_width: int, stride: int, finest_scale: int) -> Array:
    """The value between two curves at every bin, from the level of the distance of the first and last point."""
    *levels, curves = inputs
    n, k = curves.shape[:2]
    y = np.zeros((n, k, levels[0].shape[1], output_height, output_width))
    for image, region in np.ndindex(n, k):
        points = curves[image, region].reshape(8, 2)
        if not (np.abs(points) <= 2**24).all():
            continue
        side = math.dist(points[0], points[7])
        level = _level(np.array([0, 0, side, side]), len(levels), finest_scale)
        for i, j in np.ndindex(output_height, output_width):
            top, bottom = (_curve(four, j / output_width) for four in (points[:4], points[:3:-1]))
            px, py = (top + (bottom - top) * i / output_height) / (stride * 2**level) - 0.5
            y[image, region, :, i, j] = [_border_sample(values, px, py) for values in levels[level][image]]
    return y.reshape(*y.shape[:3], output_height * output_width)


def _curve(points: Array, u: float) -> Array:
    """A point of a Bezier curve by de Casteljau's construction."""
    while len(points) > 1:
        points = points[:-1] + u * (points[1:] - points[:-1])
    return points[0]


ORACLES: dict[str, Callable[..., Any]] = {
    "TopPool": partial(corner_pool, direction="top"),
    "BottomPool": partial(corner_pool, direction="bottom"),
    "LeftPool": partial(corner_pool, direction="left"),
    "RightPool": partial(corner_pool, direction="right"),
    "BorderAlign": border_align,
    "Dfl": dfl,
    "DflBoxes": dfl_boxes,
    "DeformConv": lambda x, offset, weight, bias, **geometry: deform_conv(x, offset, None, weight, bias, **geometry),
    "ModulatedDeformConv": deform_conv,
    "Nms": nms,
    **{f"RoiAlign{levels}": roi_align for levels in range(1, 6)},
    **{f"BezierAlign{levels}": bezier_align for levels in range(1, 6)},
    **{f"DeformRoiPool{levels}": deform_roi_pool for levels in range(1, 6)},
    **{f"PrRoiPool{levels}": prroi_pool for levels in range(1, 6)},
}
"""By the nodes' names, with the nodes' inputs and attributes."""
