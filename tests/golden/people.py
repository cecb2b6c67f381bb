"""The maps that single-stage networks would give for the made-up people of `crowds.py`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from golden.crowds import people, rounded
from golden.reader import rng
from numpy.typing import NDArray

Maps = dict[str, NDArray[np.float32]]
_STRIDE = 4


def centre_maps(
    crowd: NDArray[np.float32],
    width: int,
    height: int,
    *,
    noise: float = 0.02,
    amp: tuple[float, float] = (0.5, 0.95),
    drop: float = 0.15,
    seed: str = "",
) -> Maps:
    """CenterNet's maps of people: `hm` and `hm_hp` as probabilities, `wh`, `hps`, `reg` and `hp_offset` in cells."""
    draw = rng(f"cpmaps/{seed}")
    w, h = width // _STRIDE, height // _STRIDE
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    hm = 0.05 * draw.uniform(size=(1, h, w))
    maps = {"hm": hm, "wh": draw.normal(10, 3, (2, h, w)), "hps": draw.normal(0, 6, (34, h, w))}
    maps |= {"reg": draw.uniform(0, 1, (2, h, w)), "hm_hp": 0.05 * draw.uniform(size=(17, h, w))}
    maps |= {"hp_offset": draw.uniform(0, 1, (2, h, w))}

    def cell(point: NDArray[np.float64]) -> tuple[int, int]:
        return int(np.clip(point[0], 0, w - 1)), int(np.clip(point[1], 0, h - 1))

    def around(i: int, j: int) -> list[tuple[int, int]]:
        cells = [(i + dx, j + dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        return [(a, b) for a, b in cells if 0 <= a < w and 0 <= b < h]

    for one in crowd:
        seen, points = one[:, 2] > 0, one[:, :2].astype(np.float64) / _STRIDE
        if not seen.any():
            continue
        low, high = points[seen].min(0) - 1.5, points[seen].max(0) + 1.5
        middle, sides = (low + high) / 2, high - low
        i, j = cell(middle)
        sigma = max(1.0, np.sqrt(sides.prod()) / 6)
        bump = draw.uniform(*amp) * np.exp(-((x - i) ** 2 + (y - j) ** 2) / (2 * sigma * sigma))
        hm[0] = np.maximum(hm[0], bump)
        for a, b in around(i, j):
            maps["wh"][:, b, a] = sides + draw.normal(0, 0.5, 2)
            maps["reg"][:, b, a] = middle - [a, b] + draw.normal(0, 0.05, 2)
            for k in np.flatnonzero(seen):
                maps["hps"][2 * k : 2 * k + 2, b, a] = points[k] - [a, b] + draw.normal(0, 0.8, 2)
        for k in range(17):
            peak, dropped = draw.uniform(*amp), draw.uniform() < drop
            if not seen[k] or dropped:
                continue
            i, j = cell(points[k])
            bump = peak * np.exp(-((x - i) ** 2 + (y - j) ** 2) / 4.5)
            maps["hm_hp"][k] = np.maximum(maps["hm_hp"][k], bump)
            for a, b in around(i, j):
                maps["hp_offset"][:, b, a] = points[k] - [a, b] + draw.normal(0, 0.03, 2)
    for name in ("hm", "hm_hp"):
        maps[name] = np.clip(maps[name] + noise * draw.standard_normal(maps[name].shape), 1e-4, 1 - 1e-4)
    return {name: rounded(value) for name, value in maps.items()}


def root_maps(
    crowd: NDArray[np.float32],
    width: int,
    height: int,
    parents: Mapping[int, int],
    *,
    seed: str = "",
    noise: float = 0.0,
    reach: float = 7.0,
) -> Maps:
    """SPM's maps of people: `root` (h, w), and `disp` (34, h, w) as parts of the map's diagonal."""
    draw = rng(f"spm/{seed}")
    w, h = width // _STRIDE, height // _STRIDE
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    root, displacements = np.zeros((h, w)), np.zeros((17, 2, h, w))
    nearest = np.full((17, h, w), np.inf)
    for one in crowd:
        seen, points = one[:, 2] > 0, one[:, :2].astype(np.float64) / _STRIDE
        if not seen.any():
            continue
        middle = points[seen].mean(0)
        bump = draw.uniform(0.6, 0.95) * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 18)
        root = np.maximum(root, bump)
        for k in np.flatnonzero(seen):
            parent = parents[int(k)]
            if parent >= 0 and not seen[parent]:
                continue
            start = middle if parent < 0 else points[parent]
            distance = np.hypot(x - start[0], y - start[1])
            own = (distance <= reach) & (distance < nearest[k])
            nearest[k][own] = distance[own]
            for axis, cells in enumerate((x, y)):
                displacements[k, axis][own] = (points[k, axis] - cells[own]) / np.hypot(w, h)
    root += 5 * noise * draw.standard_normal(root.shape)
    flat = displacements.reshape(34, h, w) + noise * draw.standard_normal((34, h, w))
    return {"root": rounded(root), "disp": rounded(flat)}


def checksum(values: NDArray[Any]) -> list[float]:
    """Three numbers that identify an array: the sums of its values, of their squares, and of weighted values."""
    flat = np.asarray(values, np.float64).ravel()
    return [float(flat.sum()), float(flat @ flat), float(flat @ ((7 * np.arange(flat.size)) % 1009))]


def crowd_of(args: Mapping[str, Any]) -> NDArray[np.float32]:
    """The people of an operator's case."""
    given = dict(args["people"])
    return people(given.pop("name"), given.pop("n"), args["W"], args["H"], tuple(given.pop("size")), **given)
