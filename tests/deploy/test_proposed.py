"""The boxes of a two-stage network's proposals, against a naive reading."""

from dataclasses import replace

import numpy as np
import pytest
from cards import CARD
from found import candidates_in

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Proposed
from detforge.deploy.inputs.resize import ResizedFrame

CARD = replace(CARD, form=Proposed(), suppress=Suppress(conf=0.3))
FRAME = ResizedFrame((40, 50), (40, 50), (64, 64))


@pytest.mark.parametrize("boxes_each", [2, 1])
def test_every_pair_above_the_threshold_is_found(boxes_each: int) -> None:
    random = np.random.default_rng(boxes_each)
    corner = random.uniform(-10, 60, (30, boxes_each, 2))
    outputs = {
        "boxes": np.concatenate((corner, corner + random.uniform(1, 30, corner.shape)), -1).astype(np.float32),
        "scores": random.uniform(0, 1, (30, 2)).astype(np.float32),
    }
    outputs["scores"][3] = np.nan
    outputs["boxes"][4] = np.nan
    expected = []
    for proposal in range(30):
        for label in range(2):
            score = float(outputs["scores"][proposal, label])
            x1, y1, x2, y2 = map(float, outputs["boxes"][proposal, label if boxes_each == 2 else 0])
            x1, x2, y1, y2 = min(max(x1, 0), 50), min(max(x2, 0), 50), min(max(y1, 0), 40), min(max(y2, 0), 40)
            if score > 0.3 and x2 > x1 and y2 > y1 and proposal != 4:
                expected.append((label, score, x1, y1, x2, y2))
    found = candidates_in(outputs, CARD, FRAME)
    rows = np.column_stack((found.labels, found.scores, found.boxes))
    assert len(expected) > 10
    np.testing.assert_allclose(rows, expected, rtol=1e-6)


def test_no_proposal_at_all() -> None:
    outputs = {"boxes": np.zeros((5, 2, 4), np.float32), "scores": np.zeros((5, 2), np.float32)}
    assert len(candidates_in(outputs, CARD, FRAME)) == 0
