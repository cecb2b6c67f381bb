"""The gradients of operators that networks train with, by finite differences."""

import pytest
import torch
from torch.autograd import gradcheck

from detforge.plugins.deform_conv.op import deform_conv


@pytest.mark.parametrize(("groups", "offset_groups", "modulated"), [(1, 1, False), (2, 1, True), (1, 2, True)])
def test_deform_conv(groups: int, offset_groups: int, modulated: bool) -> None:
    torch.manual_seed(0)

    def learned(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    taps = 9 * offset_groups
    # Positions stay between pixels: at a pixel the slope of a bilinear sample jumps.
    offset = (torch.rand(1, 2 * taps, 2, 3, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    mask = learned(1, taps, 2, 3) if modulated else None
    inputs = (learned(1, 4, 4, 5), offset, learned(2, 4 // groups, 3, 3), mask, learned(2))
    geometry = ((2, 2), (1, 1), (1, 1), groups, offset_groups)
    assert gradcheck(lambda *given: deform_conv(*given, *geometry), inputs)


def test_deform_conv_learns_only_what_is_asked() -> None:
    x, offset, weight = torch.randn(1, 1, 3, 3), torch.zeros(1, 18, 3, 3), torch.ones(1, 1, 3, 3, requires_grad=True)
    result = deform_conv(x, offset, weight, None, None, (1, 1), (1, 1), (1, 1), 1, 1)
    result.sum().backward()
    plain = torch.nn.functional.conv2d(x, weight, padding=1)
    expected = torch.autograd.grad(plain.sum(), weight)[0]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, expected)
