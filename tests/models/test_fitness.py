"""The expected fitness of Fitness-NMS against its definition in float64."""

import numpy as np
import torch
from golden.reader import load_ops

from detforge.models.heads.fitness import FitnessHead
from detforge.models.zoo import find


def test_scores_equal_the_definition() -> None:
    [case] = load_ops("fitness")
    head = FitnessHead(case["args"]["classes"], 1, size=1, width=1)
    scores = head.scores({"classes": torch.from_numpy(case["in"]["logits"])[None]})
    np.testing.assert_allclose(scores[0].numpy(), case["out"]["scores"], atol=1e-6)


def test_classes_of_a_checkpoint_are_counted() -> None:
    assert find("fitness_nms_r50").count_classes(torch.empty(3 * 5 + 1, 1024)) == 3
