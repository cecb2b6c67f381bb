"""Runs the operators of a library on random shapes and hostile values: python run_hostile.py LIBRARY ROUNDS.

The sanitizers that the library was built with end the process at the first bad access.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ladder import buffer

from detforge.plugins.core.abi import Call, Library
from detforge.plugins.operators import FLOAT_INPUTS

HOSTILE = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, -3e9, 1e-40, 0.0, -1.0, -0.5], np.float32)


def values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Plain values, some of them replaced by hostile ones."""
    x = (rng.standard_normal(shape) * rng.choice([1, 10, 1000])).astype(np.float32)
    spoilt = rng.random(shape) < rng.choice([0, 0.05, 0.5])
    return np.where(spoilt, rng.choice(HOSTILE, shape), x)


def corner_pool(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    op = str(rng.choice(["TopPool", "BottomPool", "LeftPool", "RightPool"]))
    return op, [values(rng, *rng.integers(0, 40, 4))], {}


def border_align(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    n, c, h, w, k = rng.integers((0, 0, 1, 1, 0), (3, 20, 30, 30, 50))
    return "BorderAlign", [values(rng, n, 4 * c, h, w), values(rng, n, k, 4)], {"pool_size": int(rng.integers(1, 12))}


def dfl(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    n, a, r = rng.integers((0, 0, 1), (4, 60, 40))
    logits = values(rng, n, a, 4 * r)
    if rng.random() < 0.5:
        return "Dfl", [logits], {}
    return "DflBoxes", [logits, values(rng, a, 2), values(rng, a, 1)], {}


def deform_conv(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    n, h, w, kh, kw = rng.integers((0, 1, 1, 1, 1), (3, 25, 25, 5, 5))
    group, offset_group = rng.choice([1, 2, 3], 2)
    c, out = np.lcm(group, offset_group) * rng.integers(1, 8), group * rng.integers(1, 8)
    (sy, sx), (py, px), (dy, dx) = rng.integers(1, 3, 2), rng.integers(0, 4, 2), rng.integers(1, 4, 2)
    oh, ow = (
        (s + 2 * p - d * (k - 1) - 1) // step + 1 for s, p, d, k, step in ((h, py, dy, kh, sy), (w, px, dx, kw, sx))
    )
    if min(oh, ow) < 1:
        return deform_conv(rng)
    taps = offset_group * kh * kw
    x, offset, mask = values(rng, n, c, h, w), values(rng, n, 2 * taps, oh, ow), values(rng, n, taps, oh, ow)
    weight, bias = values(rng, out, c // group, kh, kw), values(rng, out)
    attributes = {
        "strides": (int(sy), int(sx)),
        "pads": (int(py), int(px), int(py), int(px)),
        "dilations": (int(dy), int(dx)),
        "group": int(group),
        "offset_group": int(offset_group),
    }
    if rng.random() < 0.5:
        return "DeformConv", [x, offset, weight, bias], attributes
    return "ModulatedDeformConv", [x, offset, mask, weight, bias], attributes


def nms(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    n, k = rng.integers(0, (4, 200))
    inputs = [values(rng, n, k, 4), values(rng, n, k), values(rng, n, k), values(rng, 1)]
    return "Nms", inputs, {"classes": 3, "limit": int(rng.integers(1, 300))}


def regions(rng: np.random.Generator) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    levels, n, c, h, w, k = rng.integers((1, 0, 0, 1, 1, 0), (6, 3, 20, 30, 30, 20))
    maps = [values(rng, n, c, max(1, h >> i), max(1, w >> i)) for i in range(levels)]
    attributes = {
        "output_height": int(rng.integers(1, 9)),
        "output_width": int(rng.integers(1, 9)),
        "stride": int(rng.choice([1, 4, 16])),
        "sampling_ratio": int(rng.choice([0, 0, 1, 2])),
        "aligned": int(rng.integers(0, 2)),
        "minimum": int(rng.integers(0, 2)),
        "finest_scale": int(rng.choice([1, 56])),
    }
    inputs = [*maps, values(rng, n, k, 4), values(rng, n, k, 4)]
    kind = rng.integers(4)
    if kind == 0:
        return f"RoiAlign{levels}", inputs, attributes
    rows, columns, stride, *_, finest_scale = attributes.values()
    sizes = {"output_height": rows, "output_width": columns, "stride": stride}
    if kind == 1:
        return f"PrRoiPool{levels}", inputs, {**sizes, "finest_scale": finest_scale}
    if kind == 2:
        return f"BezierAlign{levels}", [*maps, values(rng, n, k, 16)], {**sizes, "finest_scale": finest_scale}
    inputs.append(values(rng, n, k, 2, rows * columns))
    return f"DeformRoiPool{levels}", inputs, {**sizes, "samples": int(rng.integers(1, 4)), "finest_scale": finest_scale}


def main(path: Path, rounds: int) -> None:
    """Run every operator that many times."""
    library, rng = Library(path), np.random.default_rng(0)
    for _ in range(rounds):
        for make in (corner_pool, border_align, dfl, deform_conv, nms, regions):
            op, inputs, attributes = make(rng)
            for dtype in (np.float32, np.float16):
                with np.errstate(over="ignore"):
                    arrays = [
                        np.ascontiguousarray(x, np.float32 if i in FLOAT_INPUTS.get(op, ()) else dtype)
                        for i, x in enumerate(inputs)
                    ]
                call = Call(op, np.dtype(dtype).name, [buffer(x) for x in arrays], attributes)
                output = np.empty(library.shape(call), dtype)
                library.run_cpu(call, buffer(output), threads=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
