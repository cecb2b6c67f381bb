"""Mask heads by their definitions in float64, final detections, and OpenMMLab's names of weights."""

import numpy as np
import pytest
import torch
from golden.reader import read_manifest
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.final import FinalRule
from detforge.models.heads.mask import MaskHead
from detforge.models.heads.mask_cascade import FollowingMaskHead, MaskHeads
from detforge.models.heads.mask_scoring import MaskIoUHead, ScoredMaskHead
from detforge.models.zoo import VARIANTS


def mask(weights: dict[str, torch.Tensor], x: torch.Tensor, own: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mask of a class by the definition of the head, and what its convolutions give, of features (c, s, s)."""
    for i in range(sum(name.startswith("convs") for name in weights) // 2):
        x = F.conv2d(x[None], weights[f"convs.{i}.conv.weight"], weights[f"convs.{i}.conv.bias"], padding=1).relu()[0]
    side = 2 * x.shape[1]
    # Each cell becomes two by two, without overlap.
    larger = torch.einsum("chw,cdij->dhiwj", x, weights["upsample.weight"]).reshape(-1, side, side)
    larger = (larger + weights["upsample.bias"][:, None, None]).relu()
    logits = torch.einsum("chw,c->hw", larger, weights["conv_logits.weight"][own, :, 0, 0])
    return torch.sigmoid(logits + weights["conv_logits.bias"][own]), x


def doubled(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.double() for name, value in module.state_dict().items()}


def test_the_head_is_its_definition() -> None:
    torch.manual_seed(0)
    head = MaskHead(3, 8, convs=2).eval()
    features, labels = torch.randn(2, 5, 8, 7, 7), torch.randint(0, 3, (2, 5))
    with torch.inference_mode():
        found = head(features, labels)["masks"]
    for image, row in np.ndindex(2, 5):
        expected, _ = mask(doubled(head), features[image, row].double(), int(labels[image, row]))
        torch.testing.assert_close(found[image, row].double(), expected, rtol=0, atol=1e-5)


def test_the_mask_heads_of_a_cascade_give_their_mean() -> None:
    torch.manual_seed(1)
    for flow in (False, True):
        kinds = [MaskHead, *([FollowingMaskHead] * 2 if flow else [MaskHead])]
        heads = MaskHeads(kind(3, 8, convs=2) for kind in kinds).eval()
        features, labels = torch.randn(1, 4, 8, 5, 5), torch.randint(0, 3, (1, 4))
        with torch.inference_mode():
            found = heads(features, labels)["masks"]
        for row in range(4):
            masks, before = [], None
            for weights in map(doubled, heads):
                x = features[0, row].double()
                if before is not None and flow:
                    kernel = weights["conv_res.conv.weight"][:, :, 0, 0]
                    bias = weights["conv_res.conv.bias"][:, None, None]
                    x = x + (torch.einsum("chw,dc->dhw", before, kernel) + bias).relu()
                one, before = mask(weights, x, int(labels[0, row]))
                masks.append(one)
            torch.testing.assert_close(found[0, row].double(), sum(masks) / len(masks), rtol=0, atol=1e-5)


def test_the_iou_of_a_mask_is_that_of_its_class() -> None:
    torch.manual_seed(2)
    head = ScoredMaskHead(MaskHead(3, 8, convs=1), MaskIoUHead(3, 8, size=6, convs=3, width=16)).eval()
    features, labels = torch.randn(2, 3, 8, 6, 6), torch.randint(0, 3, (2, 3))
    with torch.inference_mode():
        found = head(features, labels)
    weights = doubled(head.mask_iou_head)
    for image, row in np.ndindex(2, 3):
        x, own = features[image, row].double(), int(labels[image, row])
        one, _ = mask(doubled(head.mask_head), x, own)
        torch.testing.assert_close(found["masks"][image, row].double(), one, rtol=0, atol=1e-5)
        largest = one.reshape(6, 2, 6, 2).amax((1, 3))  # of two by two cells
        x = torch.cat((x, largest[None]))[None]
        for i in range(3):
            stride = 2 if i == 2 else 1
            x = F.conv2d(x, weights[f"convs.{i}.weight"], weights[f"convs.{i}.bias"], stride, 1).relu()
        x = x.flatten()
        for i in range(2):
            x = (weights[f"fcs.{i}.weight"] @ x + weights[f"fcs.{i}.bias"]).relu()
        expected = weights["fc_mask_iou.weight"][own] @ x + weights["fc_mask_iou.bias"][own]
        torch.testing.assert_close(found["quality"][image, row].double(), expected, rtol=0, atol=1e-4)


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


def mask_weights(head: str) -> dict[str, list[int]]:
    """The names and shapes of mmdet's FCNMaskHead."""
    shapes = {f"{head}.convs.{i}.conv.weight": [256, 256, 3, 3] for i in range(4)}
    shapes |= {f"{head}.convs.{i}.conv.bias": [256] for i in range(4)}
    shapes |= {f"{head}.upsample.weight": [256, 256, 2, 2], f"{head}.upsample.bias": [256]}
    return shapes | {f"{head}.conv_logits.weight": [80, 256, 1, 1], f"{head}.conv_logits.bias": [80]}


MASK = mask_weights("roi_head.mask_head")
SCORED = MASK | {f"roi_head.mask_iou_head.convs.{i}.weight": [256, 256 + (i == 0), 3, 3] for i in range(4)}
SCORED |= {f"roi_head.mask_iou_head.convs.{i}.bias": [256] for i in range(4)}
SCORED |= {"roi_head.mask_iou_head.fcs.0.weight": [1024, 256 * 7 * 7], "roi_head.mask_iou_head.fcs.0.bias": [1024]}
SCORED |= {"roi_head.mask_iou_head.fcs.1.weight": [1024, 1024], "roi_head.mask_iou_head.fcs.1.bias": [1024]}
SCORED |= {"roi_head.mask_iou_head.fc_mask_iou.weight": [80, 1024], "roi_head.mask_iou_head.fc_mask_iou.bias": [80]}
CASCADE = {key: shape for i in range(3) for key, shape in mask_weights(f"roi_head.mask_head.{i}").items()}


@pytest.mark.parametrize(
    ("name", "golden", "heads"),
    [
        ("mask_rcnn_r50", "faster_rcnn_r50", MASK),
        ("ms_rcnn_r50_caffe", "faster_rcnn_r50", SCORED),
        ("cascade_mask_rcnn_r50", "cascade_rcnn_r50", CASCADE),
    ],
)
def test_openmmlabs_names_of_weights(name: str, golden: str, heads: dict[str, list[int]]) -> None:
    shapes = {key: shape for key, shape, _ in read_manifest(golden)["state"]} | heads
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert fits(VARIANTS[name], Checkpoint(state, f"{name}.pth", None, None))
