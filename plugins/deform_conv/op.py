"""Deformable convolution (Dai et al., arXiv 1703.06211) and its modulated form (Zhu et al., arXiv 1811.11168).

    y(p) = sum_k w_k * m_k(p) * x(p + p_k + d_k(p)) + b

x is sampled bilinearly and is zero outside the image. d_k(p) is the learned offset of tap k, stored as (dy, dx) pairs,
ordered by offset group and then by tap in row-major order. m_k(p) is the mask (1 if absent).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.node import node


@torch.library.custom_op("detforge::deform_conv", mutates_args=())
def deform_conv(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Tensor:
    """Deformable convolution. Reference implementation in plain torch.

    Shapes: x (n, c, h, w), offset (n, 2 * offset_groups * kh * kw, h', w') in input pixels, weight
    (c', c / groups, kh, kw), mask (n, offset_groups * kh * kw, h', w') or None, bias (c',) or None, result
    (n, c', h', w'). Stride, padding and dilation are (vertical, horizontal).
    """
    return _computed(x, offset, weight, mask, bias, stride, padding, dilation, groups, offset_groups)


def _computed(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Tensor:
    """The operator in differentiable torch."""
    n, channels, height, width = x.shape
    out_channels, _, kh, kw = weight.shape
    out_h, out_w = offset.shape[2:]
    taps = kh * kw

    def positions(axis: int, size: int, kernel: int) -> Tensor:
        start = torch.arange(size, device=x.device) * stride[axis] - padding[axis]
        return (start[None, :] + torch.arange(kernel, device=x.device)[:, None] * dilation[axis]).to(x.dtype)

    shift = offset.reshape(n * offset_groups, taps, 2, out_h, out_w)
    # Positions far outside, infinite or NaN give 0, as those just outside do.
    y = (positions(0, out_h, kh).repeat_interleave(kw, 0)[:, :, None] + shift[:, :, 0]).clamp(-2, height + 1)
    x_ = (positions(1, out_w, kw).repeat(kh, 1)[:, None, :] + shift[:, :, 1]).clamp(-2, width + 1)
    # Coordinates of grid_sample: -1 and 1 are the outer edges of the first and the last pixel.
    grid = torch.stack(((2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1), -1).nan_to_num(-3)
    samples = F.grid_sample(
        x.reshape(n * offset_groups, channels // offset_groups, height, width),
        grid.reshape(n * offset_groups, taps * out_h, out_w, 2),
        align_corners=False,
    ).reshape(n, offset_groups, channels // offset_groups, taps, out_h, out_w)
    if mask is not None:
        samples = samples * mask.reshape(n, offset_groups, 1, taps, out_h, out_w)
    samples = samples.reshape(n, groups, channels // groups * taps, out_h * out_w)
    kernel = weight.reshape(groups, out_channels // groups, channels // groups * taps)
    result = torch.matmul(kernel, samples).reshape(n, out_channels, out_h, out_w)
    return result if bias is None else result + bias[:, None, None]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.geometry = inputs[5:]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Compute the operator again, with its gradients: the samples of a forward pass would take much memory."""
    needed = [i for i in range(5) if ctx.needs_input_grad[i]]
    with torch.enable_grad():
        inputs = [None if one is None else one.detach() for one in ctx.saved_tensors]
        learned = [inputs[i].requires_grad_() for i in needed]
        result = _computed(*inputs, *ctx.geometry)
        found = torch.autograd.grad(result, learned, gradient)
    gradients: list[Tensor | None] = [None] * (5 + len(ctx.geometry))
    for i, value in zip(needed, found, strict=True):
        gradients[i] = value
    return tuple(gradients)


@deform_conv.register_fake
def _(x: Tensor, offset: Tensor, weight: Tensor, *_: Any) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[0], offset.shape[2], offset.shape[3]))


deform_conv.register_autograd(_backward, setup_context=_remember)


class DeformConv(nn.Module):
    """A deformable convolution. A plain convolution predicts its offsets, and if `modulated` its masks.

    Shapes as for `nn.Conv2d`. Parameters: `weight`, `bias` and `conv_offset.*`, as OpenMMLab stores them. `conv_offset`
    has 2 * offset_groups * kernel^2 offset channels, then one mask logit per tap.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        groups: int = 1,
        offset_groups: int = 1,
        bias: bool = True,
        modulated: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.padding = (stride, stride), (padding, padding)
        self.groups, self.offset_groups, self.modulated = groups, offset_groups, modulated
        taps = offset_groups * kernel * kernel
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.conv_offset = nn.Conv2d(in_channels, (3 if modulated else 2) * taps, kernel, stride, padding)
        nn.init.kaiming_normal_(self.weight)
        nn.init.zeros_(self.conv_offset.weight)  # Training starts from a plain convolution.
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        offset, mask = self.conv_offset(x), None
        if self.modulated:
            taps = offset.shape[1] // 3
            offset, mask = offset.split((2 * taps, taps), 1)
            mask = mask.sigmoid()
        geometry = (self.stride, self.padding, (1, 1), self.groups, self.offset_groups)
        return deform_conv(x, offset, self.weight, mask, self.bias, *geometry)


def _function(name: str, inputs: str, standard_inputs: str) -> str:
    return f"""
        <domain: "detforge", opset_import: ["" : 20]>
        {name} <strides, pads, dilations, group, offset_group, plugin_version, plugin_namespace> ({inputs}) => (y) {{
            y = DeformConv <
                strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations,
                group: int = @group, offset_group: int = @offset_group
            > ({standard_inputs})
        }}"""


# ONNX's DeformConv takes the same inputs in another order.
FUNCTIONS = (
    _function("DeformConv", "x, offset, weight, bias", "x, weight, offset, bias"),
    _function("ModulatedDeformConv", "x, offset, mask, weight, bias", "x, weight, offset, bias, mask"),
)

_NODE, _MODULATED_NODE = map(node, FUNCTIONS)


def to_onnx(
    x: Any,
    offset: Any,
    weight: Any,
    mask: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Any:
    """Add the node of `deform_conv` to an exported graph. The node needs a bias, so zeros replace a missing one."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    if bias is None:
        bias = op.CastLike(op.Constant(value_floats=[0.0] * weight.shape[0]), weight)
    attributes: dict[str, Any] = {
        "strides": stride,
        "pads": (*padding, *padding),
        "dilations": dilation,
        "group": groups,
        "offset_group": offset_groups,
    }
    if mask is None:
        return _NODE(x, offset, weight, bias, **attributes)
    return _MODULATED_NODE(x, offset, mask, weight, bias, **attributes)


def _plain(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, **attributes: Any) -> Tensor:
    return _modulated(x, offset, None, weight, bias, **attributes)


def _modulated(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
    offset_group: int,
) -> Tensor:
    return deform_conv(x, offset, weight, mask, bias, strides, pads[:2], dilations, group, offset_group)


REFERENCES = {"DeformConv": _plain, "ModulatedDeformConv": _modulated}
TRANSLATIONS = {torch.ops.detforge.deform_conv.default: to_onnx}
