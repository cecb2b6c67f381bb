"""What a Card finds in the outputs of a network, as a pipeline does with those of one image."""

from typing import Any

import numpy as np

from detforge.deploy.card import Card
from detforge.deploy.columns.column import Column
from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress


def found_in(outputs: Arrays, card: Card, frame: Frame, mirrored: Arrays | None = None) -> Instances:
    """The final detections in px of the image, from outputs without a batch axis."""
    height, width = frame.image_size
    found = candidates_in(outputs, card, frame, mirrored)
    return suppress(found, card.suppress, card.form.compares).scaled((width, height), frame.factor)


def candidates_in(outputs: Arrays, card: Card, frame: Frame, mirrored: Arrays | None = None) -> Instances:
    """The same before suppression, in px of the resized image."""
    runs = [Run(outputs, frame), *([] if mirrored is None else [Run(mirrored, frame, mirrored=True)])]
    return card.form.find(runs, card)


def detections(boxes: Any, scores: Any, labels: Any, *columns: Column) -> Instances:
    """Detections by their rows; the image's size and the names of their classes are of no account."""
    return Instances(boxes, scores, np.asarray(labels), ("",) * 1000, (1, 1)).with_columns(*columns)
