"""RoIAlign over the levels of a pyramid (He et al., arXiv 1703.06870; level rule: Lin et al., arXiv 1612.03144, eq. 1).

A region is divided into bins. A bin's value is the mean of its equidistant samples, which are bilinear:

    y(bin) = 1 / (m * n) * sum over i < m, j < n of x_level(top + (i + 0.5) / m * height, left + (j + 0.5) / n * width)

with the bin's top, left, height and width in cells of the level. m and n are the sampling ratio, or with ratio 0 the
region's height and width in cells per bin, rounded up. A sample more than one cell outside is 0; a sample up to one
cell outside takes the outermost cell.

- Level l has the stride `stride` * 2^l. A box goes to the largest l with 2^l <= sqrt(area) / `finest_scale` + 1e-6,
  else to 0. torchvision adds its epsilon to the logarithm instead, which differs in the last digits only.
- `aligned` subtracts half a cell from positions, so that cells are measured from their centres.
- A side of a region is at least `minimum` cells: 1 for torchvision's and mmdet's form that is not aligned, else 0.
- A region has no samples, and is 0, if the ratio is 0 and a side is not positive, or if a corner is NaN. Corners more
  than one map's size away from the map are moved there.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.node import node
from ..core.regions import CONSTANTS, MOST_LEVELS, Taps, aligned_pool, of_levels, place, placing, pool


@torch.library.custom_op("detforge::roi_align", mutates_args=())
def roi_align(
    levels: Sequence[Tensor],
    boxes: Tensor,
    output_size: Sequence[int],
    stride: int,
    sampling_ratio: int = 0,
    aligned: bool = True,
    minimum: int = 0,
    finest_scale: int = 56,
    regions: Tensor | None = None,
) -> Tensor:
    """Pool the features of each box, from the level of its size. Reference implementation in plain torch.

    Shapes: 1 to 5 levels (n, c, h_l, w_l), finest first, of any precision; boxes (n, k, 4) xyxy in px of the network's
    input, result (n, k, c, height, width) with `output_size` (height, width). `regions` (n, k, 4) are pooled in place
    of the boxes, which then only choose the level.
    """
    placed = place(levels, boxes, boxes if regions is None else regions, stride, finest_scale)
    left, top, right, bottom = (placed.cells - 0.5 * aligned).unbind(1)
    height, width = placed.sizes.unbind(1)
    rows = _taps(top, bottom, output_size[0], sampling_ratio, minimum, height)
    columns = _taps(left, right, output_size[1], sampling_ratio, minimum, width)
    return pool(levels, placed, rows, columns, output_size, boxes.shape[1])


@roi_align.register_fake
def _(levels: Sequence[Tensor], boxes: Tensor, output_size: Sequence[int], *_: Any, **__: Any) -> Tensor:
    return levels[0].new_empty((*boxes.shape[:2], levels[0].shape[1], *output_size))


def _taps(start: Tensor, end: Tensor, bins: int, ratio: int, minimum: int, size: Tensor) -> Taps:
    """Each sample is two taps. All (r,) but `bins`, `ratio` and `minimum`."""
    length = (end - start).clamp(min=minimum)
    samples = torch.full_like(length, ratio) if ratio else (length / bins).ceil()
    most = int(samples.max()) if len(samples) else 0
    number = torch.arange(most, device=start.device)
    bin_size, size = (length / bins)[:, None, None], size[:, None, None]
    first = start[:, None, None] + torch.arange(bins, device=start.device)[:, None] * bin_size
    position = first + (number + 0.5) * bin_size / samples[:, None, None]
    inside = (position >= -1) & (position <= size) & (number < samples[:, None, None])
    position = torch.minimum(position.where(inside, 0).clamp(min=0), size - 1)
    low = position.floor()
    fraction = position - low
    places = torch.stack((low, torch.minimum(low + 1, size - 1)), -1).long()
    weights = torch.stack((1 - fraction, fraction), -1) * inside[..., None] / samples.clamp(min=1)[:, None, None, None]
    return Taps(2 * samples.long(), places.flatten(2), weights.flatten(2))


_SIZES = """
                output_height: int = @output_height, output_width: int = @output_width,
                sampling_ratio: int = @sampling_ratio"""


# Half a cell is added where `aligned` is 0, as regions are pooled in the aligned form.
def _function(levels: int) -> str:
    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        RoiAlign{levels} <
            output_height, output_width, stride, sampling_ratio, aligned, minimum, finest_scale,
            plugin_version, plugin_namespace
        > ({of_levels("x", levels)}, boxes, regions) => (y) {{
            {CONSTANTS}
            {placing(levels)}
            starts = Slice (cells, zero, two_axes, one)
            ends = Slice (cells, two_axes, four_axes, one)
            least_number = Constant <value_int: int = @minimum> ()
            least_side = Cast <to = 1> (least_number)
            least_ends = Add (starts, least_side)
            far_ends = Max (ends, least_ends)
            sided = Concat <axis = 1> (starts, far_ends)
            is_aligned = Constant <value_int: int = @aligned> ()
            aligned_float = Cast <to = 1> (is_aligned)
            aligned_half = Mul (aligned_float, half)
            shift = Sub (half, aligned_half)
            rois = Add (sided, shift)
            {aligned_pool(levels, _SIZES)}
            map_shape = Shape <start = 2> (pooled)
            bins = ReduceProd (map_shape, zero)
            y_shape = Concat <axis = 0> (image_and_box, channels, bins)
            y_float = Reshape <allowzero = 1> (pooled, y_shape)
            y = CastLike (y_float, x0)
        }}"""


FUNCTIONS = tuple(_function(levels) for levels in range(1, MOST_LEVELS + 1))
FLOAT_INPUTS = {f"RoiAlign{levels}": (levels, levels + 1) for levels in range(1, MOST_LEVELS + 1)}
"""The boxes and the regions: a half-precision number is too coarse for them."""

_NODES = [node(text, (levels, levels + 1)) for levels, text in enumerate(FUNCTIONS, 1)]


def to_onnx(
    levels: Sequence[Any],
    boxes: Any,
    output_size: Sequence[int],
    stride: int,
    sampling_ratio: int = 0,
    aligned: bool = True,
    minimum: int = 0,
    finest_scale: int = 56,
    regions: Any = None,
) -> Any:
    """Add the node of `roi_align` to an exported graph. It has one axis for the bins, which is split behind it."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    height, width = output_size
    pooled = _NODES[len(levels) - 1](
        *levels,
        boxes,
        boxes if regions is None else regions,
        output_height=height,
        output_width=width,
        stride=stride,
        sampling_ratio=sampling_ratio,
        aligned=int(aligned),
        minimum=minimum,
        finest_scale=finest_scale,
    )
    return op.Reshape(pooled, op.Constant(value_ints=[0, 0, 0, height, width]))


def _reference(
    *inputs: Tensor,
    output_height: int,
    output_width: int,
    stride: int,
    sampling_ratio: int,
    aligned: int,
    minimum: int,
    finest_scale: int,
) -> Tensor:
    *levels, boxes, regions = inputs
    sizes = (output_height, output_width), stride, sampling_ratio, bool(aligned), minimum, finest_scale
    return roi_align(levels, boxes, *sizes, regions.clone()).flatten(3)


REFERENCES = dict.fromkeys(FLOAT_INPUTS, _reference)
TRANSLATIONS = {torch.ops.detforge.roi_align.default: to_onnx}
