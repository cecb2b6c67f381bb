"""Classes without a label, with suppression inside the file and in the runtime."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from found import found_in

from detforge.deploy.card import Provenance
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.export.graph_nms import GraphNms
from detforge.models.zoo import find

SUPPRESS = Suppress(conf=0.05, iou=0.6, max_det=40)


class Given(torch.nn.Module):
    """A network whose outputs are given."""

    def __init__(self, **outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, image):
        return self.outputs


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("unit", ["pairs", "points", "best"])
def test_classes_without_a_label_are_left_out(unit, per_class):
    """As if the network did not have them, in the graph and in the runtime."""
    random = np.random.default_rng(7)
    points = 8 * 12 + 4 * 6 + 2 * 3
    corner = random.uniform(0, 50, (1, points, 2))
    boxes = np.concatenate((corner, corner + random.uniform(1, 30, (1, points, 2))), -1).astype(np.float32)
    scores = random.uniform(0, 1, (1, points, 4)).astype(np.float32) ** 8
    scores[..., [0, 2]] += 0.5  # the best of all
    quality = random.uniform(0, 1, (1, points, 4)[: 2 + per_class]).astype(np.float32)
    form, fusion = Dense((8, 16, 32), top_k=30, unit=unit), Fusion(0.5, 0.5)
    labels, kept = ("", "b", "", "d"), [1, 3]
    outputs = {"boxes": boxes, "scores": scores, "quality": quality}
    fewer = outputs | {"scores": scores[..., kept], "quality": quality[..., kept] if per_class else quality}
    origin = Provenance("", None, "fp32", {})
    card = replace(find("gfl_test").card(("x",), origin), form=form, fusion=fusion, suppress=SUPPRESS)
    frame = ResizedFrame((64, 96), (64, 96), (64, 96))

    def by_graph(values, names):
        given = Given(**{name: torch.from_numpy(value) for name, value in values.items()})
        return GraphNms(given, form, fusion, SUPPRESS, names)(torch.zeros(1, 3, 64, 96))

    def by_runtime(values, names):
        return found_in({name: value[0] for name, value in values.items()}, replace(card, labels=names), frame)

    got, expected = by_graph(outputs, labels), by_graph(fewer, ("b", "d"))
    num = int(got["num"][0])
    assert num == int(expected["num"][0]) > 5
    assert got["labels"][0, :num].tolist() == [kept[label] for label in expected["labels"][0, :num]]
    torch.testing.assert_close(got["boxes"], expected["boxes"], rtol=0, atol=0)
    ours, theirs = by_runtime(outputs, labels), by_runtime(fewer, ("b", "d"))
    assert ours.labels.tolist() == [kept[label] for label in theirs.labels] and len(ours) > 5
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
