"""The boxes of a two-stage network's proposals, against a naive reading."""

from dataclasses import replace

import numpy as np
import pytest
from cards import CARD
from found import candidates_in

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Proposed
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.suppress import suppress

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


def test_visible_parts_go_with_their_boxes() -> None:
    random = np.random.default_rng(0)
    corner = random.uniform(0, 20, (6, 2, 2)).astype(np.float32)
    whole, seen = np.concatenate((corner, corner + 20), -1), np.concatenate((corner, corner + 9), -1)
    outputs = {"boxes": whole, "visible": seen, "scores": np.full((6, 2), 0.9, np.float32)}
    found = candidates_in(outputs, CARD, FRAME)
    assert len(found) == 12
    np.testing.assert_array_equal(found.visible, seen.reshape(-1, 4))


def test_no_proposal_at_all() -> None:
    outputs = {"boxes": np.zeros((5, 2, 4), np.float32), "scores": np.zeros((5, 2), np.float32)}
    assert len(candidates_in(outputs, CARD, FRAME)) == 0


def test_two_objects_of_one_proposal_stay_and_those_of_others_do_not() -> None:
    """Set-NMS of a network that finds two objects of each class in a proposal."""
    near = np.array([10.0, 10.0, 40.0, 30.0], np.float32)
    outputs = {
        "boxes": np.stack([[near, near, near, near], [near + 1, near + 1, near, near + 1]]),
        "scores": np.array([[0.9, 0.2, 0.8, 0.7], [0.85, 0.6, 0.1, 0.1]], np.float32),
    }
    card = replace(CARD, form=Proposed(each=2), suppress=Suppress("set", conf=0.3, iou=0.5))
    found = suppress(candidates_in(outputs, card, FRAME), card.suppress)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert found.labels.tolist() == [0, 0, 1]
    assert found.proposal.tolist() == [0, 0, 0]
