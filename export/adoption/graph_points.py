"""The points of an adopted graph's levels, as nodes."""

import numpy as np

from ...deploy.forms import Dense
from ...deploy.inputs.geometry import Size
from .nodes import FLOAT, Nodes
from .recipe import Recipe


def level_points(nodes: Nodes, recipe: Recipe, canvas: Size | None, image: str) -> tuple[str, str, str]:
    """The points (a, 2) in cells, strides (a, 1) and sides of the priors (a, 2) of all levels.

    `image` is the name of the image input, whose size counts if the canvas is not fixed.
    """
    points: list[str] = []
    strides: list[str] = []
    priors: list[str] = []
    for i, stride in enumerate(recipe.strides):
        assert isinstance(recipe.form, Dense)
        sides = recipe.decode.sides[i] if recipe.decode.sides else (float(stride),) * recipe.form.anchors
        cells = _cells(nodes, stride, canvas, image)
        each = nodes("Add", nodes.reshaped(cells, [-1, 1, 2]), nodes.floats(np.zeros((len(sides), 1))))
        centres = nodes("Add", nodes.reshaped(each, [-1, 2]), nodes.floats(recipe.decode.centre))
        zeros = nodes("Mul", each, nodes.floats(0))
        points.append(centres)
        strides.append(nodes("Add", nodes.columns(nodes.reshaped(zeros, [-1, 2]), [0], 1), nodes.floats(stride)))
        own = nodes("Add", zeros, nodes.floats(np.repeat(np.array(sides)[:, None], 2, 1)))
        priors.append(nodes.reshaped(own, [-1, 2]))
    if not points:
        return nodes.floats(np.zeros((1, 2))), nodes.floats([[1]]), nodes.floats([[1, 1]])
    return nodes.joined(points, 0), nodes.joined(strides, 0), nodes.joined(priors, 0)


def _cells(nodes: Nodes, stride: int, canvas: Size | None, image: str) -> str:
    """The column and row of every cell of a level (a, 2)."""
    if canvas is not None:
        rows, columns = (-(-side // stride) for side in canvas)
        return nodes.floats(np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2))
    axes: list[str] = []
    for axis in (2, 3):
        side = nodes("Add", nodes.side(image, axis), nodes.whole([stride - 1]))
        end = nodes.reshaped(nodes("Div", side, nodes.whole([stride])), [])
        axes.append(nodes("Cast", nodes("Range", nodes.whole(0), end, nodes.whole(1)), to=FLOAT))
    rows, columns = nodes.reshaped(axes[0], [-1, 1, 1]), nodes.reshaped(axes[1], [1, -1, 1])
    zero = nodes.floats(0)
    wide = nodes("Add", columns, nodes("Mul", rows, zero))
    tall = nodes("Add", rows, nodes("Mul", columns, zero))
    return nodes.reshaped(nodes("Concat", wide, tall, axis=2), [-1, 2])
