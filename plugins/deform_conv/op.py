"""Deformable convolution (Dai et al., arXiv 1703.06211) and its modulated form (Zhu et al., arXiv 1811.11168).

    y(p) = sum_k w_k * m_k(p) * x(p + p_k + d_k(p)) + b

x is sampled bilinearly and is zero outside the image; d_k(p) is the learned offset of tap k, stored as (dy, dx)
pairs, tap by tap in row-major order, offset group by offset group; m_k(p) is the mask (1 when absent).

The exported node is the standard ONNX `DeformConv` (opset 19).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@torch.library.custom_op("detforge::deform_conv", mutates_args=())
def deform_conv(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    offset_groups: int,
) -> Tensor:
    """Deformable convolution, the reference in plain torch.

    Shapes: x (n, c, h, w), offset (n, 2 * offset_groups * kh * kw, h', w') in input pixels, weight
    (c', c / groups, kh, kw), mask (n, offset_groups * kh * kw, h', w') or None, result (n, c', h', w').
    """
    n, channels, height, width = x.shape
    out_channels, _, kh, kw = weight.shape
    out_h, out_w = offset.shape[2:]
    taps = kh * kw

    def positions(size: int, kernel: int) -> Tensor:
        start = torch.arange(size, device=x.device) * stride - padding
        return (start[None, :] + torch.arange(kernel, device=x.device)[:, None] * dilation).to(x.dtype)

    shift = offset.reshape(n * offset_groups, taps, 2, out_h, out_w)
    y = positions(out_h, kh).repeat_interleave(kw, 0)[:, :, None] + shift[:, :, 0]
    x_ = positions(out_w, kw).repeat(kh, 1)[:, None, :] + shift[:, :, 1]
    # grid_sample's own coordinates: -1 and 1 are the outer edges of the first and the last pixel.
    grid = torch.stack(((2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1), -1)
    samples = F.grid_sample(
        x.reshape(n * offset_groups, channels // offset_groups, height, width),
        grid.reshape(n * offset_groups, taps * out_h, out_w, 2),
        align_corners=False,
    ).reshape(n, offset_groups, channels // offset_groups, taps, out_h, out_w)
    if mask is not None:
        samples = samples * mask.reshape(n, offset_groups, 1, taps, out_h, out_w)
    samples = samples.reshape(n, groups, channels // groups * taps, out_h * out_w)
    kernel = weight.reshape(groups, out_channels // groups, channels // groups * taps)
    return torch.matmul(kernel, samples).reshape(n, out_channels, out_h, out_w)


@deform_conv.register_fake
def _(x: Tensor, offset: Tensor, weight: Tensor, *_: Any) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[0], offset.shape[2], offset.shape[3]))


def to_onnx(
    x: Any,
    offset: Any,
    weight: Any,
    mask: Any,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    offset_groups: int,
) -> Any:
    """The node that stands for `deform_conv` in an exported graph."""
    from onnxscript import opset20  # only an export needs it

    return opset20.DeformConv(
        x,
        weight,
        offset,
        None,
        mask,
        strides=[stride, stride],
        pads=[padding] * 4,
        dilations=[dilation, dilation],
        group=groups,
        offset_group=offset_groups,
    )


class DeformConv(nn.Module):
    """A deformable convolution whose offsets a plain convolution of the same geometry predicts.

    Shapes as for `nn.Conv2d`. Parameters: `weight` and `conv_offset.*`, as OpenMMLab stores them.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, padding: int, *, bias: bool
    ) -> None:
        super().__init__()
        if bias:
            raise ValueError("the published deformable layers carry no bias")
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.conv_offset = nn.Conv2d(in_channels, 2 * kernel * kernel, kernel, stride, padding)
        nn.init.kaiming_normal_(self.weight)
        nn.init.zeros_(self.conv_offset.weight)  # training starts from a plain convolution
        nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        offset = self.conv_offset(x)
        return deform_conv(x, offset, self.weight, None, self.stride, self.padding, 1, 1, 1)
