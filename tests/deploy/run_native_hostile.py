"""Calls every function of the native module with random shapes and hostile values: FILE ROUNDS.

The sanitizers that the module was built with end the process at the first bad access. What the module itself refuses
is a ValueError, and fine.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator

HOSTILE = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, -3e9, 1e-40, 0.0, -1.0, -0.5], np.float32)
PASTES = "exact whole cells other".split()
METHODS = "argmax quarter parabola paraboloid dark udp megvii second_peak gaussfit integral".split()


def values(rng: Random, *shape: int, dtype: type = np.float32) -> np.ndarray:
    """Plain values, some of them replaced by hostile ones, or the same value all over."""
    if rng.random() < 0.1:
        return np.full(shape, rng.choice(HOSTILE), dtype)
    x = rng.standard_normal(shape) * rng.choice([1, 10, 1000])
    spoilt = rng.random(shape) < rng.choice([0, 0.05, 0.5])
    return np.where(spoilt, rng.choice(HOSTILE, shape), x).astype(dtype)


def size(rng: Random, most: int) -> int:
    return int(rng.integers(0, most)) if rng.random() < 0.8 else int(rng.integers(0, 3))


def limit(rng: Random) -> int:
    return int(rng.choice([0, 1, 7, 100, 2**40]))


def odd(rng: Random) -> int:
    return int(rng.integers(0, 32)) * 2 + 1


def number(rng: Random) -> float:
    return float(rng.choice([0.0, 0.5, 1.0, 2.0, -1.0, 1e-6, 1e6]))


def boxes(rng: Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = size(rng, 300)
    corners = values(rng, n, 4)
    if rng.random() < 0.5:  # as they usually are
        with np.errstate(invalid="ignore"):
            corners[:, 2:] = corners[:, :2] + np.abs(corners[:, 2:])
    labels = rng.integers(-2, 5, n) if rng.random() < 0.8 else rng.choice([2**62, -(2**62), 0], n)
    return corners, values(rng, n), labels


def nms(rng: Random) -> tuple[Any, ...]:
    return *boxes(rng), number(rng), limit(rng)


def guided_nms(rng: Random) -> tuple[Any, ...]:
    corners, scores, labels = boxes(rng)
    return corners, scores, values(rng, len(scores)), labels, number(rng), limit(rng)


def soft_nms(rng: Random) -> tuple[Any, ...]:
    return *boxes(rng), number(rng), rng.choice([None, 0.5]), number(rng), limit(rng)


def corners_of_polygons(rng: Random) -> tuple[np.ndarray, np.ndarray]:
    ends = np.cumsum(rng.integers(0, 9, size(rng, 40)))
    wrong = rng.random() < 0.1
    return values(rng, int(ends[-1]) if len(ends) else 0, 2), ends - rng.integers(0, 3, len(ends)) if wrong else ends


def polygon_iou(rng: Random) -> tuple[Any, ...]:
    corners, ends = corners_of_polygons(rng)
    return corners, ends, np.empty((len(ends), len(ends)))


def polygon_nms(rng: Random) -> tuple[Any, ...]:
    corners, ends = corners_of_polygons(rng)
    return corners, ends, values(rng, len(ends)), rng.integers(-2, 3, len(ends)), abs(number(rng)), limit(rng)


def locality_nms(rng: Random) -> tuple[Any, ...]:
    n = size(rng, 60)
    quads = values(rng, n, 4, 2)
    if rng.random() < 0.5:  # many neighbours overlap
        quads = np.repeat(quads, 3, 0)
    return quads, values(rng, len(quads)), abs(number(rng)), limit(rng)


def grow(rng: Random) -> tuple[Any, ...]:
    shape = rng.integers(1, 20, 2)
    labels = rng.integers(-2, 3, shape) * (rng.random(shape) < 0.2)
    return labels.astype(np.int32), rng.integers(0, 256, shape - (rng.random() < 0.1), np.uint8, endpoint=False)


def vote_lines(rng: Random) -> tuple[Any, ...]:
    n, k, rounds = 1 + size(rng, 60), size(rng, 10), size(rng, 20)
    places = rng.integers(0, 50, (n, 2)).astype(np.float32) if rng.random() < 0.7 else values(rng, n, 2)
    pairs = rng.integers(0, n + (rng.random() < 0.1), (rounds, k, 2))
    out = np.empty((rounds, k, 2), np.float32), np.empty((rounds, k), np.int32)
    return places, values(rng, n, k, 2), pairs, number(rng), *out


def group_extremes(rng: Random) -> tuple[Any, ...]:
    k, shape = size(rng, 12), rng.integers(1, 12, 3)
    cells = rng.integers(-1, 13, (4, k, 2)).astype(np.float32) if rng.random() < 0.7 else values(rng, 4, k, 2)
    labels = rng.integers(-1, 3, (4, k)) if rng.random() < 0.8 else rng.choice([2**62, -(2**62), 0], (4, k))
    return cells, values(rng, 4, k), labels, values(rng, *shape), number(rng), number(rng), number(rng), limit(rng)


def fuse(rng: Random) -> tuple[Any, ...]:
    n = size(rng, 400)
    return values(rng, n), values(rng, n), (number(rng), number(rng))


def select(rng: Random) -> tuple[Any, ...]:
    ends = np.cumsum(rng.integers(0, 60, rng.integers(1, 6))).tolist()
    scores = values(rng, ends[-1], size(rng, 9))
    quality = [None, values(rng, ends[-1]), values(rng, *scores.shape)][rng.integers(0, 3)]
    flags = rng.integers(0, 2, 3).astype(bool).tolist()
    return scores, quality, ends, number(rng), limit(rng), (number(rng), number(rng)), *flags


def shade(rng: Random) -> list[tuple[float, ...]]:
    """Mean and standard deviation, which a Card holds to be finite, and the latter positive."""
    return [tuple(rng.uniform(low, 255, 3).tolist()) for low in (0, 1e-3)]


def resize(rng: Random) -> tuple[Any, ...]:
    image = rng.integers(0, 256, (*rng.integers(1, 90, 2), 3), np.uint8)
    target = rng.integers(1, 90, 2)
    offset = rng.integers(0, 9, 2)
    canvas = np.zeros((3, *(target + offset + rng.integers(0, 9, 2))), rng.choice([np.float32, np.float16, np.uint8]))
    numbers = [*shade(rng), tuple(rng.uniform(-9, 9, 3).tolist())]
    if rng.random() < 0.1:
        offset = rng.integers(0, 200, 2)
    places = [tuple(each.tolist()) for each in (target, offset)]
    return image, canvas, *places, *numbers, bool(rng.integers(0, 2)), int(rng.integers(1, 4))


def antialias(rng: Random) -> tuple[Any, ...]:
    image, resized = (np.zeros((*rng.integers(0, 90, 2), 3), np.uint8) for _ in range(2))
    return rng.integers(0, 256, image.shape, np.uint8), resized


def crop(rng: Random) -> tuple[Any, ...]:
    n = size(rng, 4)
    image = rng.integers(0, 256, (*rng.integers(1, 60, 2), 3), np.uint8)
    matrices = np.zeros((n, 2, 3))
    matrices[:, 0, 0], matrices[:, 1, 1] = rng.choice([1e-9, 0.1, 1, 3, 50, 1e7], (2, n))
    matrices[:, :, 2] = rng.choice([0, -5, 7.25, -1e4, 1e6, 1e15, np.nan], (n, 2))
    canvases = np.zeros((n, 3, *rng.integers(1, 50, 2)), np.float32)
    return image, matrices, canvases, *shade(rng), bool(rng.integers(0, 2))


def maps_shape(rng: Random) -> list[int]:
    return [size(rng, 4), size(rng, 5), *rng.integers(0 if rng.random() < 0.05 else 1, 24, 2).tolist()]


def heatmap_peaks(rng: Random) -> tuple[Any, ...]:
    options = odd(rng), float(rng.uniform(0.1, 9)), float(rng.choice([0.1, 1, 1e4])), bool(rng.integers(0, 2))
    scale, older = float(rng.choice([1e-3, 1, 255])), bool(rng.integers(0, 2))
    return values(rng, *maps_shape(rng)), str(rng.choice(METHODS)), *options, scale, older


def offset_peaks(rng: Random) -> tuple[Any, ...]:
    n, k, h, w = maps_shape(rng)
    return values(rng, n, k, h, w), values(rng, n, k, 2, h, w), float(rng.choice([1e-3, 4, 1024])), odd(rng), odd(rng)


def vote_peaks(rng: Random) -> tuple[Any, ...]:
    n, k, h, w = maps_shape(rng)
    return values(rng, n, k, h, w), values(rng, n, k, 2, h, w), float(rng.choice([1e-3, 4, 1024]))


def region_peaks(rng: Random) -> tuple[Any, ...]:
    n, k, h, w = maps_shape(rng)
    sizes = rng.integers(1, 60, (n, 2)) if rng.random() < 0.9 else rng.integers(-1, 2**62, (n + 1, 2))
    return values(rng, n, k, h, w), sizes


def paste_mask(rng: Random) -> tuple[Any, ...]:
    image, paste = tuple(rng.integers(0, 90, 2).tolist()), str(rng.choice(PASTES, p=[0.32, 0.32, 0.32, 0.04]))
    box = rng.uniform(-40, 120, 4).astype(np.float32) if rng.random() < 0.7 else values(rng, 4)
    return values(rng, size(rng, 30), size(rng, 30)), box, image, paste


def run_text(rng: Random) -> tuple[Any, ...]:
    h, w, top, left = rng.integers(0, 30, 4).tolist()
    spare = rng.integers(0 if rng.random() < 0.9 else -5, 9, 2)
    image = (int(left + w + spare[0]), int(top + h + spare[1]))
    return (rng.random((h, w)) < rng.choice([0, 0.1, 0.5, 1])).astype(np.uint8), (top, left), image


def bin_peaks(rng: Random) -> tuple[Any, ...]:
    return values(rng, size(rng, 30), size(rng, 90)), None if rng.random() < 0.5 else odd(rng)


def average_views(rng: Random) -> tuple[Any, ...]:
    n, k, h, w = maps_shape(rng)
    order = rng.permutation(k) if rng.random() < 0.9 else rng.integers(-1, k + 1, k)
    return *(values(rng, n, k, h, w) for _ in range(2)), order, float(rng.uniform(0, 1)), np.empty((n, k, h, w), "f")


def poses(rng: Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, k = size(rng, 40), size(rng, 18)
    return values(rng, n, k, 3), values(rng, n, dtype=np.float64), values(rng, k, dtype=np.float64)


def oks(rng: Random) -> tuple[Any, ...]:
    keypoints, areas, sigmas = poses(rng)
    return keypoints, areas, sigmas, rng.choice([None, 0.2]), np.empty((len(areas), len(areas)))


def oks_nms(rng: Random) -> tuple[Any, ...]:
    keypoints, areas, sigmas = poses(rng)
    given = keypoints, values(rng, len(areas)), areas, sigmas
    return *given, rng.choice([None, 0.2]), number(rng), number(rng), limit(rng)


def soft_oks_nms(rng: Random) -> tuple[Any, ...]:
    *given, floor, most = oks_nms(rng)
    return *given, rng.choice([None, 0.5]), floor, most


def assign(rng: Random) -> tuple[Any, ...]:
    return (values(rng, size(rng, 12), size(rng, 12), dtype=np.float64),)


def group(rng: Random) -> tuple[Any, ...]:
    k, h, w = size(rng, 6), *rng.integers(1, 20, 2)
    tags = values(rng, size(rng, 3), k, h, w)
    order = rng.permutation(k) if rng.random() < 0.9 else rng.integers(-1, k + 1, k)
    numbers = int(rng.choice([1, 3, 30, 1000])), number(rng), number(rng)
    return values(rng, k, h, w), tags, order, *numbers, *rng.integers(0, 2, 2).astype(bool).tolist()


def blend(rng: Random) -> tuple[Any, ...]:
    source, target = (values(rng, size(rng, 6), *rng.integers(1, 30, 2)) for _ in range(2))
    order = (
        rng.integers(0, max(1, len(source)), len(target)) if rng.random() < 0.9 else rng.integers(-1, 7, len(target))
    )
    axes = [
        tuple(rng.choice([0, 1, -1, 0.4, -3, 1e300, -1e300, np.nan], 2, p=[*[0.16] * 5, 0.08, 0.08, 0.04]))
        for _ in "yx"
    ]
    return source, target, order, values(rng, len(target)), *axes


def group_affinity(rng: Random) -> tuple[Any, ...]:
    k, limbs, h, w = size(rng, 6), size(rng, 6), *rng.integers(1, 14, 2)
    ends = rng.integers(0, max(1, k), (limbs, 2)) if rng.random() < 0.9 else rng.integers(-1, k + 2, (limbs, 2))
    numbers = int(rng.choice([1, 3, 30])), int(rng.choice([0, 1, 30])), float(rng.choice([0, 0.1])), number(rng)
    given = values(rng, k, h, w), values(rng, limbs, 2, h, w)
    return *given, ends, int(rng.choice([1, 3, 8])), *numbers, int(rng.choice([0, 1, 4])), number(rng)


def group_parts(rng: Random) -> tuple[Any, ...]:
    k, limbs, maps = size(rng, 5), size(rng, 4), int(rng.integers(1, 6))
    ends = rng.integers(0, max(1, k), (limbs, 2)) if rng.random() < 0.9 else rng.integers(-1, k + 2, (limbs, 2))
    stride = int(rng.choice([1, 3, 4]))

    def one() -> tuple[Any, ...]:
        h, w = rng.integers(1, 12, 2).tolist()
        content = (int(rng.integers(1, h * stride + 1)), int(rng.integers(1, w * stride + 1)), bool(rng.integers(0, 2)))
        return *(values(rng, maps, h, w) for _ in "lk"), *(rng.integers(0, maps, n) for n in (limbs, k)), content

    given = [one() for _ in range(rng.integers(1, 3))]
    numbers = int(rng.choice([1, 3, 30])), float(rng.choice([0.1, 1.0])), number(rng)
    return given, ends, tuple(rng.integers(1, 40, 2).tolist()), stride, *numbers, int(rng.integers(0, 4))


def group_composite(rng: Random) -> tuple[Any, ...]:
    k, limbs, h, w = size(rng, 5), size(rng, 5), *rng.integers(1, 10, 2)
    links = rng.integers(0, max(1, k), (limbs, 2)) if rng.random() < 0.9 else rng.integers(-1, k + 2, (limbs, 2))
    confidences = (np.abs(values(rng, count, h, w)) % 1.1 for count in (k, limbs))
    with np.errstate(invalid="ignore"):
        heatmaps, limb_maps = (np.asarray(each, np.float32) for each in confidences)
    given = heatmaps, values(rng, k, 3, h, w), limb_maps, values(rng, limbs, 6, h, w)
    return (
        *given,
        links,
        int(rng.choice([1, 3, 8])),
        int(rng.choice([0, 1, 30])),
        0.3,
        0.2,
        0.15,
        number(rng),
        int(rng.choice([1, 2])),
    )


CASES: dict[str, Callable[[Random], tuple[Any, ...]]] = {
    case.__name__: case
    for case in (
        *(
            nms,
            guided_nms,
            soft_nms,
            polygon_iou,
            polygon_nms,
            locality_nms,
            grow,
            vote_lines,
            group_extremes,
            fuse,
            select,
            resize,
            antialias,
            crop,
            heatmap_peaks,
            offset_peaks,
            vote_peaks,
            region_peaks,
            bin_peaks,
            paste_mask,
            run_text,
        ),
        *(
            average_views,
            oks,
            oks_nms,
            soft_oks_nms,
            assign,
            group,
            blend,
            group_affinity,
            group_parts,
            group_composite,
        ),
    )
}


def main(file: str, rounds: int) -> None:
    loader = importlib.machinery.ExtensionFileLoader("_native", file)
    spec = importlib.util.spec_from_loader("_native", loader)
    assert spec is not None
    native = importlib.util.module_from_spec(spec)
    loader.exec_module(native)
    functions = {name for name in dir(native) if not name.startswith("_")}
    assert functions == set(CASES), f"without a case here, or gone: {functions ^ set(CASES)}"
    refused: dict[str, int] = dict.fromkeys(CASES, 0)
    for seed in range(rounds):
        for name, case in CASES.items():
            arguments = case(np.random.default_rng((seed, *name.encode())))
            try:
                getattr(native, name)(*arguments)
            except ValueError:
                refused[name] += 1
    # A case that is refused most of the time tests nothing.
    assert all(count < rounds * 0.6 for count in refused.values()), refused


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
