"""What a Card finds in the outputs of one run, from the decoding to px of the image."""

from detforge.deploy.card import Card
from detforge.deploy.contract.port import Arrays
from detforge.deploy.forms.form import ImageForm, Run
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress


def found_in(outputs: Arrays, card: Card, frame: ResizedFrame) -> Instances:
    """The final findings of one image's outputs, which have no batch axis."""
    height, width = frame.image_size
    return suppress(candidates_in(outputs, card, frame), card.suppress, card.form.compares).scaled((width, height))


def candidates_in(outputs: Arrays, card: Card, frame: ResizedFrame) -> Instances:
    """The same before suppression, in px of the resized image."""
    assert isinstance(card.form, ImageForm)
    return card.form.find([Run(outputs, frame)], card)
