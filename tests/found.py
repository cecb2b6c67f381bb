"""What a Card makes of a network's outputs, as a pipeline does with those of one image."""

from collections.abc import Sequence

from detforge.deploy.card import Card
from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress


def found_in(outputs: Arrays, card: Card, frame: Frame, mirrored: Arrays | None = None) -> Instances:
    """The findings in one image, from outputs without the batch axis, and maybe those of its mirrored view."""
    runs = [Run(outputs, frame), *([] if mirrored is None else [Run(mirrored, frame, mirrored=True)])]
    return finished(runs, card, frame)


def finished(runs: Sequence[Run], card: Card, frame: Frame) -> Instances:
    """The findings of all runs on one image, in px of the image."""
    found = suppress(card.form.find(runs, card), card.suppress, card.form.compares)
    height, width = frame.image_size
    return found.scaled((width, height))
