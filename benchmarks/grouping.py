"""Time the grouping of keypoints by tags: native code against NumPy, one person and keypoint per step as in mmpose.

    python benchmarks/grouping.py [--people 30] [--size 256] [--rounds 5] [--json FILE]

Maps of COCO's 17 keypoints with a fifth of them missing. The results are not compared, since SciPy and munkres break
ties between people differently.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from turns import Table, deliver, in_turns, parser

from detforge.deploy.bench.environment import Watch
from detforge.models.pose import TAGS

Floats = NDArray[np.float32]


def main() -> None:
    """Print the medians without and with the tags of the mirrored image."""
    flags = parser(__doc__, 5)
    flags.add_argument("--people", type=int, default=30)
    flags.add_argument("--size", type=int, default=256)
    arguments = flags.parse_args()
    watch = Watch()
    tables: list[Table] = []
    for views, title in ((1, "one view"), (2, "with the mirrored one")):
        heatmaps, tags = crowd(arguments.people, views, arguments.size)
        ways = {
            "detforge": lambda h=heatmaps, t=tags: TAGS.group(h, t, spacing=False),
            "NumPy, one person and keypoint per step": lambda h=heatmaps, t=tags: in_numpy(h, t),
        }
        rows = in_turns(ways, arguments.rounds)
        tables.append(Table(f"{arguments.people} people in maps of {arguments.size} px, {title}", rows))
    deliver("grouping", tables, watch, arguments)


def crowd(people: int, views: int, size: int) -> tuple[Floats, Floats]:
    """Heatmaps (17, h, w) and tags (views, 17, h, w)."""
    draw = np.random.default_rng(0)
    heatmaps = np.abs(0.01 * draw.standard_normal((17, size, size))).astype(np.float32)
    tags = 0.3 * draw.standard_normal((views, 17, size, size)).astype(np.float32)
    for person in range(people):
        middle = draw.uniform(0.1, 0.9, 2) * size
        for k in range(17):
            if draw.uniform() < 0.2:
                continue
            x, y = np.clip(middle + draw.normal(0, 0.1 * size, 2), 8, size - 9)
            left, top = int(x) - 6, int(y) - 6
            v, u = np.mgrid[top : top + 13, left : left + 13]
            patch = np.s_[k, top : top + 13, left : left + 13]
            bump = draw.uniform(0.3, 1) * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
            heatmaps[patch] = np.maximum(heatmaps[patch], bump)
            tags[:, k, top + 3 : top + 10, left + 3 : left + 10] = 2 * person + draw.normal(0, 0.05, (views, 7, 7))
    return heatmaps, tags


def in_numpy(heatmaps: Floats, tags: Floats) -> tuple[Floats, Floats]:
    """Positions (n, 17, 2) px and scores (n, 17)."""
    k, _, width = heatmaps.shape
    peaks = np.where(pooled(heatmaps) == heatmaps, heatmaps, 0).reshape(k, -1)
    chosen = np.argpartition(-peaks, TAGS.top_k, 1)[:, : TAGS.top_k]
    people: dict[float, tuple[Floats, list[Floats]]] = {}
    for joint in TAGS.order:
        pixels = chosen[joint][np.argsort(-peaks[joint, chosen[joint]], kind="stable")]
        pixels = pixels[peaks[joint, pixels] > TAGS.least_peak]
        values = tags.reshape(len(tags), k, -1)[:, joint, pixels].T
        rows = np.stack((pixels % width, pixels // width, peaks[joint, pixels]), 1).astype(np.float32)
        if len(rows):
            join(people, joint, rows, values, k)
    poses = np.array([pose for pose, _ in people.values()])
    for pose in poses:
        for joint in np.flatnonzero(pose[:, 2] > 0):
            pose[joint, :2] += quarter(heatmaps[joint], *pose[joint, :2].astype(int)) + 0.5
        complete(pose, heatmaps, tags)
    return poses[..., :2], poses[..., 2]


def pooled(maps: Floats) -> Floats:
    """The largest value in the 5x5 window around each pixel."""
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (2, 2)
        maps = np.lib.stride_tricks.sliding_window_view(np.pad(maps, pad, "edge"), 5, axis).max(-1)
    return maps


def join(people: dict[float, tuple[Floats, list[Floats]]], joint: int, rows: Floats, values: Floats, k: int) -> None:
    """Assign a keypoint's candidates to people, and start a new person if none is near."""
    known = list(people.values())
    columns = np.full(len(rows), len(known))
    if known:
        means = np.array([np.mean(own, 0) for _, own in known], np.float64)
        distances = np.linalg.norm(values[:, None] - means, axis=2)
        costs = np.round(distances) * 100 - rows[:, 2:].astype(np.float64)
        side = max(costs.shape)
        square = np.zeros((side, side))
        square[: len(rows)] = 1e10
        square[: len(rows), : len(known)] = costs
        columns = linear_sum_assignment(square)[1][: len(rows)]
    for i, column in enumerate(columns):
        if column < len(known) and distances[i, column] < TAGS.tag_distance:
            known[column][0][joint] = rows[i]
            known[column][1].append(values[i])
        else:
            pose, own = people.setdefault(float(values[i, 0]), (np.zeros((k, 3), np.float32), []))
            pose[joint] = rows[i]
            own[:] = [values[i]]


def complete(pose: Floats, heatmaps: Floats, tags: Floats) -> None:
    """Search for a person's missing keypoints."""
    has = pose[:, 2] > 0
    mean = np.mean([tags[:, i, int(pose[i, 1]), int(pose[i, 0])] for i in np.flatnonzero(has)], 0)
    for joint in np.flatnonzero(~has):
        distances = np.sqrt(((tags[:, joint] - mean[:, None, None]) ** 2).sum(0))
        y, x = np.unravel_index(np.argmax(heatmaps[joint] - np.round(distances)), distances.shape)
        if heatmaps[joint, y, x] > 0:
            pose[joint, :2] = (x, y) + quarter(heatmaps[joint], x, y) + 0.5
            pose[joint, 2] = heatmaps[joint, y, x]


def quarter(heatmap: Floats, x: int, y: int) -> NDArray[np.float64]:
    """A shift of a quarter of a px towards the larger neighbour."""
    h, w = heatmap.shape
    right = heatmap[y, min(x + 1, w - 1)] > heatmap[y, max(x - 1, 0)]
    below = heatmap[min(y + 1, h - 1), x] > heatmap[max(y - 1, 0), x]
    return np.array((0.5 * right - 0.25, 0.5 * below - 0.25))


if __name__ == "__main__":
    main()
