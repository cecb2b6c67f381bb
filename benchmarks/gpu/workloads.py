"""What the operators are timed on, and what one would run without our kernels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from timing import Run
from torch import Tensor
from torch.nn import functional

from detforge.plugins.operators import FLOAT_INPUTS, REFERENCES

TORCH_TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
Attributes = Mapping[str, int | tuple[int, ...]]
Arrays = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Workload:
    """One operator on one size: how many values memory must move, or how many operations it takes."""

    name: str
    op: str
    inputs: Callable[[np.random.Generator], Arrays]
    attributes: Attributes = field(default_factory=dict)
    values_moved: int = 0
    flops: float = 0.0
    dtypes: Sequence[str] = tuple(TORCH_TYPES)
    is_checked: bool = False  # against the reference in double

    def tensors(self, dtype: str, device: str) -> list[Tensor]:
        """Random inputs of a call of `dtype`."""
        floats = FLOAT_INPUTS.get(self.op, ())
        return [
            torch.from_numpy(x).to(device, torch.float32 if i in floats else TORCH_TYPES[dtype])
            for i, x in enumerate(self.inputs(np.random.default_rng(0)))
        ]


def workloads(small: bool = False) -> list[Workload]:
    """The sizes of the goals at batch 1, which caches hold, and at batch 16; tiny ones for a GPU that is emulated."""
    side, channels, cells, points, boxes = (9, 8, 10, 20, 40) if small else (128, 128, 100, 8400, 5000)
    wide = 16 if small else 256
    made: list[Workload] = []
    for n in (1,) if small else (1, 16):
        checked = {"is_checked": n == 1}
        map_shape, pooled = (n, channels, side, side), n * channels * side**2
        made += [
            Workload(_name(op, map_shape), op, _maps(map_shape), values_moved=2 * pooled, **checked)
            for op in ("TopPool", "BottomPool", "LeftPool", "RightPool")
        ]
        shape = (n, wide, cells, cells)
        moved = n * 2 * wide * cells**2
        made.append(
            Workload(_name("BorderAlign", shape), "BorderAlign", _borders(shape), {"pool_size": 10}, moved, **checked)
        )
        for bins in (16, 17):
            shape = (n * 8, points, 4 * bins)
            moved = n * 8 * points * 4 * (bins + 1)
            made.append(Workload(_name("Dfl", shape), "Dfl", _maps(shape), values_moved=moved, **checked))
        size = 8 if small else 64
        shapes = [(n, wide, size, size), (n, 18, size, size), (wide, wide, 3, 3), (wide,)]
        geometry = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1, "offset_group": 1}
        flops = 2.0 * n * wide * size**2 * wide * 9
        made.append(
            Workload(_name("DeformConv", shapes[0]), "DeformConv", _maps(*shapes), geometry, flops=flops, **checked)
        )
    shape = (1, wide, cells, cells)
    attributes = {"output_height": 7, "output_width": 7, "stride": 8, "sampling_ratio": 2, "aligned": 1, "minimum": 0}
    made.append(
        Workload(
            f"{_name('RoiAlign1', shape)}, {points // 8} boxes",
            "RoiAlign1",
            _regions(shape, points // 8),
            {**attributes, "finest_scale": 56},
            values_moved=wide * (cells**2 + points // 8 * 49),
            is_checked=True,
        )
    )
    for classes in (80, 1):
        name = f"Nms {boxes} boxes, {classes} classes"
        attributes = {"classes": classes, "limit": 100}
        made.append(Workload(name, "Nms", _candidates(boxes, classes), attributes, dtypes=["float32"], is_checked=True))
    return made


def rivals(workload: Workload) -> dict[str, Callable[[Sequence[Tensor]], Run]]:
    """Other ways to do the same, which are given the inputs. The last two of a convolution do not deform it."""
    reference = REFERENCES[workload.op]
    made: dict[str, Callable[[Sequence[Tensor]], Run]] = {
        "torch": lambda inputs: lambda: reference(*inputs, **workload.attributes)
    }
    if workload.op == "DeformConv":
        made |= {"torchvision": _torchvision, "im2col and product": _im2col, "plain convolution": _convolution}
    if workload.op == "Nms":
        made["torchvision"] = _torchvision_nms
    if workload.op == "RoiAlign1":
        made["torchvision"] = _torchvision_roi_align
    return made


def _torchvision(inputs: Sequence[Tensor]) -> Run:
    from torchvision.ops import deform_conv2d

    x, offset, weight, bias = inputs
    return lambda: deform_conv2d(x, offset, weight, bias, padding=1)


def _torchvision_nms(inputs: Sequence[Tensor]) -> Run:
    from torchvision.ops import batched_nms

    boxes, scores, labels = inputs[0][0], inputs[1][0], inputs[2][0].long()
    threshold = float(inputs[3][0])
    return lambda: batched_nms(boxes, scores, labels, threshold)


def _torchvision_roi_align(inputs: Sequence[Tensor]) -> Run:
    from torchvision.ops import roi_align

    x, boxes = inputs[0], [inputs[1][0].to(inputs[0].dtype)]
    return lambda: roi_align(x, boxes, 7, 1 / 8, 2, aligned=True)


def _im2col(inputs: Sequence[Tensor]) -> Run:
    x, _, weight, bias = inputs
    matrix, height, width = weight.flatten(1), *x.shape[2:]
    add = bias[:, None]
    return lambda: (matrix @ functional.unfold(x, 3, padding=1) + add).unflatten(2, (height, width))


def _convolution(inputs: Sequence[Tensor]) -> Run:
    x, _, weight, bias = inputs
    return lambda: functional.conv2d(x, weight, bias, padding=1)


def _name(op: str, shape: Sequence[int]) -> str:
    return f"{op} {'x'.join(map(str, shape))}"


def _maps(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: [rng.standard_normal(shape, np.float32) for shape in shapes]


def _borders(shape: tuple[int, int, int, int]) -> Callable[[np.random.Generator], Arrays]:
    """A map, and a box of a few cells around every cell, as BorderDet has them."""
    n, _, height, width = shape

    def make(rng: np.random.Generator) -> Arrays:
        rows, columns = np.mgrid[:height, :width]
        centres = np.broadcast_to(np.stack((columns, rows), -1).reshape(-1, 2), (n, height * width, 2))
        halves = rng.uniform(1, 8, centres.shape)
        boxes = np.concatenate((centres - halves, centres + halves), -1)
        return [rng.standard_normal(shape, np.float32), boxes.astype(np.float32)]

    return make


def _regions(shape: tuple[int, int, int, int], count: int) -> Callable[[np.random.Generator], Arrays]:
    """A map of stride 8, and boxes of 16 to 300 px in it."""

    def make(rng: np.random.Generator) -> Arrays:
        image = 8 * np.array(shape[:1:-1])
        centres, halves = rng.uniform(0, 1, (1, count, 2)) * image, np.exp(rng.uniform(2, 5, (1, count, 2)))
        boxes = np.concatenate((centres - halves, centres + halves), -1).astype(np.float32)
        return [rng.standard_normal(shape, np.float32), boxes, boxes]

    return make


def _candidates(count: int, classes: int) -> Callable[[np.random.Generator], Arrays]:
    """Boxes around 50 objects."""

    def make(rng: np.random.Generator) -> Arrays:
        centres = rng.uniform(0, 800, (50, 2))[rng.integers(0, 50, count)] + rng.normal(0, 10, (count, 2))
        halves = rng.uniform(10, 100, (count, 2))
        boxes = np.concatenate((centres - halves, centres + halves), 1)[None].astype(np.float32)
        labels = rng.integers(0, classes, (1, count)).astype(np.float32)
        return [boxes, rng.random((1, count), np.float32), labels, np.full(1, 0.6, np.float32)]

    return make
