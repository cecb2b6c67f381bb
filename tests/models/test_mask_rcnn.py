"""Mask R-CNN's head by its definition in float64, its final detections, and OpenMMLab's names of weights."""

import numpy as np
import torch
from golden.reader import read_manifest
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.final import FinalRule
from detforge.models.heads.mask import MaskHead
from detforge.models.zoo import VARIANTS


def test_the_head_is_its_definition() -> None:
    torch.manual_seed(0)
    head = MaskHead(3, 8, convs=2).eval()
    features, labels = torch.randn(2, 5, 8, 7, 7), torch.randint(0, 3, (2, 5))
    weights = {name: value.double() for name, value in head.state_dict().items()}
    with torch.inference_mode():
        found = head(features, labels)
    for image in range(2):
        for row in range(5):
            x = features[image, row].double()[None]
            for i in range(2):
                x = F.conv2d(x, weights[f"convs.{i}.conv.weight"], weights[f"convs.{i}.conv.bias"], padding=1).relu()
            # Each cell becomes two by two, without overlap.
            x = torch.einsum("chw,cdij->dhiwj", x[0], weights["upsample.weight"]).reshape(8, 14, 14)
            x = (x + weights["upsample.bias"][:, None, None]).relu()
            own = int(labels[image, row])
            logits = torch.einsum("chw,c->hw", x, weights["conv_logits.weight"][own, :, 0, 0])
            expected = torch.sigmoid(logits + weights["conv_logits.bias"][own])
            torch.testing.assert_close(found[image, row].double(), expected, rtol=0, atol=1e-5)


def test_final_detections_are_those_of_a_naive_search() -> None:
    random = np.random.default_rng(1)
    low = random.uniform(-10, 60, (1, 40, 3, 2))
    boxes = np.concatenate((low, low + random.uniform(0, 40, low.shape)), -1).astype(np.float32)
    scores = random.uniform(0, 0.3, (1, 40, 3)).astype(np.float32)
    rule = FinalRule(conf=0.05, iou=0.5, count=30)
    found = rule(torch.tensor(boxes), torch.tensor(scores), torch.tensor([[50.0, 64.0]]))
    limits = np.array([64, 50, 64, 50], np.float64)
    rows = [(float(scores[0, k, c]), c, np.clip(boxes[0, k, c], 0, limits)) for k in range(40) for c in range(3)]
    kept: list[tuple[float, int, np.ndarray]] = []
    for score, label, box in sorted(rows, key=lambda row: -row[0]):
        empty = (box[2:] <= box[:2]).any()
        if score > 0.05 and not empty and all(label != c or overlap(box, other) <= 0.5 for _, c, other in kept):
            kept.append((score, label, box))
    assert len(kept) > 30
    assert found["num"].tolist() == [30]
    np.testing.assert_allclose(found["scores"][0], [row[0] for row in kept[:30]], rtol=0, atol=0)
    assert found["labels"][0].tolist() == [row[1] for row in kept[:30]]
    np.testing.assert_allclose(found["boxes"][0], [row[2] for row in kept[:30]], rtol=0, atol=1e-5)


def test_nothing_is_found_where_no_score_is_high_enough() -> None:
    found = FinalRule(count=5)(torch.rand(2, 3, 1, 4), torch.full((2, 3, 4), 0.05), torch.full((2, 2), 64.0))
    assert found["num"].tolist() == [0, 0]
    assert not any(found[name].any() for name in ("boxes", "scores", "labels"))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def test_openmmlabs_names_of_weights() -> None:
    shapes = {key: shape for key, shape, _ in read_manifest("faster_rcnn_r50")["state"]}
    head = "roi_head.mask_head"
    shapes |= {f"{head}.convs.{i}.conv.weight": [256, 256, 3, 3] for i in range(4)}
    shapes |= {f"{head}.convs.{i}.conv.bias": [256] for i in range(4)}
    shapes |= {f"{head}.upsample.weight": [256, 256, 2, 2], f"{head}.upsample.bias": [256]}
    shapes |= {f"{head}.conv_logits.weight": [80, 256, 1, 1], f"{head}.conv_logits.bias": [80]}
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert fits(VARIANTS["mask_rcnn_r50"], Checkpoint(state, "mask.pth", None, None))
