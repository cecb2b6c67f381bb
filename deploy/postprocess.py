"""Network outputs to Instances: decode, fuse, suppress, restore."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .backends import Arrays
from .card import Card
from .decode import decode
from .decode.candidates import Candidates
from .instances import Instances
from .preprocess import Frame
from .suppress import suppress


def postprocess(
    outputs: Arrays,
    card: Card,
    frame: Frame,
    classes: Collection[int] | None = None,
    mirrored: Arrays | None = None,
) -> Instances:
    """One image's outputs, without the batch axis, to its Instances; `classes` limits the labels.

    `mirrored` holds the outputs for the image with left and right exchanged; what both show is suppressed together.
    """
    found = _candidates(outputs, card, frame)
    if mirrored is not None:
        found = found + _mirror(_candidates(mirrored, card, frame), frame)
    if classes is not None:
        found = found[np.isin(found.labels, list(classes))]
    found = suppress(found, card.suppress)
    height, width = frame.image_size
    return Instances(_restore(found, frame), found.scores, found.labels, card.labels, (width, height))


def _candidates(outputs: Arrays, card: Card, frame: Frame) -> Candidates:
    """Boxes in px of the resized image, those of dense heads cut at its border, as the references have them."""
    found = decode(outputs, card, frame)
    if card.decode.kind in ("peaks", "corners"):
        return found[np.all(np.isfinite(found.boxes), axis=1)]
    return _clip(found, frame, card.suppress.inclusive)


def _mirror(found: Candidates, frame: Frame) -> Candidates:
    """What was found in the mirrored image, where it is in the image itself."""
    x1, y1, x2, y2 = found.boxes.T
    width = np.float32(frame.resized_size[1])
    return replace(found, boxes=np.stack((width - x2, y1, width - x1, y2), axis=1))


def _clip(found: Candidates, frame: Frame, inclusive: bool) -> Candidates:
    """Cut the boxes at the image's border, as the references do before they suppress; empty ones go."""
    height, width = frame.resized_size
    limit = np.array([width, height, width, height], np.float32) - inclusive
    boxes = np.clip(found.boxes, 0, limit)
    visible = None if found.visible is None else np.clip(found.visible, 0, limit)
    sides = boxes[:, 2:] - boxes[:, :2] + inclusive
    has_area = (sides[:, 0] > 0) & (sides[:, 1] > 0)
    return replace(found, boxes=boxes, visible=visible)[has_area]


def _restore(found: Candidates, frame: Frame) -> NDArray[np.float32]:
    return (found.boxes / np.array(frame.scale * 2, np.float32)).astype(np.float32, copy=False)
