"""Grid R-CNN's head by its definition in float64."""

import numpy as np
import torch
from torch.nn import functional as F

from detforge.models.blocks import Norm
from detforge.models.heads.grid import GridHead


def test_neighbours_give_their_features_twice() -> None:
    torch.manual_seed(0)
    width = 4
    head = GridHead(8, width=width, convs=2, norm=Norm("gn", groups=9)).eval().double()
    features = torch.randn(1, 2, 8, 6, 6, dtype=torch.float64)
    with torch.inference_mode():
        found = head(features)["points"]
        x = head.convs(features[0])
        own = {(i, j): x[:, (3 * i + j) * width : (3 * i + j + 1) * width] for i in range(3) for j in range(3)}
        taken = own
        for layers in (head.forder_trans, head.sorder_trans):
            # OpenMMLab's order of a point's layers: left, above, below, right; (i, j) is the column and the row.
            steps = ((-1, 0), (0, -1), (0, 1), (1, 0))
            joined = {}
            for (i, j), value in own.items():
                near = [(i + a, j + b) for a, b in steps if (i + a, j + b) in own]
                assert len(near) == len(layers[3 * i + j])
                joined[i, j] = value + sum(
                    F.conv2d(
                        F.conv2d(taken[place], depthwise.weight, depthwise.bias, padding=2, groups=width),
                        pointwise.weight,
                        pointwise.bias,
                    )
                    for place, (depthwise, pointwise) in zip(near, layers[3 * i + j], strict=True)
                )
            taken = joined
        # Each point has transposed convolutions of its own.
        for i, (own_features, maps) in enumerate(zip(taken.values(), found[0].unbind(1), strict=True)):
            rows = slice(i * width, (i + 1) * width)
            y = F.conv_transpose2d(own_features, head.deconv1.weight[rows], head.deconv1.bias[rows], 2, 1)
            y = F.group_norm(y, 1, head.norm1.weight[rows], head.norm1.bias[rows]).relu()
            y = F.conv_transpose2d(y, head.deconv2.weight[rows], head.deconv2.bias[i : i + 1], 2, 1)
            torch.testing.assert_close(maps.double(), y[:, 0], rtol=0, atol=1e-5)


def test_sides_are_means_of_the_points_on_them() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-6, 1, (9, 28, 28))
    cells = random.integers(0, 28, (9, 2))  # x, y
    for point, (x, y) in enumerate(cells):
        logits[point, y, x] = 3 * random.random()
    region = np.array([30.0, 50.0, 110.0, 90.0])
    width, height = 80.0, 40.0
    weights, places = [], []
    for point, (x, y) in enumerate(cells):
        column, row = divmod(point, 3)
        # Twice the region has 56 cells a side; the maps of the middle points begin at a quarter of it.
        px = region[0] - width / 2 + (x + 14 * column + 0.5) / 56 * 2 * width
        py = region[1] - height / 2 + (y + 14 * row + 0.5) / 56 * 2 * height
        weights.append(1 / (1 + np.exp(-logits[point, y, x])))
        places.append((px, py))
    expected = [
        sum(weights[i] * places[i][axis] for i in on) / sum(weights[i] for i in on)
        for axis, on in ((0, (0, 1, 2)), (1, (0, 3, 6)), (0, (6, 7, 8)), (1, (2, 5, 8)))
    ]
    regions = torch.from_numpy(np.stack((region, np.zeros(4))))[None].float()
    points = torch.from_numpy(np.stack((logits, logits)))[None].float()
    found = GridHead(8, width=4, convs=1, norm=Norm("gn", groups=9)).boxes({"points": points}, regions)
    np.testing.assert_allclose(found[0, 0], expected, rtol=0, atol=1e-4)
    assert not found[0, 1].any()
