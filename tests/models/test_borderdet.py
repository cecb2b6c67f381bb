"""BorderDet's head against its definition in float64 (arXiv 2007.11056), and the layout of the authors' checkpoints."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from detforge.models.heads.borderdet import BorderDetHead

CLASSES, CHANNELS, STRIDES = 3, 16, (8, 16)
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def head() -> BorderDetHead:
    """A head with weights of a size that reaches every branch of the formulas."""
    torch.manual_seed(0)
    head = BorderDetHead(CLASSES, CHANNELS, stacked=2, strides=STRIDES)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            spread = 0.3 if parameter.ndim < 2 else parameter[0].numel() ** -0.5
            parameter.copy_(spread * torch.randn_like(parameter) + name.endswith(("gn.weight", "scale")))
        head.conv_reg.bias += 2
    return head.eval()


class Oracle:
    """The head's definition, one image at a time."""

    def __init__(self, head: BorderDetHead) -> None:
        self.state = {key: value.double() for key, value in head.state_dict().items()}

    def __call__(self, levels: list[Array]) -> dict[str, Array]:
        rows = [self.level(x, i) for i, x in enumerate(levels)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def level(self, x: Array, index: int) -> dict[str, Array]:
        """Of one level (channels, h, w): `boxes` (h * w, 4), `scores` and `quality` (h * w, classes)."""
        stride, (height, width) = STRIDES[index], x.shape[1:]
        classes, sides = self.tower(x, "cls_convs"), self.tower(x, "reg_convs")
        scale = self.state[f"scales.{index}.scale"].item()
        ltrb = np.maximum(scale * self.conv(sides, "conv_reg"), 0) * stride
        first = np.array(
            [
                (x * stride - left, y * stride - top, x * stride + right, y * stride + bottom)
                for y in range(height)
                for x in range(width)
                for left, top, right, bottom in [ltrb[:, y, x]]
            ]
        )
        cells = np.clip(first / stride, 0, [width - 1, height - 1, width - 1, height - 1])
        deltas = self.conv(self.borders(sides, "border_bbox_subnet", cells), "border_bbox_pred")
        deltas = deltas.reshape(4, -1).T
        w, h = first[:, 2] - first[:, 0], first[:, 3] - first[:, 1]
        centerness = sigmoid(self.conv(sides, "conv_centerness").reshape(1, -1).T)
        scores = sigmoid(self.conv(classes, "conv_cls").reshape(CLASSES, -1).T)
        quality = self.conv(self.borders(classes, "border_cls_subnet", cells), "border_cls_score")
        return {
            "boxes": first + deltas * 0.5 * np.stack((w, h, w, h), 1),
            "scores": np.sqrt(scores * centerness),
            "quality": sigmoid(quality.reshape(CLASSES, -1).T),
        }

    def conv(self, x: Array, name: str) -> Array:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.conv2d(torch.from_numpy(x)[None], weight, bias, padding=weight.shape[-1] // 2)[0].numpy()

    def tower(self, x: Array, name: str) -> Array:
        for i in range(2):
            x = normalised(self.conv(x, f"{name}.{i}.conv"), groups=4)
            weight, bias = (self.state[f"{name}.{i}.gn.{part}"].numpy()[:, None, None] for part in ("weight", "bias"))
            x = np.maximum(x * weight + bias, 0)
        return x

    def borders(self, x: Array, name: str, cells: Array) -> Array:
        """Point and border features, mixed by a convolution: (channels, h, w)."""
        point = np.maximum(normalised(self.conv(x, f"{name}.cur_point_conv.0")), 0)
        maps = np.maximum(normalised(self.conv(x, f"{name}.ltrb_conv.0")), 0)
        pooled = np.stack([border_features(maps, box) for box in cells], 1).reshape(-1, *x.shape[1:])
        return np.maximum(self.conv(np.concatenate((pooled, point)), f"{name}.border_conv.0"), 0)


def border_features(maps: Array, box: Array) -> Array:
    """The largest of 11 samples on the top, left, bottom and right border, each from its own quarter of the maps."""
    x1, y1, x2, y2 = box
    steps = [i / 10 for i in range(11)]
    lines = (
        [(x1 + t * (x2 - x1), y1) for t in steps],
        [(x1, y1 + t * (y2 - y1)) for t in steps],
        [(x2 - t * (x2 - x1), y2) for t in steps],
        [(x2, y2 - t * (y2 - y1)) for t in steps],
    )
    quarters = np.split(maps, 4)
    return np.concatenate([np.max([sample(q, *p) for p in line], 0) for q, line in zip(quarters, lines, strict=True)])


def sample(maps: Array, x: float, y: float) -> Array:
    """Bilinear: every cell counts by how near it is, up to one cell away."""
    rows = np.maximum(0, 1 - np.abs(np.arange(maps.shape[1]) - y))
    columns = np.maximum(0, 1 - np.abs(np.arange(maps.shape[2]) - x))
    return (maps * rows[:, None] * columns).sum((1, 2))


def normalised(x: Array, groups: int | None = None) -> Array:
    """Zero mean and unit variance in every group of channels; every channel by itself without `groups`."""
    parts = x.reshape(groups or len(x), -1)
    return ((parts - parts.mean(1, keepdims=True)) / np.sqrt(parts.var(1, keepdims=True) + 1e-5)).reshape(x.shape)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_head_equals_its_definition(head: BorderDetHead) -> None:
    """Two images at once: the normalisation of one must not see the other."""
    draw = torch.Generator().manual_seed(1)
    levels = [torch.randn(2, CHANNELS, 6, 9, generator=draw), torch.randn(2, CHANNELS, 3, 5, generator=draw)]
    with torch.inference_mode():
        got = head.decode(head(levels))
    assert {name: value.shape for name, value in got.items()} == {
        "boxes": (2, 69, 4),
        "scores": (2, 69, CLASSES),
        "quality": (2, 69, CLASSES),
    }
    oracle = Oracle(head)
    for i in range(2):
        expected = oracle([x[i].double().numpy() for x in levels])
        assert expected["scores"].std() > 0.05
        assert expected["quality"].std() > 0.05
        for name, value in expected.items():
            np.testing.assert_allclose(got[name][i].numpy(), value, atol=1e-3 if name == "boxes" else 1e-5, rtol=1e-4)
