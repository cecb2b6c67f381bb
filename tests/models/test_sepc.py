"""SEPC's FSAF head, of which there are no reference numbers, against its definition in float64."""

import numpy as np
import torch

from detforge.models.heads.sepc import SEPCFSAFHead


def test_boxes_are_distances_from_the_middle_of_cells() -> None:
    torch.manual_seed(0)
    head = SEPCFSAFHead(2, 8, strides=(8, 16))
    shapes = [(5, 6), (3, 4)]
    logits = {
        name: [torch.randn(1, channels, *shape) for shape in shapes]
        for name, channels in (("classes", 2), ("sides", 4))
    }
    outputs = head.decode(logits)
    boxes, scores = [], []
    for classes, sides, stride in zip(logits["classes"], logits["sides"], head.strides, strict=True):
        height, width = sides.shape[2:]
        for y in range(height):
            for x in range(width):
                bottom, top, left, right = np.maximum(sides[0, :, y, x].double().numpy(), 0) * stride
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                boxes.append((cx - left, cy - top, cx + right - 1, cy + bottom - 1))
                held = y < height - 2 and x < width - 2
                scores.append(held / (1 + np.exp(-classes[0, :, y, x].double().numpy())))
    np.testing.assert_allclose(outputs["boxes"][0].numpy(), boxes, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"][0].numpy(), scores, atol=1e-6)
