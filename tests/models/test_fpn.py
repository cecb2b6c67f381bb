"""Where a pyramid's extra levels come from (the goldens show three of the ways)."""

import pytest
import torch

from detforge.models.necks.fpn import FPN


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("extra", ["output", "input", "lateral"])
def test_extra_levels(extra: str, relu: bool) -> None:
    torch.manual_seed(0)
    neck = FPN((4, 6, 8), 5, 5, extra=extra, relu=relu)
    levels = [torch.randn(1, c, size, size + 2) for c, size in ((4, 12), (6, 6), (8, 3))]
    with torch.inference_mode():
        outputs = neck(levels)
        lateral = neck.lateral_convs[2](levels[2])
        source = {"output": outputs[2], "input": levels[2], "lateral": lateral}[extra]
        p6 = neck.fpn_convs[3](source)
        p7 = neck.fpn_convs[4](p6.relu() if relu else p6)
        torch.testing.assert_close(outputs[2], neck.fpn_convs[2](lateral))
    torch.testing.assert_close(outputs[3], p6)
    torch.testing.assert_close(outputs[4], p7)
    assert [tuple(x.shape) for x in outputs] == [(1, 5, 12, 14), (1, 5, 6, 8), (1, 5, 3, 5), (1, 5, 2, 3), (1, 5, 1, 2)]
