"""A photograph through the whole runtime, against the reference's test pipeline written out step by step.

The steps are mmdet 3's for GFL: LoadImageFromFile, Resize (keep_ratio), DetDataPreprocessor, `filter_scores_and_topk`,
`_bbox_post_process`, `batched_nms`. The network is LD-R18 with the golden's weights.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from golden.reader import load
from numpy.typing import NDArray
from oracles import nms
from torch import nn

from detforge.deploy import Detector
from detforge.deploy.backends import Port
from detforge.deploy.card import Provenance, Suppress
from detforge.deploy.image import read_image
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

PHOTOGRAPH = Path(__file__).parents[2] / "examples" / "photos" / "gallery.jpg"
STRIDES = (8, 16, 32, 64, 128)


class TorchBackend:
    """The network in PyTorch as a backend, so that only the runtime around it is tested."""

    inputs = (Port("image", (None, 3, None, None)),)
    outputs = (Port("boxes", (None, None, 4)), Port("scores", (None, None, 80)))
    metadata: Mapping[str, str] = {}

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self.model(torch.from_numpy(feeds["image"])).items()}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    state = {key: torch.from_numpy(value) for key, value in load("ld_r18").state.items()}
    return load_variant(find("gfl_r18"), Checkpoint(state, "ld_r18", None, None))


def reference(model: nn.Module, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and labels of the 100 best, in px of the image."""
    h, w = image.shape[:2]
    scale = min(1333 / max(h, w), 800 / min(h, w))
    new_w, new_h = int(w * scale + 0.5), int(h * scale + 0.5)
    rgb = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    pixels = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    pixels = (pixels - mean[:, None, None]) / std[:, None, None]
    pixels = nn.functional.pad(pixels, (0, -new_w % 32, 0, -new_h % 32))
    with torch.inference_mode():
        logits = model.logits(pixels[None])
    boxes, scores, labels = [], [], []
    for classes, sides, stride in zip(logits["classes"], logits["sides"], STRIDES, strict=True):
        rows, columns = classes.shape[2:]
        score = classes[0].permute(1, 2, 0).reshape(-1, 80).sigmoid().double().numpy()
        bins = sides[0].permute(1, 2, 0).reshape(-1, 4, 17).double().softmax(-1).numpy()
        ltrb = (bins * np.arange(17)).sum(-1) * stride
        points = np.array([(x * stride, y * stride) for y in range(rows) for x in range(columns)], float)
        pairs = [(-score[p, c], p, c) for p, c in np.argwhere(score > 0.05)]
        for negative, p, c in sorted(pairs)[:1000]:
            left, top, right, bottom = ltrb[p]
            x, y = points[p]
            boxes.append((max(x - left, 0), max(y - top, 0), min(x + right, new_w), min(y + bottom, new_h)))
            scores.append(-negative)
            labels.append(c)
    restored = np.array(boxes) / np.array([new_w / w, new_h / h] * 2)
    kept = nms(restored, np.array(scores), np.array(labels), 0.6, 100)
    return restored[kept], np.array(scores)[kept], np.array(labels)[kept]


def test_detections_equal_the_reference_pipeline(model: nn.Module) -> None:
    image = read_image(PHOTOGRAPH)
    card = find("gfl_r18").card(find("gfl_r18").labels, Provenance("ld_r18", None, "fp32", {}))
    found = Detector(TorchBackend(model), replace(card, suppress=Suppress(conf=0.05)))(image)
    boxes, scores, labels = reference(model, image)
    assert len(found) == len(scores) == 100
    # Where two scores are equal in fp32 their order may differ, so each looks for its own partner.
    for box, score, label in zip(boxes, scores, labels, strict=True):
        same = (found.labels == label) & (np.abs(found.scores - score) < 1e-4)
        assert np.abs(found.boxes[same] - box).max(1, initial=0).min(initial=np.inf) < 0.02
