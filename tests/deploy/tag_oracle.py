"""The grouping of keypoints by their tags, step by step in NumPy, as HigherHRNet and mmpose define it."""

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pick = Callable[[NDArray[np.float32], int], list[int]]


def munkres(costs: Array) -> list[int]:
    """The column of each row, of which there are no more than columns, with the choice among equals of munkres 3.

    A Dijkstra for each row that finds its cheapest column taken, over a list of columns whose order is the point.
    """
    n, m = costs.shape
    is_small = n * m < 16
    u, v = costs.min(1, initial=np.inf), np.zeros(m)
    row_of: dict[int, int] = {}
    for i in range(n):
        free = [j for j in range(m) if costs[i, j] == u[i] and j not in row_of]
        row_of |= {free[0]: i} if free else {}
    for start in sorted(set(range(n)) - set(row_of.values())):
        left = list(range(m)) if is_small else list(range(m))[::-1]
        known, reached, via, i, low = {start: 0.0}, np.full(m, np.inf), {}, start, 0.0
        while True:
            for j in left:
                if (through := low + costs[i, j] - u[i] - v[j]) < reached[j]:
                    reached[j], via[j] = through, i
            low = min(reached[j] for j in left)
            nearest = [j for j in left if reached[j] == low]
            free = [] if is_small else [j for j in nearest if j not in row_of]
            j = free[-1] if free else nearest[0]
            if is_small:
                left.remove(j)
            else:
                left[left.index(j)] = left[-1]
                left.pop()
            if j not in row_of:
                break
            i = row_of[j]
            known[i] = low
        for row, at in known.items():
            u[row] += low - at
        v[sorted(set(range(m)) - set(left))] -= low - reached[sorted(set(range(m)) - set(left))]
        while True:
            i = via[j]
            before = next((column for column, row in row_of.items() if row == i), -1)
            row_of[j] = i
            if i == start:
                break
            j = before
    return [next(j for j, row in row_of.items() if row == i) for i in range(n)]


def best(peaks: NDArray[np.float32], count: int) -> list[int]:
    """The flat indices of the largest values of a map, of equal ones those that PyTorch takes, as the references do."""
    values = torch.from_numpy(peaks.reshape(-1))
    return values.topk(min(count, len(values))).indices.tolist()


def only_peaks(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map with 0 wherever a larger value, or none, is within two pixels."""
    h, w = heatmap.shape
    result = np.zeros_like(heatmap)
    for y, x in product(range(h), range(w)):
        around = heatmap[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        if (around <= heatmap[y, x]).all():
            result[y, x] = heatmap[y, x]
    return result


def group(
    heatmaps: NDArray[np.float32],
    tags: NDArray[np.float32],
    order: tuple[int, ...],
    *,
    mmpose: bool = False,
    udp: bool = False,
    top_k: int = 30,
    least_peak: float = 0.1,
    tag_distance: float = 1.0,
    pick: Pick = best,
) -> tuple[Array, Array, Array]:
    """Places (n, k, 2) px of the map, scores (n, k) and totals (n,); arguments as Tags has them.

    `pick` orders the peaks of a map; the reference leaves open which of equal ones comes first.
    """
    k, _, w = heatmaps.shape
    people: dict[float, dict] = {}
    for joint in order:
        peaks = only_peaks(heatmaps[joint])
        rows = []
        for index in pick(peaks, top_k):
            y, x = divmod(index, w)
            tag = tags[:, joint, y, x]
            if least_peak < peaks[y, x] < np.inf and np.isfinite(tag).all():
                rows.append((tag, (x, y, peaks[y, x])))
        if rows:
            _join(people, joint, rows, tag_distance)
    places, scores = np.zeros((len(people), k, 2)), np.zeros((len(people), k))
    logs = _logs(heatmaps, mmpose) if udp else None
    for n, person in enumerate(people.values()):
        for joint in range(k):
            x, y, score = person["joints"].get(joint, (0, 0, 0.0))
            if logs is not None:
                places[n, joint] = _newton(logs[joint], x, y)
            elif score > 0:
                places[n, joint] = _moved(heatmaps[joint], x, y, mmpose)
            scores[n, joint] = score
    totals = scores.mean(1)
    for n in range(len(people)):
        _fill(places[n], scores[n], heatmaps if logs is None else logs, tags, mmpose, udp)
    return places, scores, totals


def _join(people: dict[float, dict], joint: int, rows: list[tuple], tag_distance: float) -> None:
    def start(tag: NDArray[np.float32], found: tuple) -> None:
        person = people.setdefault(float(tag[0]), {"joints": {}})
        person["joints"][joint], person["tags"] = found, [tag]

    if not people:
        for tag, found in rows:
            start(tag, found)
        return
    known = list(people.values())
    means = np.array([np.mean(np.array(person["tags"], np.float64), 0).astype(np.float32) for person in known])
    distances = np.array([[np.linalg.norm(tag.astype(np.float64) - mean) for mean in means] for tag, _ in rows])
    costs = np.round(distances) * 100 - np.array([[found[2]] for _, found in rows], np.float64)
    if len(rows) > len(known):
        costs = np.concatenate((costs, np.full((len(rows), len(rows) - len(known)), 1e10)), 1)
    for i, column in enumerate(munkres(costs)):
        tag, found = rows[i]
        if column < len(known) and distances[i, column] < tag_distance:
            known[column]["joints"][joint] = found
            known[column]["tags"].append(tag)
        else:
            start(tag, found)


def _moved(heatmap: NDArray[np.float32], x: int, y: int, mmpose: bool) -> tuple[float, float]:
    if not mmpose:
        dx, dy = _quarter(heatmap, x, y)
        return x + dx + 0.5, y + dy + 0.5
    h, w = heatmap.shape
    dx = np.sign(heatmap[y, x + 1] - heatmap[y, x - 1]) if 1 < x < w - 1 and y > 0 else 0
    dy = np.sign(heatmap[y + 1, x] - heatmap[y - 1, x]) if 1 < y < h - 1 and x > 0 else 0
    return x + 0.25 * dx + 0.5, y + 0.25 * dy + 0.5


def _quarter(heatmap: NDArray[np.float32], x: int, y: int) -> tuple[float, float]:
    h, w = heatmap.shape
    right, left = heatmap[y, min(x + 1, w - 1)], heatmap[y, max(x - 1, 0)]
    below, above = heatmap[min(y + 1, h - 1), x], heatmap[max(y - 1, 0), x]
    return 0.25 if right > left else -0.25, 0.25 if below > above else -0.25


def _logs(heatmaps: NDArray[np.float32], mmpose: bool) -> Array:
    """Logarithms of the maps smoothed by (1, 2, 1) / 4, mirrored at their border, or with zeros there and rescaled."""
    finite = np.where(np.isfinite(heatmaps), heatmaps, 0).astype(np.float64)
    smooth = np.pad(finite, ((0, 0), (1, 1), (1, 1)), "constant" if mmpose else "reflect")
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 4
    smooth = (smooth[:, :, :-2] + 2 * smooth[:, :, 1:-1] + smooth[:, :, 2:]) / 4
    if mmpose:
        smooth *= finite.max((1, 2), keepdims=True) / smooth.max((1, 2), keepdims=True)
    return np.log(np.clip(smooth, 1e-3, 50))


def _newton(logs: Array, x: int, y: int) -> tuple[float, float]:
    """UDP's step on the logarithm of a map."""
    log = np.pad(logs, 1, "edge")[y : y + 3, x : x + 3]
    gradient = np.array([log[1, 2] - log[1, 0], log[2, 1] - log[0, 1]]) / 2
    dxx, dyy = log[1, 2] - 2 * log[1, 1] + log[1, 0], log[2, 1] - 2 * log[1, 1] + log[0, 1]
    dxy = (log[2, 2] - log[1, 2] - log[2, 1] + 2 * log[1, 1] - log[1, 0] - log[0, 1] + log[0, 0]) / 2
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.solve(hessian, gradient)
    return x - step[0], y - step[1]


def _fill(
    places: Array,
    scores: Array,
    heatmaps: NDArray[np.float32],
    tags: NDArray[np.float32],
    mmpose: bool,
    udp: bool,
) -> None:
    _, h, w = heatmaps.shape
    has = scores > 0
    pixels = np.clip(places.astype(np.int64), 0, [w - 1, h - 1])
    mean = np.mean([tags[:, joint, y, x] for joint, (x, y) in enumerate(pixels) if has[joint]], 0, np.float64)
    for joint in np.flatnonzero(~has):
        apart = tags[:, joint] - mean.astype(np.float32)[:, None, None]
        rounded = np.round(np.sqrt((apart**2).sum(0)))
        value = heatmaps[joint] - np.float32(100 if mmpose else 1) * rounded
        value = np.where(np.isfinite(value), value, -np.inf)
        y, x = divmod(int(value.argmax()), w)
        heat = heatmaps[joint, y, x]
        if not np.isfinite(value[y, x]) or not (mmpose or heat > 0):
            continue
        dx, dy = (0.0, 0.0) if mmpose else _quarter(heatmaps[joint], x, y)
        shift = 0.0 if mmpose or udp else 0.5
        places[joint] = x + dx + shift, y + dy + shift
        scores[joint] = heat
