"""Classes are drawn in the colours of a Card that has some."""

from dataclasses import replace

import numpy as np
import pytest
from test_card import CARD

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.results.instances import Instances

COLORS = ((10, 200, 30), (250, 0, 90))


def test_boxes_have_the_colours_of_their_classes():
    boxes = np.array([[10, 60, 90, 110], [120, 60, 190, 110]], np.float32)
    found = Instances(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 0]), ("a", "b"), (200, 120), colors=COLORS)
    drawn = found.draw(np.zeros((120, 200, 3), np.uint8))
    assert drawn[57, 10].tolist() == [90, 0, 250]  # of the caption, in blue, green, red
    assert drawn[57, 120].tolist() == [30, 200, 10]


def test_a_card_keeps_its_colours():
    card = replace(CARD, labels=("a", "b"), colors=COLORS)
    assert Card.from_json(card.to_json()) == card
    with pytest.raises(FieldError, match="one for each label"):
        replace(CARD, labels=("a",), colors=COLORS)
    with pytest.raises(FieldError, match=r"0\.\.255"):
        replace(card, colors=((0, 0, 256), (0, 0, 0)))
