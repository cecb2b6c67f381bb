"""Pairs of whole and visible boxes, against their definition in float64."""

import numpy as np
import torch
from numpy.typing import NDArray

from detforge.models.anchors import Anchors
from detforge.models.heads.paired import PairedBoxHead, PairedRoIHead, PairedRPNHead
from detforge.models.proposals import ProposalRule
from detforge.models.regions import RegionFeatures

ANCHORS = Anchors((8, 16), (1.0, 2.0, 3.0), (4.0,))
SIZE = (48.0, 60.0)


def decoded(deltas: NDArray[np.float64], prior: NDArray[np.float64], stds: tuple[float, ...]) -> NDArray[np.float64]:
    """The box xyxy px of four deltas from a prior cxcywh px."""
    dx, dy, dw, dh = deltas * stds
    x, y, w, h = prior
    cx, cy, w, h = x + dx * w, y + dy * h, w * np.exp(dw), h * np.exp(dh)
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def in_image(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return box.clip(0, [SIZE[1], SIZE[0]] * 2)


def test_proposals_are_pairs_of_one_anchor() -> None:
    head = PairedRPNHead(8, anchors=ANCHORS, rule=ProposalRule(top_k=40, iou=0.5, count=30))
    random = torch.Generator().manual_seed(0)
    maps = [(6, 8), (3, 4)]
    logits = {
        "objects": [torch.randn(1, 3, *size, generator=random) for size in maps],
        "deltas": [torch.randn(1, 24, *size, generator=random) * 0.3 for size in maps],
    }
    rows: list[tuple[int, float, NDArray[np.float64], NDArray[np.float64]]] = []
    for level, (h, w) in enumerate(maps):
        own: list[tuple[int, float, NDArray[np.float64], NDArray[np.float64]]] = []
        for y in range(h):
            for x in range(w):
                for kind, first in enumerate(ANCHORS.first_cell(ANCHORS.strides[level])):
                    prior = np.array(first) + np.array([x, y, 0, 0]) * ANCHORS.strides[level]
                    values = logits["deltas"][level][0, 8 * kind : 8 * kind + 8, y, x].double().numpy()
                    whole, seen = (in_image(decoded(part, prior, (1.0,) * 4)) for part in (values[:4], values[4:]))
                    score = 1 / (1 + np.exp(-float(logits["objects"][level][0, kind, y, x])))
                    own.append((level, score, whole, seen))
        rows += sorted(own, key=lambda row: -row[1])[:40]
    kept: list[tuple[int, float, NDArray[np.float64], NDArray[np.float64]]] = []
    for row in sorted(rows, key=lambda row: -row[1]):
        if (row[2][2:] > row[2][:2]).all() and all(row[0] != k[0] or iou(row[2], k[2]) <= 0.5 for k in kept):
            kept.append(row)
    proposals = head.propose(logits, torch.tensor([SIZE]))
    expected = np.array([np.concatenate(row[2:]) for row in kept[:30]])
    assert len(expected) > 20
    np.testing.assert_allclose(proposals.boxes[0, : len(expected)].numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(proposals.scores[0, : len(expected)].numpy(), [k[1] for k in kept[:30]], atol=1e-5)
    assert not proposals.boxes[0, len(expected) :].any()


@torch.inference_mode()
def test_both_boxes_start_from_their_own_region() -> None:
    torch.manual_seed(0)
    features = RegionFeatures(levels=2, stride=8, size=3)
    head = PairedRoIHead(features, PairedBoxHead(1, 4, size=3, width=16)).eval()
    for weight in head.parameters():
        weight.data.copy_(torch.randn(weight.shape) * 0.2)
    levels = [torch.randn(1, 4, 6, 8), torch.randn(1, 4, 3, 4)]
    regions = torch.tensor([[[4.0, 6, 30, 44, 6, 6, 20, 30], [10.0, 2, 58, 40, 30, 4, 50, 38]]])
    [stage] = head(levels, regions, torch.tensor([SIZE]))
    outputs = head.decode([stage])
    joined = torch.cat((features(levels, regions[..., :4]), features(levels, regions[..., 4:])), 2)
    logits = head.bbox_head(joined)
    torch.testing.assert_close(stage.logits, logits)
    for name, key, part in (("boxes", "deltas", 0), ("visible", "visible_deltas", 4)):
        for row in range(2):
            x1, y1, x2, y2 = regions[0, row, part : part + 4].double().numpy()
            prior = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
            expected = decoded(logits[key][0, row].double().numpy(), prior, (0.1, 0.1, 0.2, 0.2))
            np.testing.assert_allclose(outputs[name][0, row, 0].numpy(), expected, atol=1e-3)
    torch.testing.assert_close(outputs["proposals"], regions[..., :4])
