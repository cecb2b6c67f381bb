"""The views that a network runs on in verification and calibration: images on their canvases."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..deploy.card import Card
from ..deploy.inputs.geometry import Image, Size
from ..deploy.inputs.network_inputs import View
from .photographs import make_up

_ONE_SIZE = ((480, 640), (480, 640))
_TWO_SIZES = ((240, 320), (240, 320), (300, 200), (300, 200))


def typical_batches(images: Sequence[Image] | None, card: Card, fixed: int | None) -> Iterator[list[View]]:
    """Typical views: for every canvas a batch of one and batches of two, or batches of the fixed size.

    Without images, synthetic ones on small canvases are used, since the weights are the same at any size.
    """
    if images is None:
        sizes = _TWO_SIZES if card.input.place.canvas is None else _ONE_SIZE
        card = card.with_place(card.input.place.small())
        images = [make_up(size, seed) for seed, size in enumerate(sizes)]
    groups: dict[Size, list[View]] = {}
    for image in images:
        for frame in card.input.place.typical((image.shape[0], image.shape[1])):
            groups.setdefault(frame.canvas_size, []).append(completed(View(image, frame), card))
    for group in groups.values():
        step = fixed or 2
        if not fixed:
            yield group[:1]
        for start in range(0, len(group), step):
            yield [group[(start + i) % len(group)] for i in range(step)]


def whole_view(image: Image, card: Card) -> View:
    """The whole image, as one crop for a network that runs on crops."""
    return completed(View(image, card.input.place.whole((image.shape[0], image.shape[1]))), card)


def completed(view: View, card: Card) -> View:
    """The view with everything else that the network's inputs need."""
    for each in card.inputs:
        view = each.typical(view, seed=0)
    return view


def as_if_full(view: View, card: Card) -> View:
    """The view with an image that fills its canvas, so that results are in model px.

    Where the network takes the size of the image, and may clip boxes to it, the view keeps its own.
    """
    takes_size = any(each.kind == "size" for each in card.inputs)
    return view if takes_size else replace(view, frame=view.frame.full())
