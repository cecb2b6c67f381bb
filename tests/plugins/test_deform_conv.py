"""Deformable convolution against mmcv, against its formula, and against the plain convolution that it extends."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops
from torch import Tensor
from torch.nn import functional as F

from detforge.plugins.deform_conv.op import DeformConv, deform_conv

CASES = {case["name"]: case for case in load_ops("deform_conv")}
GEOMETRY = ("stride", "padding", "dilation", "groups", "deform_groups")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_equals_mmcv(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    given = {argument: torch.from_numpy(value).to(dtype) for argument, value in case["in"].items()}
    geometry = [case["args"][argument] for argument in GEOMETRY]
    tensors = (given.get(argument) for argument in ("x", "offset", "weight", "mask", "bias"))
    result = deform_conv(*tensors, *both_axes(geometry))
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), case["out"]["y"], atol=1e-5, rtol=1e-5)


def both_axes(geometry: Sequence[Any]) -> list[Any]:
    """The geometry with one stride, padding and dilation for each axis."""
    *steps, groups, offset_groups = geometry
    return [*(step if isinstance(step, list) else [step, step] for step in steps), groups, offset_groups]


def arguments(x: tuple[int, ...], weight: tuple[int, ...], geometry: tuple[int, ...], scale: float) -> list[Tensor]:
    """Random double x, offset, weight and mask; offsets with the given standard deviation in pixels."""
    stride, padding, dilation, _, offset_groups = geometry
    rng = torch.Generator().manual_seed(0)
    taps = weight[2] * weight[3]
    out = [(x[2 + i] + 2 * padding - dilation * (weight[2 + i] - 1) - 1) // stride + 1 for i in (0, 1)]
    shapes = (x, (x[0], 2 * offset_groups * taps, *out), weight, (x[0], offset_groups * taps, *out))
    values = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [values[0], values[1] * scale, values[2], values[3].sigmoid()]


def formula(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor, geometry: tuple[int, ...]) -> np.ndarray:
    """y(p) = sum_k w_k * m_k(p) * x(p + p_k + d_k(p)), one product at a time, of one image."""
    stride, padding, dilation, groups, offset_groups = geometry
    x_, d, w, m = x[0].numpy(), offset[0].numpy(), weight.numpy(), mask[0].numpy()
    (channels, height, width), (out_channels, per_group, kh, kw) = x_.shape, w.shape
    y = np.zeros((out_channels, *d.shape[1:]))

    def at(c: int, i: float, j: float) -> float:
        top, left = math.floor(i), math.floor(j)
        corners = itertools.product((top, top + 1), (left, left + 1))
        return sum(
            x_[c, p, q] * (1 - abs(i - p)) * (1 - abs(j - q)) for p, q in corners if 0 <= p < height and 0 <= q < width
        )

    for o, i, j in np.ndindex(y.shape):
        for part, ki, kj in np.ndindex(per_group, kh, kw):
            c = o // (out_channels // groups) * per_group + part
            tap = c // (channels // offset_groups) * kh * kw + ki * kw + kj
            row = i * stride - padding + ki * dilation + d[2 * tap, i, j]
            column = j * stride - padding + kj * dilation + d[2 * tap + 1, i, j]
            y[o, i, j] += w[o, part, ki, kj] * m[tap, i, j] * at(c, row, column)
    return y[None]


@pytest.mark.parametrize("scale", [0.0, 1.5, 1e4])
@pytest.mark.parametrize(
    ("x", "weight", "geometry"),
    [
        ((1, 2, 5, 6), (3, 2, 3, 3), (1, 1, 1, 1, 1)),
        ((1, 4, 6, 5), (4, 2, 3, 2), (2, 2, 2, 2, 2)),
        ((1, 4, 4, 4), (4, 1, 1, 1), (1, 0, 1, 4, 4)),
        ((1, 1, 1, 1), (1, 1, 3, 3), (1, 1, 1, 1, 1)),
    ],
)
def test_equals_the_formula(
    x: tuple[int, ...], weight: tuple[int, ...], geometry: tuple[int, ...], scale: float
) -> None:
    given = arguments(x, weight, geometry, scale)
    np.testing.assert_allclose(
        deform_conv(*given, None, *both_axes(geometry)).numpy(), formula(*given, geometry), atol=1e-11
    )


def test_without_offsets_it_is_a_convolution() -> None:
    x, offset, weight, _ = arguments((2, 4, 7, 9), (6, 2, 3, 3), (2, 1, 1, 2, 1), 0.0)
    expected = F.conv2d(x, weight, stride=2, padding=1, groups=2)
    torch.testing.assert_close(deform_conv(x, offset, weight, None, None, *both_axes((2, 1, 1, 2, 1))), expected)


def test_layer_starts_as_a_convolution_and_keeps_published_names() -> None:
    layer = DeformConv(4, 6, 3, 2, 1, bias=False)
    x = torch.randn(1, 4, 8, 9)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, stride=2, padding=1), atol=1e-5, rtol=1e-4)
    assert sorted(layer.state_dict()) == ["conv_offset.bias", "conv_offset.weight", "weight"]


def test_shape_rule_equals_the_result() -> None:
    geometry = (2, 1, 1, 2, 2)
    given = arguments((2, 4, 7, 9), (6, 2, 3, 3), geometry, 1.0)
    torch.library.opcheck(
        deform_conv, (*given, None, *both_axes(geometry)), test_utils=("test_schema", "test_faketensor")
    )
