"""Made-up people and the maps that bottom-up networks would give for them, recomputed from a text.

Every value is rounded to a multiple of 2^-20, so that it is the same on all machines.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden.reader import rng
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Random = np.random.Generator

FROM_COCO = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's 18 keypoints in COCO's order, followed by the neck."""

FIELDS = (
    *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16)),
    *((1, 5), (5, 6), (6, 7), (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
)
"""The limbs of OpenPose's fields in the order of its channels."""


def people(
    name: str,
    n: int,
    w: int,
    h: int,
    size: Sequence[float] = (0.45, 0.8),
    overlap: bool = False,
    border: bool = False,
    hide: float = 0.0,
) -> Floats:
    """COCO's keypoints (n, 17, 3) of people in an image of w x h px: x, y and 2, or 0 where one is hidden or outside.

    With `overlap` they stand on top of each other, with `border` at the sides.
    """
    draw, poses = rng("people/" + name), np.zeros((n, 17, 3))
    for i in range(n):
        tall = draw.uniform(*size) * h
        if border:
            hips = draw.choice([0.02, 0.98]) * w, draw.uniform(0.2, 0.9) * h
        elif overlap:
            hips = np.array([w / 2.0, h / 2.0]) + draw.uniform(-0.25, 0.25, 2) * tall
        else:
            hips = (i + 0.5 + draw.uniform(-0.12, 0.12)) * w / n, h * draw.uniform(0.48, 0.56)
        places = _person(draw, np.array(hips), tall, draw.choice([-1.0, 1.0]) * draw.uniform(0.45, 1.0))
        seen = draw.uniform(size=17) >= hide
        seen &= (places >= 0).all(1) & (places[:, 0] <= w - 1) & (places[:, 1] <= h - 1)
        poses[i, seen, :2], poses[i, seen, 2] = places[seen], 2
    return np.round(poses, 2).astype(np.float32)


def _person(draw: Random, hips: NDArray[Any], tall: float, turn: float) -> NDArray[Any]:
    tilt = draw.uniform(-0.25, 0.25)
    up, across = np.array([np.sin(tilt), -np.cos(tilt)]), np.array([np.cos(tilt), np.sin(tilt)]) * turn
    neck = hips + 0.29 * tall * up

    def bone(start: NDArray[Any], angle: float, length: float) -> NDArray[Any]:
        return start + length * tall * np.array([np.sin(angle), np.cos(angle)])

    k = np.zeros((17, 2))
    k[0] = neck + 0.13 * tall * up + 0.03 * tall * draw.uniform(-1, 1) * across
    for side, first in ((1, 1), (-1, 2)):
        k[first] = k[0] + side * 0.025 * tall * across + 0.025 * tall * up
        k[first + 2] = k[0] + side * 0.055 * tall * across + 0.01 * tall * up
        k[first + 4] = neck + side * 0.11 * tall * across
        k[first + 10] = hips + side * 0.08 * tall * across
    for side, first in ((1, 5), (-1, 6)):
        facing = side * np.sign(turn)
        upper = facing * draw.uniform(-0.5, 2.6)
        k[first + 2] = bone(k[first], upper, 0.17)
        k[first + 4] = bone(k[first + 2], upper + draw.uniform(-1.6, 1.6), 0.15)
        thigh = facing * draw.uniform(-0.2, 0.6)
        k[first + 8] = bone(k[first + 6], thigh, 0.24)
        k[first + 10] = bone(k[first + 8], thigh + draw.uniform(-0.9, 0.4) * side, 0.23)
    return k


def with_neck(poses: Floats, rounded: bool = True) -> Floats:
    """OpenPose's keypoints (n, 18, 3) of COCO's; the neck is between visible shoulders."""
    given = poses.astype(np.float64)
    neck = (given[:, 5] + given[:, 6]) / 2
    if rounded:
        neck = np.round(neck)
    both = (given[:, 5, 2] > 0) & (given[:, 6, 2] > 0)
    neck[:, 2] = 2
    neck[~both] = 0
    return np.concatenate([given, neck[:, None]], 1)[:, FROM_COCO].astype(np.float32)


def affinity_maps(
    poses: Floats,
    w: int,
    h: int,
    noise: float = 0.01,
    seed: str = "",
    amp: Sequence[float] = (1.0, 1.0),
    drop: float = 0.0,
    ghosts: int = 0,
) -> tuple[Floats, Floats]:
    """OpenPose's heatmaps (19, h / 8, w / 8) and fields (38, h / 8, w / 8) of poses (n, 18, 3).

    Peaks and limbs are `amp` times as high, the share `drop` of the limbs has no field, and each heatmap has `ghosts`
    peaks of nobody.
    """
    draw = rng("opmaps/" + seed)
    y, x = np.mgrid[0 : h // 8, 0 : w // 8].astype(np.float64)
    heatmaps, fields = np.zeros((19, *x.shape)), np.zeros((38, *x.shape))

    def bump(left: float, top: float) -> NDArray[Any]:
        apart = ((x * 8 + 3.5 - left) ** 2 + (y * 8 + 3.5 - top) ** 2) / 2.0 / 49.0
        return np.where(apart <= 4.6052, np.exp(-apart), 0)

    for i in range(18):
        for pose in poses:
            peak = draw.uniform(*amp)
            if pose[i, 2] > 0:
                heatmaps[i] = np.minimum(heatmaps[i] + peak * bump(pose[i, 0], pose[i, 1]), 1)
        for _ in range(ghosts):
            left, top, peak = draw.uniform(0, w), draw.uniform(0, h), draw.uniform(0.12, 0.5)
            heatmaps[i] = np.maximum(heatmaps[i], peak * bump(left, top))
    for limb, (first, second) in enumerate(FIELDS):
        count = np.zeros_like(x)
        for pose in poses:
            strength, stays = draw.uniform(*amp), draw.uniform() >= drop
            start, end = pose[first, :2].astype(np.float64) / 8, pose[second, :2].astype(np.float64) / 8
            length = np.linalg.norm(end - start)
            if not (pose[first, 2] > 0 and pose[second, 2] > 0 and stays and length > 0):
                continue
            way = (end - start) / length
            low, high = np.round(np.minimum(start, end) - 1), np.round(np.maximum(start, end) + 1)
            on = np.abs((x - start[0]) * way[1] - (y - start[1]) * way[0]) < 1
            on &= (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1])
            for axis in (0, 1):
                field = fields[2 * limb + axis]
                field[on] = (field[on] * count[on] + strength * way[axis]) / (count[on] + 1)
            count[on] += 1
    heatmaps[18] = np.maximum(1 - heatmaps[:18].max(0), 0)
    return tuple(rounded(maps + noise * draw.standard_normal(maps.shape)) for maps in (heatmaps, fields))


PARTS = (
    *((1, 0), (1, 14), (1, 15), (1, 16), (1, 17), (0, 14), (0, 15), (14, 16), (15, 17), (1, 2), (2, 3), (3, 4), (1, 5)),
    *((5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (0, 2), (0, 5), (2, 8), (8, 12), (5, 11)),
    *((11, 9), (16, 2), (17, 5), (8, 11)),
)
"""The limbs of Simple Pose in the order of its channels."""


def part_maps(
    poses: Floats,
    w: int,
    h: int,
    noise: float = 0.01,
    seed: str = "",
    amp: Sequence[float] = (1.0, 1.0),
    drop: float = 0.0,
    ghosts: int = 0,
) -> tuple[Floats, Floats]:
    """Simple Pose's maps of limbs (30, h / 4, w / 4) and keypoints (18, h / 4, w / 4) of poses (n, 18, 3).

    `amp`, `drop` and `ghosts` are as in `affinity_maps`.
    """
    draw, sigma, least = rng("ibp/" + seed), 9.0, 0.015
    across, down = (np.arange(side // 4) * 4 + 1.5 for side in (w, h))
    maps = np.zeros((50, h // 4, w // 4))
    reach = int(np.ceil(np.sqrt(-2 * sigma * sigma * np.log(least)) / 4))

    def stamp(target: NDArray[Any], x: float, y: float, peak: float) -> None:
        left, top = (round(place / 4) - reach for place in (x, y))
        if min(left, top) + 2 * reach + 1 >= 0:
            rows, columns = (slice(max(start, 0), start + 2 * reach + 1) for start in (top, left))
            bell = [
                np.exp(-((axis - place) ** 2) / (2 * sigma * sigma))
                for axis, place in ((down[rows], y), (across[columns], x))
            ]
            target[rows, columns] = np.maximum(target[rows, columns], peak * np.outer(*bell))

    for i in range(18):
        for pose in poses:
            peak = draw.uniform(*amp)
            if pose[i, 2] > 0:
                stamp(maps[30 + i], float(pose[i, 0]), float(pose[i, 1]), peak)
        for _ in range(ghosts):
            stamp(maps[30 + i], draw.uniform(0, w), draw.uniform(0, h), draw.uniform(0.12, 0.5))
    for limb, (first, second) in enumerate(PARTS):
        count = np.zeros(maps.shape[1:])
        for pose in poses:
            strength, stays = draw.uniform(*amp), draw.uniform() >= drop
            start, end = (pose[i, :2].astype(np.float64) for i in (first, second))
            length = np.hypot(*(end - start))
            low, high = np.round((np.minimum(start, end) - 4) / 4), np.round((np.maximum(start, end) + 4) / 4)
            if not (pose[first, 2] > 0 and pose[second, 2] > 0 and stays and length > 0 and (high >= 0).all()):
                continue
            columns, rows = (slice(max(int(a), 0), int(b) + 1) for a, b in zip(low, high, strict=True))
            x, y = np.meshgrid(across[columns], down[rows])
            aside = np.abs((end[0] - start[0]) * (start[1] - y) - (start[0] - x) * (end[1] - start[1])) / (
                length + 1e-6
            )
            ridge = np.exp(-(aside**2) / (2 * 7.0**2))
            ridge[ridge <= least] = 0.01
            maps[limb, rows, columns] += strength * ridge
            count[rows, columns] += 1
        maps[limb] /= np.maximum(count, 1)
    maps[49] = maps[30:48].max(0)
    maps = np.clip(maps, 0, 1)
    maps = rounded(maps + noise * draw.standard_normal(maps.shape))
    return maps[:30], maps[30:48]


SKELETON = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9)),
    *((8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""The limbs of PifPaf, of COCO's keypoints."""

_BODY = (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089)
SIZES = np.array((0.026, 0.025, 0.025, 0.035, 0.035, *_BODY))
"""COCO's sigmas."""


def composite_fields(
    poses: Floats,
    w: int,
    h: int,
    seed: str = "",
    amp: Sequence[float] = (0.8, 0.95),
    noise: float = 0.07,
    drop: float = 0.0,
    ghosts: int = 0,
) -> tuple[Floats, Floats]:
    """PifPaf's fields of keypoints (17, 5, h', w') and limbs (19, 8, h', w') of poses (n, 17, 3), at stride 8.

    The components are one without use, a confidence, positions and scales in cells. `amp`, `drop` and `ghosts` are as
    in `affinity_maps`; `noise` is that of the positions.
    """
    draw = rng("pif/" + seed)
    y, x = np.mgrid[0 : (h - 1) // 8 + 1, 0 : (w - 1) // 8 + 1].astype(np.float64)
    keypoints, limbs = np.zeros((17, 5, *x.shape)), np.zeros((19, 8, *x.shape))
    for maps, points, spread in ((keypoints, 1, 1), (limbs, 2, 2)):
        count = len(maps)
        maps[:, 0] = draw.normal(-1, 0.3, (count, *x.shape))
        maps[:, 1] = 0.1 * draw.uniform(size=(count, *x.shape)) ** 2
        maps[:, 2 : 2 + 2 * points] = np.stack([x, y] * points) + draw.normal(0, spread, (count, 2 * points, *x.shape))
        sizes = (count, points, *x.shape) if points > 1 else (count, *x.shape)
        maps[:, 2 + 2 * points :] = np.abs(draw.normal(0.5, 0.2, sizes)).reshape(count, points, *x.shape)
    nearest, closest = np.full((17, *x.shape), np.inf), np.full((19, *x.shape), np.inf)
    for pose in poses:
        seen, q = pose[:, 2] > 0, pose[:, :2].astype(np.float64) / 8
        peaks, strengths, stays = draw.uniform(*amp, 17), draw.uniform(*amp, 19), draw.uniform(size=19) >= drop
        if seen.sum() < 3:
            continue
        scales = np.sqrt(max(np.ptp(q[seen, 0]) * np.ptp(q[seen, 1]), 0.25)) * SIZES
        for i in np.flatnonzero(seen):
            left, top = (int(place) for place in np.round(q[i] - 1.5))
            apart = np.hypot(x - q[i, 0], y - q[i, 1])
            on = (x >= left) & (x < left + 4) & (y >= top) & (y < top + 4) & (apart < nearest[i])
            nearest[i][on] = apart[on]
            n = int(on.sum())
            bell = 0.75 + 0.25 * np.exp(-(apart[on] ** 2) / 2)
            keypoints[i, 1][on] = peaks[i] * bell + 0.02 * draw.standard_normal(n)
            for axis in (0, 1):
                keypoints[i, 2 + axis][on] = q[i, axis] + noise * draw.standard_normal(n)
            keypoints[i, 4][on] = scales[i] * np.exp(0.1 * draw.standard_normal(n))
        for limb, (i, j) in enumerate(SKELETON):
            if not (seen[i] and seen[j] and stays[limb]):
                continue
            length = np.hypot(*(q[j] - q[i]))
            margin = np.clip(1.5 / (length + 1e-9), 0.25, 0.4)
            way = (q[j] - q[i]) / max(length, 1e-6)
            along = (x - q[i, 0]) * way[0] + (y - q[i, 1]) * way[1]
            aside = np.abs((x - q[i, 0]) * way[1] - (y - q[i, 1]) * way[0])
            on = (aside <= 1.5) & (along >= margin * length - 0.75) & (along <= (1 - margin) * length + 0.75)
            on &= aside < closest[limb]
            closest[limb][on] = aside[on]
            n = int(on.sum())
            limbs[limb, 1][on] = strengths[limb] + 0.02 * draw.standard_normal(n)
            for part, value in enumerate((*q[i], *q[j])):
                limbs[limb, 2 + part][on] = value + noise * draw.standard_normal(n)
            for part, end in enumerate((i, j)):
                limbs[limb, 6 + part][on] = scales[end] * np.exp(0.1 * draw.standard_normal(n))
    for i in range(17):
        for _ in range(ghosts):
            left, top, peak = draw.uniform(0, x.shape[1]), draw.uniform(0, x.shape[0]), draw.uniform(0.3, 0.6)
            on = (np.abs(x - left) < 1.5) & (np.abs(y - top) < 1.5) & ~np.isfinite(nearest[i])
            keypoints[i, 1][on], keypoints[i, 2][on], keypoints[i, 3][on] = peak, left, top
    for maps in (keypoints, limbs):
        maps[:, 1] = np.clip(maps[:, 1], 0, 0.999)
    return rounded(keypoints), rounded(limbs)


def rounded(values: NDArray[Any]) -> Floats:
    """Values rounded to multiples of 2^-20."""
    return (np.round(values * 2**20) / 2**20).astype(np.float32)
