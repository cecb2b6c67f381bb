"""Whether decoded values can be what a recipe says, since other files may have the same shapes."""

import numpy as np

from ...deploy.contract.port import Arrays
from ...deploy.forms import Dense, Graph, Simcc
from ...deploy.inputs.geometry import Size
from .oracle import points_of
from .recipe import Recipe
from .roles import MisfitError

_FARTHEST = 16
"""The largest usual distance of a box's centre from its point, in strides."""
_MARGIN = 1e-3


def check_values(recipe: Recipe, decoded: Arrays, canvas: Size) -> None:
    """Raise MisfitError for scores that are no probabilities, boxes where none can be, and maps of another size."""
    _check_maps(recipe, decoded, canvas)
    if not isinstance(recipe.form, Dense | Graph):
        return
    if isinstance(recipe.form, Dense):
        for name in ("scores", "quality"):
            values = decoded.get(name, np.zeros(1))
            if not (values.min() >= -_MARGIN and values.max() <= 1 + _MARGIN):
                raise MisfitError(f"it has {name} of {values.min():.3g} to {values.max():.3g}, not 0 to 1")
        if recipe.decode.scores == "logits" and decoded["scores"].min() >= 0.5:
            raise MisfitError("its scores seem to be probabilities already")
    boxes = decoded["boxes"].astype(np.float64)
    if not boxes.size:
        return
    if not np.isfinite(boxes).all():
        raise MisfitError("its boxes are not finite")
    sides, centres = boxes[..., 2:] - boxes[..., :2], (boxes[..., :2] + boxes[..., 2:]) / 2
    height, width = canvas
    inside = (centres > -0.5 * np.array([width, height])) & (centres < 1.5 * np.array([width, height]))
    good = inside.all(-1) & (sides >= 0).all(-1)
    if recipe.strides:
        points, strides = points_of(recipe, canvas)
        good &= (np.abs(centres - points) < _FARTHEST * strides).all(-1)
    if good.mean() < 0.5:
        raise MisfitError(f"{1 - good.mean():.0%} of its boxes lie where none can be")


def _check_maps(recipe: Recipe, decoded: Arrays, canvas: Size) -> None:
    height, width = canvas
    for name in ("heatmaps", "map"):
        shape = decoded[name].shape if name in decoded else (1, 1, *canvas)
        if len(shape) != 4 or min(shape) < 1 or height * shape[3] != width * shape[2] or height % shape[2]:
            raise MisfitError(f"its output of shape {shape} has no maps of {width}x{height} px")
        if name == "map" and shape[1] != 1:
            raise MisfitError(f"its output has {shape[1]} maps, not one")
    if isinstance(recipe.form, Simcc):
        for axis, side in (("x", width), ("y", height)):
            shape, bins = decoded[axis].shape, side * recipe.form.split
            if len(shape) != 3 or shape[2] != bins:
                raise MisfitError(f"its output for {axis} has the shape {shape}, not {bins:g} bins a keypoint")
