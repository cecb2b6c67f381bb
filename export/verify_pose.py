"""The part of the parity report that is about pose networks: their inputs, their maps, and the peaks in them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.backends import Arrays
from ..deploy.card import Card, Input
from ..deploy.crop import Crop, crop_for, crop_whole, crops_into
from ..deploy.decode.keypoints import keypoints
from ..deploy.forms import CropDecode, Decode
from ..deploy.preprocess import Image
from .comparison import Comparison, Tolerance

_MAPS = {"simcc": ("x", "y")}
_WHOLE = 256
"""Px that a bottom-up network's canvas has in its usual place of 512: the weights are the same at any size."""


def pose_inputs(images: Sequence[Image], spec: Input) -> Iterator[NDArray[np.float32]]:
    """Single inputs (3, h, w): of every image a person's crop in its middle and one that leaves it, or the whole."""
    for image in images:
        height, width = image.shape[:2]
        crops: list[Crop]
        if spec.resize == "crop":
            boxes = np.array([[0.3, 0.1, 0.6, 0.9], [-0.2, 0.2, 0.4, 0.8]]) * [width, height, width, height]
            crops = [crop_for(box, spec) for box in boxes]
        else:
            crops = [crop_whole((height, width), replace(spec, size=(_WHOLE, _WHOLE)))]
        canvases = np.empty((len(crops), 3, *crops[0].canvas_size), np.float32)
        crops_into(canvases, image, crops, spec)
        yield from canvases


def compare_pose(comparison: Comparison, got: Arrays, expected: Arrays, card: Card, decode: Decode) -> None:
    """Compare all outputs, in parts of each one's range, the peaks of its maps, and where keypoints come to lie.

    A peak that both sides see elsewhere is no mismatch where the expected map is as high there, but for the tolerance.
    """
    for name, value in expected.items():
        comparison.add(name, got[name], value, _range(value))
    agreed = np.logical_and.reduce(
        [_same_peaks(got[name], expected[name], comparison.tolerance) for name in _MAPS.get(decode.kind, ("heatmaps",))]
    )
    comparison.detections += agreed.size
    comparison.matched += int(agreed.sum())
    if isinstance(decode, CropDecode) and card.skeleton is not None and card.input.size is not None:
        spec = replace(decode, flip=False)
        sides = [keypoints(o, None, spec, card.skeleton, card.input.spacing, card.input.size) for o in (got, expected)]
        (places, scores), (wanted, sure) = sides
        shift = np.abs(places - wanted).max(-1)[agreed] * max(card.input.size)
        # A map whose two highest pixels are about equal may have its keypoint at either.
        near = shift[shift < 1]
        comparison.box_shift_px = max(comparison.box_shift_px, float(near.max(initial=0)))
        comparison.score_shift = max(comparison.score_shift, float(np.abs(scores - sure).max(initial=0)))


def _same_peaks(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> NDArray[np.bool_]:
    """Of maps (n, k, ...) which have their peak (n, k) where the expected one is as high as anywhere."""
    ours, theirs = (maps.reshape(*maps.shape[:2], -1) for maps in (got, expected))
    at_ours = np.take_along_axis(theirs, ours.argmax(-1)[..., None], -1)[..., 0]
    best = theirs.max(-1)
    return best - at_ours <= 2 * (tolerance.atol * _range(expected) + tolerance.rtol * np.abs(best))


def _range(values: NDArray[Any]) -> float:
    return float(np.abs(values).max(initial=0)) or 1.0
