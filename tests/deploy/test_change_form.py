"""Regions of a map of distances become detections with masks."""

from dataclasses import replace

import numpy as np
from conftest import COLOR_CARD

from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Change
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import ResizedFrame


def test_regions_of_distances_become_detections() -> None:
    distance = np.zeros((1, 6, 8), np.float32)
    distance[0, 1:3, 1:4] = 0.5, 0.7, 0.9
    distance[0, 4:6, 6:8] = 1.8
    distance[0, 3, 5] = 0.6  # touches a corner only
    second = ImageInput(COLOR_CARD.input.place, "rgb", (0,) * 3, (1,) * 3, second=True, name="against")
    card = replace(COLOR_CARD, inputs=(*COLOR_CARD.inputs, second), form=Change(), labels=("change",))
    card = replace(card, suppress=Suppress("none", conf=0.4))
    frame = ResizedFrame((12, 16), (12, 16), (12, 16))
    found = card.form.find([Run({"distance": distance}, frame)], card)
    np.testing.assert_allclose(found.boxes, [[2, 2, 8, 6], [10, 6, 12, 8], [12, 8, 16, 12]])
    np.testing.assert_allclose(found.scores, [0.7, 0.6, 1.0], atol=1e-6)
    np.testing.assert_array_equal(found.columns["masks"].union(), np.repeat(np.repeat(distance[0] > 0.4, 2, 0), 2, 1))
    assert len(replace(card.form, least=2).find([Run({"distance": distance}, frame)], card)) == 2
    nothing = card.form.find([Run({"distance": distance * 0}, frame)], card)
    assert len(nothing) == 0 and not nothing.columns["masks"].union().any()
