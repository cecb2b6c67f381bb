"""Corner pooling (Law and Deng, "CornerNet", arXiv 1808.01244, equations 6 and 7).

A corner of a box often lies outside the object, so each position takes the maximum of all values towards one border:

    top_pool     y[i, j] = max x[i:, j]     at or below
    bottom_pool  y[i, j] = max x[:i + 1, j]  at or above
    left_pool    y[i, j] = max x[i, j:]     at or right of
    right_pool   y[i, j] = max x[i, :j + 1]  at or left of

Shapes: (n, c, h, w) to the same. A NaN propagates to every later position.
"""

import torch
from torch import Tensor

from ..core.node import node


@torch.library.custom_op("detforge::top_pool", mutates_args=())
def top_pool(x: Tensor) -> Tensor:
    """The maximum at or below each position. Reference implementation in plain torch."""
    return _from_the_end(x, 2)


@torch.library.custom_op("detforge::bottom_pool", mutates_args=())
def bottom_pool(x: Tensor) -> Tensor:
    """The maximum at or above each position. Reference implementation in plain torch."""
    return x.cummax(2).values


@torch.library.custom_op("detforge::left_pool", mutates_args=())
def left_pool(x: Tensor) -> Tensor:
    """The maximum at or right of each position. Reference implementation in plain torch."""
    return _from_the_end(x, 3)


@torch.library.custom_op("detforge::right_pool", mutates_args=())
def right_pool(x: Tensor) -> Tensor:
    """The maximum at or left of each position. Reference implementation in plain torch."""
    return x.cummax(3).values


def _from_the_end(x: Tensor, axis: int) -> Tensor:
    return x.flip(axis).cummax(axis).values.flip(axis)


for _pool in (top_pool, bottom_pool, left_pool, right_pool):
    _pool.register_fake(torch.empty_like)


def _function(name: str, axis: int, rest: str, direction: int) -> str:
    """A Scan along `axis`, forward (0) or backward (1). Its state is the maximum over the `rest` of the axes."""
    # Empty maps bypass the Scan, since ONNX Runtime 1.31 divides by its length.
    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        {name} <plugin_version, plugin_namespace> (x) => (y) {{
            count = Size (x)
            zero = Constant <value_int = 0> ()
            has_values = Greater (count, zero)
            y = If <
                then_branch = pool () => (pooled) {{
                    sizes = Shape (x)
                    rest = Constant <value = int64[3] {rest}> ()
                    state_sizes = Gather (sizes, rest)
                    infinity = Constant <value = float[1] {{-inf}}> ()
                    lowest = CastLike (infinity, x)
                    state = Expand (lowest, state_sizes)
                    last, pooled = Scan <
                        num_scan_inputs = 1, scan_input_axes = [{axis}], scan_output_axes = [{axis}],
                        scan_input_directions = [{direction}], scan_output_directions = [{direction}],
                        body = step (before, line) => (after, result) {{
                            after = Max (before, line)
                            result = Identity (after)
                        }}
                    > (state, x)
                }},
                else_branch = keep () => (empty) {{
                    empty = Identity (x)
                }}
            > (has_values)
        }}"""


FUNCTIONS = (
    _function("TopPool", 2, "{0, 1, 3}", 1),
    _function("BottomPool", 2, "{0, 1, 3}", 0),
    _function("LeftPool", 3, "{0, 1, 2}", 1),
    _function("RightPool", 3, "{0, 1, 2}", 0),
)

REFERENCES = {"TopPool": top_pool, "BottomPool": bottom_pool, "LeftPool": left_pool, "RightPool": right_pool}
_OPS = torch.ops.detforge
_OVERLOADS = [op.default for op in (_OPS.top_pool, _OPS.bottom_pool, _OPS.left_pool, _OPS.right_pool)]
TRANSLATIONS = dict(zip(_OVERLOADS, map(node, FUNCTIONS), strict=True))
