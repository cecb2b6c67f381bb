"""A photograph through the whole runtime, against the reference's test pipeline written out step by step.

The steps are mmdet 3's for GFL and AutoAssign: LoadImageFromFile, Resize (keep_ratio), DetDataPreprocessor,
`filter_scores_and_topk`, `_bbox_post_process`, `batched_nms`. The networks have their goldens' weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from detforge.deploy.card import Provenance
from detforge.deploy.contract.port import Port
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.inputs.image import read_image
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

PHOTOGRAPH = Path(__file__).parents[2] / "examples" / "photos" / "gallery.jpg"
STRIDES = (8, 16, 32, 64, 128)


class TorchBackend:
    """The network in PyTorch as a backend, so that only the runtime around it is tested."""

    inputs = (Port("image", (None, 3, None, None)),)
    outputs = (Port("boxes", (None, None, 4)), Port("scores", (None, None, 80)), Port("quality", (None, None)))
    metadata: Mapping[str, str] = {}

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self.model(torch.from_numpy(feeds["image"])).items()}


@dataclass(frozen=True)
class Reference:
    """What sets the networks apart: colours, their mean and std, how sides (a, c) become strides, the quality.

    Half of the published `size`, short and long, is enough for a large network.
    """

    golden: str
    variant: str
    size: tuple[int, int]
    colors: slice
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    distances: Callable[[torch.Tensor], torch.Tensor]
    has_quality: bool


def expectation(sides: torch.Tensor) -> torch.Tensor:
    """Of each side's distribution over 0..16 strides."""
    return sides.reshape(-1, 4, 17).softmax(-1) @ torch.arange(17.0, dtype=torch.float64)


RGB, BGR = slice(None, None, -1), slice(None)
LD = Reference(
    "ld_r18", "gfl_r18", (800, 1333), RGB, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), expectation, False
)
AUTOASSIGN = Reference(
    "autoassign_r50", "autoassign_r50", (400, 667), BGR, (102.9801, 115.9465, 122.7717), (1, 1, 1), torch.relu, True
)


def load_model(reference: Reference) -> nn.Module:
    state = {key: torch.from_numpy(value) for key, value in load(reference.golden).state.items()}
    return load_variant(find(reference.variant), Checkpoint(state, reference.golden, None, None))


def expected(reference: Reference, model: nn.Module, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and labels of the 100 best, in px of the image."""
    h, w = image.shape[:2]
    scale = min(reference.size[1] / max(h, w), reference.size[0] / min(h, w))
    new_w, new_h = int(w * scale + 0.5), int(h * scale + 0.5)
    resized = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)[..., reference.colors]
    pixels = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1))).float()
    mean, std = torch.tensor(reference.mean), torch.tensor(reference.std)
    pixels = (pixels - mean[:, None, None]) / std[:, None, None]
    pixels = nn.functional.pad(pixels, (0, -new_w % 32, 0, -new_h % 32))
    with torch.inference_mode():
        logits = model.logits(pixels[None])
    boxes, scores, labels = [], [], []
    for level, stride in enumerate(STRIDES):
        rows, columns = logits["classes"][level].shape[2:]
        flat = {name: x[level][0].permute(1, 2, 0).reshape(rows * columns, -1).double() for name, x in logits.items()}
        score = flat["classes"].sigmoid().numpy()
        quality = flat["quality"].sigmoid()[:, 0].numpy() if reference.has_quality else np.ones(len(score))
        ltrb = reference.distances(flat["sides"]).numpy() * stride
        points = np.array([(x * stride, y * stride) for y in range(rows) for x in range(columns)], float)
        pairs = [(-score[p, c], p, c) for p, c in np.argwhere(score > 0.05)]
        for negative, p, c in sorted(pairs)[:1000]:
            left, top, right, bottom = ltrb[p]
            x, y = points[p]
            boxes.append((max(x - left, 0), max(y - top, 0), min(x + right, new_w), min(y + bottom, new_h)))
            scores.append(-negative * quality[p])
            labels.append(c)
    restored = np.array(boxes) / np.array([new_w / w, new_h / h] * 2)
    kept = nms(restored, np.array(scores), np.array(labels), 0.6, 100)
    return restored[kept], np.array(scores)[kept], np.array(labels)[kept]


@pytest.mark.slow
@pytest.mark.parametrize("reference", [LD, AUTOASSIGN], ids=lambda reference: reference.variant)
def test_detections_equal_the_reference_pipeline(reference: Reference) -> None:
    image, model, variant = read_image(PHOTOGRAPH), load_model(reference), find(reference.variant)
    card = variant.card(variant.labels, Provenance(reference.golden, None, "fp32", {}))
    place = replace(card.input.place, size=reference.size)
    card = replace(card, suppress=Suppress(conf=0.05)).with_place(place)
    found = Detector(TorchBackend(model), card)(image)
    boxes, scores, labels = expected(reference, model, image)
    assert len(found) == len(scores) == 100
    # Where two scores are equal in fp32 their order may differ, so each looks for its own partner.
    for box, score, label in zip(boxes, scores, labels, strict=True):
        same = (found.labels == label) & (np.abs(found.scores - score) < 1e-4)
        assert np.abs(found.boxes[same] - box).max(1, initial=0).min(initial=np.inf) < 0.02
