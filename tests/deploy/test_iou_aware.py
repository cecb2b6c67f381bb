"""IoU-aware RetinaNet, for which there are no reference numbers: the network's last step and the runtime in float64."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from found import found_in
from golden.reader import picture
from oracles import iou
from torch import nn

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find

pytestmark = pytest.mark.slow

HEIGHT, WIDTH, CONF = 96, 128, 0.1
LAST = np.array([0, 0, 1, 1])


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model = random_model(find("iou_aware_retinanet_test"))
    head = model.bbox_head
    with torch.no_grad():
        for layer, gain in ((head.retina_cls, 60), (head.retina_iou, 60), (head.retina_reg, 20)):
            layer.weight.mul_(gain)  # scores and boxes of all sizes
        head.retina_cls.bias.fill_(-2)
    return model


@pytest.fixture(scope="module")
def logits(network: nn.Module) -> dict[str, list[torch.Tensor]]:
    with torch.inference_mode():
        return network.logits(torch.from_numpy(picture(HEIGHT, WIDTH, 0)[None]))


def level(logits: dict[str, list[torch.Tensor]], i: int, stride: int) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """One level's (class scores, IoU, box) by the formulas of mmdet 0.6, anchor by anchor."""
    classes, deltas, quality = (logits[name][i][0].double().numpy() for name in ("classes", "deltas", "quality"))
    rows = []
    for y in range(classes.shape[1]):
        for x in range(classes.shape[2]):
            for k in range(9):
                size, ratio = 4 * stride * 2 ** (k % 3 / 3), (0.5, 1, 2)[k // 3]
                half = np.array([size / ratio**0.5 - 1, size * ratio**0.5 - 1]) / 2
                middle = (stride - 1) / 2
                low, high = np.round(middle - half), np.round(middle + half)
                sides, centre = high - low + 1, (low + high) / 2 + np.array([x, y]) * stride
                dx = deltas[4 * k : 4 * k + 4, y, x]
                centre = centre + sides * dx[:2]
                sides = sides * np.exp(np.clip(dx[2:], np.log(0.016), -np.log(0.016)))
                box = np.concatenate((centre - sides / 2 + 0.5, centre + sides / 2 - 0.5))
                score = 1 / (1 + np.exp(-classes[80 * k : 80 * k + 80, y, x]))
                rows.append((score, 1 / (1 + np.exp(-quality[k, y, x])), box))
    return rows


def test_scores_and_boxes(network: nn.Module, logits: dict[str, list[torch.Tensor]]) -> None:
    with torch.inference_mode():
        outputs = network.bbox_head.decode(logits)
    rows = [row for i, stride in enumerate((8, 16, 32, 64, 128)) for row in level(logits, i, stride)]
    for name, column in (("scores", 0), ("quality", 1), ("boxes", 2)):
        expected = np.array([row[column] for row in rows])
        np.testing.assert_allclose(outputs[name][0].numpy(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 0.4, 1.0])
def test_detections(network: nn.Module, logits: dict[str, list[torch.Tensor]], alpha: float) -> None:
    """S = p^a * IoU^(1 - a) is ranked by points, cut, suppressed and reported (arXiv 1912.05992, equation 6)."""
    card = find("iou_aware_retinanet_test").card(tuple(map(str, range(80))), Provenance("", None, "fp32", {}))
    assert (card.fusion.score_exponent, card.fusion.quality_exponent) == (0.5, 0.5)
    card = replace(
        card,
        form=replace(card.form, top_k=60),
        fusion=replace(card.fusion, score_exponent=alpha, quality_exponent=1 - alpha),
        suppress=replace(card.suppress, conf=CONF),
    )
    with torch.inference_mode():
        outputs = {name: value[0].numpy() for name, value in network.bbox_head.decode(logits).items()}
    scores, quality = outputs["scores"].astype(np.float64), outputs["quality"].astype(np.float64)
    fused = scores**alpha * quality[:, None] ** (1 - alpha)
    candidates = []
    ends = np.cumsum([0] + [9 * -(-HEIGHT // s) * -(-WIDTH // s) for s in (8, 16, 32, 64, 128)])
    for start, end in pairwise(ends):
        best = start + np.argsort(-fused[start:end].max(1), kind="stable")[:60]
        candidates += [(fused[p, c], c, outputs["boxes"][p]) for p in best for c in np.flatnonzero(fused[p] > CONF)]
    kept: list[tuple[float, int, np.ndarray]] = []
    for score, label, box in sorted(candidates, key=lambda row: -row[0]):
        box = np.clip(box, 0, [WIDTH - 1, HEIGHT - 1, WIDTH - 1, HEIGHT - 1])
        rivals = (other for _, c, other in kept if c == label)
        if all(iou(other + LAST, box + LAST) <= 0.5 for other in rivals):
            kept.append((score, label, box))
    found = found_in(outputs, card, ResizedFrame((HEIGHT, WIDTH), (HEIGHT, WIDTH), (HEIGHT, WIDTH)))
    assert len(found) == 100
    np.testing.assert_allclose(found.scores, [row[0] for row in kept[:100]], rtol=1e-5)
    assert found.labels.tolist() == [row[1] for row in kept[:100]]
    np.testing.assert_allclose(found.boxes, [row[2] for row in kept[:100]], atol=1e-3)
