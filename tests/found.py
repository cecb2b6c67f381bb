"""What a network's outputs for one image come to, as the runtime has it."""

from detforge.deploy.card import Card
from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress


def found_in(outputs: Arrays, card: Card, frame: Frame) -> Instances:
    """The final findings in px of the image, of outputs without their batch axis."""
    height, width = frame.image_size
    candidates = card.form.find([Run(outputs, frame)], card)
    return suppress(candidates, card.suppress, card.form.compares).scaled((width, height))
