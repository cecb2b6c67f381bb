"""The inputs of each operator that `detbench --ops` times, and the alternatives to it in ONNX."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Workload:
    """One operator at one size: its inputs, and rival graphs in ONNX's text syntax."""

    name: str
    op: str
    inputs: Callable[[np.random.Generator], Arrays]
    attributes: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict[str, int | tuple[int, ...]])
    rivals: Mapping[str, str] = field(default_factory=dict[str, str])


def _maps(*shape: int) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: (rng.standard_normal(shape, np.float32),)


def _borders(rng: np.random.Generator) -> Arrays:
    corners = np.sort(99 * rng.random((1, 100 * 100, 2, 2), np.float32), 2)
    return rng.standard_normal((1, 256, 100, 100), np.float32), corners.reshape(1, -1, 4)


def _deformable(rng: np.random.Generator) -> Arrays:
    x, weight = rng.standard_normal((1, 256, 64, 64), np.float32), rng.standard_normal((256, 256, 3, 3), np.float32)
    offset = 2 * rng.standard_normal((1, 18, 64, 64), np.float32)
    return x, offset, weight / np.float32(48), np.zeros(256, np.float32)


def _candidates(rng: np.random.Generator) -> Arrays:
    """5000 boxes of 80 classes, most of them around 50 objects."""
    centres = rng.uniform(0, 800, (50, 2))[rng.integers(0, 50, 5000)] + rng.normal(0, 10, (5000, 2))
    sides = rng.uniform(20, 200, (5000, 2))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), 1)
    scores, labels = rng.random((1, 5000), np.float32), rng.integers(0, 80, (1, 5000)).astype(np.float32)
    return boxes[None].astype(np.float32), scores, labels, np.full(1, 0.6, np.float32)


def _shifted_maxima(axis: int, length: int) -> str:
    """Corner pooling without a scan: the maximum with shifted copies, log2(length) times, doubling the shift."""
    lines: list[str] = []
    name, step = "x", 1
    while step < length:
        lines.append(f"""
            from_{step} = Constant <value = int64[1] {{{step}}}> ()
            shifted_{step} = Slice ({name}, from_{step}, end, axis)
            after_{step} = Constant <value = int64[2] {{0, {step}}}> ()
            padded_{step} = Pad (shifted_{step}, after_{step}, lowest, axis)
            max_{step} = Max ({name}, padded_{step})""")
        name, step = f"max_{step}", step * 2
    return f"""
        end = Constant <value = int64[1] {{{length}}}> ()
        axis = Constant <value = int64[1] {{{axis}}}> ()
        lowest = Constant <value_float = -inf> ()
        {"".join(lines)}
        y = Identity ({name})"""


def _proposals(rng: np.random.Generator) -> Arrays:
    """The levels of a pyramid at 800 x 1216 px, and 1000 boxes of 16 to 600 px."""
    levels = [rng.standard_normal((1, 256, 200 >> i, 304 >> i), np.float32) for i in range(4)]
    image = np.array((1216, 800))
    sides, centres = np.exp(rng.uniform(np.log(16), np.log(600), (1, 1000, 2))), rng.random((1, 1000, 2)) * image
    corners = np.stack((centres - sides / 2, centres + sides / 2), 2).clip(0, image)
    boxes = corners.reshape(1, 1000, 4).astype(np.float32)
    return *levels, boxes, boxes


def _shifted_proposals(rng: np.random.Generator) -> Arrays:
    """The same, and the shifts of 49 bins."""
    return *_proposals(rng), rng.standard_normal((1, 1000, 2, 49), np.float32) / np.float32(10)


def _lines_of_text(rng: np.random.Generator) -> Arrays:
    """The three finest levels of a pyramid at 800 x 1216 px, and 100 bent lines of 16 to 200 px."""
    levels = [rng.standard_normal((1, 256, 200 >> i, 304 >> i), np.float32) for i in range(3)]
    heights = np.exp(rng.uniform(np.log(16), np.log(200), (1, 100, 1, 1)))
    along, across = np.array([0, 1, 2, 3, 3, 2, 1, 0]), np.repeat((0, 1), 4)
    points = heights * (np.stack((along, across), 1) + rng.uniform(-0.3, 0.3, (1, 100, 8, 2)))
    curves = points + rng.random((1, 100, 1, 2)) * np.array((900, 700))
    return *levels, curves.reshape(1, 100, 16).astype(np.float32)


_CONVOLUTION = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1, "offset_group": 1}
_BINS = {"output_height": 7, "output_width": 7}

WORKLOADS = (
    Workload("border_align 1x256x100x100, pool 10", "BorderAlign", _borders, {"pool_size": 10}),
    Workload(
        "corner_pool over W, 1x128x128x128",
        "LeftPool",
        _maps(1, 128, 128, 128),
        rivals={"shifted maxima": _shifted_maxima(3, 128)},
    ),
    Workload(
        "corner_pool over H, 1x128x128x128",
        "TopPool",
        _maps(1, 128, 128, 128),
        rivals={"shifted maxima": _shifted_maxima(2, 128)},
    ),
    Workload("dfl 8400x4x17", "Dfl", _maps(1, 8400, 4 * 17)),
    Workload("nms 5000 boxes, 80 classes", "Nms", _candidates, {"classes": 80, "limit": 100}),
    Workload(
        "deform_conv 1x256x64x64, 3x3",
        "DeformConv",
        _deformable,
        _CONVOLUTION,
        {"plain Conv": "y = Conv <pads = [1, 1, 1, 1]> (x, weight, bias)"},
    ),
    Workload(
        "roi_align 1000 boxes, 256 channels, 7x7",
        "RoiAlign4",
        _proposals,
        _BINS | {"stride": 4, "sampling_ratio": 0, "aligned": 1, "minimum": 0, "finest_scale": 56},
    ),
    Workload(
        "prroi_pool 1000 boxes, 256 channels, 7x7", "PrRoiPool4", _proposals, _BINS | {"stride": 4, "finest_scale": 56}
    ),
    Workload(
        "deform_roi_pool 1000 boxes, 256 channels, 7x7",
        "DeformRoiPool4",
        _shifted_proposals,
        _BINS | {"stride": 4, "samples": 4, "finest_scale": 56},
    ),
    Workload(
        "bezier_align 100 regions, 256 channels, 8x32",
        "BezierAlign3",
        _lines_of_text,
        {"output_height": 8, "output_width": 32, "stride": 4, "finest_scale": 48},
    ),
)
