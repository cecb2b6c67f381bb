"""NanoDet's head against its definition in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from detforge.models.heads.nanodet import NanoDetHead


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_boxes_follow_from_the_distributions(offset: float) -> None:
    torch.manual_seed(0)
    head = NanoDetHead(3, 8, conv=lambda i, o: nn.Conv2d(i, o, 1), strides=(8, 16), offset=offset).eval()
    levels = [torch.randn(1, 8, 4, 6), torch.randn(1, 8, 2, 3)]
    nn.init.normal_(head.gfl_cls[0].weight)
    with torch.inference_mode():
        raw = [last(convs(x)) for x, convs, last in zip(levels, head.cls_convs, head.gfl_cls, strict=True)]
        outputs = {name: value[0].double().numpy() for name, value in head.decode(head(levels)).items()}
    rows = []
    for maps, stride in zip(raw, (8, 16), strict=True):
        for y, x in np.ndindex(maps.shape[2:]):
            values = maps[0, :, y, x].double().numpy()
            weights = np.exp(values[3:].reshape(4, 8))
            sides = (weights * np.arange(8)).sum(1) / weights.sum(1) * stride
            point = np.array([x + offset, y + offset]) * stride
            rows.append([*(point - sides[:2]), *(point + sides[2:]), *(1 / (1 + np.exp(-values[:3])))])
    np.testing.assert_allclose(np.concatenate((outputs["boxes"], outputs["scores"]), 1), rows, atol=1e-4)
