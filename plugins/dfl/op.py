"""Decoding of box sides from distributions (Li et al., "Generalized Focal Loss", arXiv 2006.04388, equation 5).

A side's distance is the expectation over its r bins, in strides:

    d = sum over b = 0..r - 1 of b * softmax(logits)_b

`dfl_boxes` returns the box around each point: (x - l s, y - t s, x + r s, y + b s) for point (x, y) of stride s.
"""

import torch
from torch import Tensor

from ..core.node import node


def expectation(logits: Tensor) -> Tensor:
    """The expectation over the r bins of the last axis, which is removed. Differentiable, for training."""
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    return logits.softmax(-1) @ bins


@torch.library.custom_op("detforge::dfl", mutates_args=())
def dfl(logits: Tensor) -> Tensor:
    """Distances of box sides. Reference implementation in plain torch.

    Shapes: logits (n, a, 4 * r) in the order left, top, right, bottom; result (n, a, 4) in strides.
    """
    return expectation(logits.reshape(*logits.shape[:2], 4, logits.shape[2] // 4))


@torch.library.custom_op("detforge::dfl_boxes", mutates_args=())
def dfl_boxes(logits: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes around points. Reference implementation in plain torch.

    Shapes: logits (n, a, 4 * r), points (a, 2) xy px, strides (a, 1) px, result (n, a, 4) xyxy px.
    """
    ltrb = dfl(logits) * strides
    return torch.cat((points - ltrb[..., :2], points + ltrb[..., 2:]), -1)


@dfl.register_fake
def _(logits: Tensor) -> Tensor:
    return logits.new_empty((*logits.shape[:2], 4))


@dfl_boxes.register_fake
def _(logits: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    return logits.new_empty((*logits.shape[:2], 4))


# `ltrb` from `logits`, in float, since half-precision probabilities are too coarse for box sides.
_DISTANCES = """
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        four = Constant <value = int64[1] {4}> ()
        channels = Shape <start = 2> (logits)
        bin_count = Div (channels, four)
        side_count = Constant <value = int64[1] {-1}> ()
        row_sizes = Concat <axis = 0> (side_count, bin_count)
        rows = Reshape (logits, row_sizes)
        rows_float = Cast <to = 1> (rows)
        shares = Softmax <axis = -1> (rows_float)
        bin_limit = Squeeze (bin_count)
        bin_numbers = Range (zero, bin_limit, one)
        bins = Cast <to = 1> (bin_numbers)
        column = Constant <value = int64[1] {1}> ()
        bin_column = Unsqueeze (bins, column)
        distances = MatMul (shares, bin_column)
        points_shape = Shape <end = 2> (logits)
        sizes = Concat <axis = 0> (points_shape, four)
        ltrb = Reshape <allowzero = 1> (distances, sizes)"""

FUNCTIONS = (
    f"""
    <domain: "detforge", opset_import: ["" : 20]>
    Dfl <plugin_version, plugin_namespace> (logits) => (y) {{{_DISTANCES}
        y = CastLike (ltrb, logits)
    }}""",
    f"""
    <domain: "detforge", opset_import: ["" : 20]>
    DflBoxes <plugin_version, plugin_namespace> (logits, points, strides) => (y) {{{_DISTANCES}
        strides_float = Cast <to = 1> (strides)
        ltrb_pixels = Mul (ltrb, strides_float)
        signs = Constant <value = float[4] {{-1.0, -1.0, 1.0, 1.0}}> ()
        shift = Mul (ltrb_pixels, signs)
        points_float = Cast <to = 1> (points)
        points_twice = Concat <axis = -1> (points_float, points_float)
        boxes = Add (points_twice, shift)
        y = CastLike (boxes, logits)
    }}""",
)

REFERENCES = {"Dfl": dfl, "DflBoxes": dfl_boxes}
TRANSLATIONS = {
    torch.ops.detforge.dfl.default: node(FUNCTIONS[0]),
    torch.ops.detforge.dfl_boxes.default: node(FUNCTIONS[1]),
}
