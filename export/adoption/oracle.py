"""A plain reader of a foreign file's outputs in float64 NumPy, the reference that an adopted file is compared with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...deploy.contract.port import Arrays
from ...deploy.forms import Dense, Graph
from .recipe import Recipe
from .roles import MisfitError, roles_of, split_widths

Doubles = NDArray[np.float64]
_SCALAR_ROLES = ("label", "score")


def decode(recipe: Recipe, outputs: Mapping[str, NDArray[Any]], canvas: tuple[int, int]) -> Arrays:
    """The outputs of the recipe's form from those of the file, for a canvas of (height, width) px.

    Raises MisfitError if their shapes are not those of the recipe.
    """
    roles = roles_of(recipe, list(outputs))
    if not isinstance(recipe.form, Dense | Graph):
        found = {role: outputs[name].astype(np.float64) for role, [name] in _single(roles).items()}
    else:
        parts = _parts(recipe, roles, outputs)
        if recipe.strides:
            _check_points(recipe, parts, roles, outputs, canvas)
        found = _dense(recipe, parts, canvas) if isinstance(recipe.form, Dense) else _listed(recipe, parts, canvas)
    return {name: _as_output(name, value) for name, value in found.items()}


def _single(roles: dict[str, list[str]]) -> dict[str, list[str]]:
    for role, names in roles.items():
        if len(names) != 1:
            raise MisfitError(f"it has {len(names)} outputs for {role}, not one")
    return roles


def _as_output(name: str, value: NDArray[Any]) -> NDArray[Any]:
    return value.astype(np.int64 if name in ("labels", "num") else np.float32)


def rows_of(value: NDArray[Any], role: str, layout: str) -> Doubles:
    """One output as (n, rows, columns). Raises MisfitError for another rank."""
    data = value.astype(np.float64)
    if role in _SCALAR_ROLES and data.ndim < 3:
        return data[None, :, None] if data.ndim == 1 else data.reshape(*data.shape, *(1,) * (3 - data.ndim))
    if layout in ("maps", "maps_last"):
        if data.ndim != 4:
            raise MisfitError(f"its output for {role} has the shape {value.shape}, not that of maps")
        if layout == "maps":
            data = np.moveaxis(data, 1, 3)
        return data.reshape(len(data), data.shape[1] * data.shape[2], data.shape[3])
    if data.ndim == 2:
        data = data[None]
    elif data.ndim == 4:  # keypoints, each of its own row
        data = data.reshape(*data.shape[:2], data.shape[2] * data.shape[3])
    if data.ndim != 3:
        raise MisfitError(f"its output for {role} has the shape {value.shape}, not that of rows")
    return data.swapaxes(1, 2) if layout == "columns" else data


def _parts(recipe: Recipe, roles: dict[str, list[str]], outputs: Mapping[str, NDArray[Any]]) -> dict[str, Doubles]:
    """The values (n, a, width) of each part, level after level."""
    parts: dict[str, Doubles] = {}
    for role, names in roles.items():
        if role == "unused":
            continue
        levels = sorted(
            (rows_of(outputs[name], role, recipe.decode.layout_of(role)) for name in names), key=_fewer_rows
        )
        if len({level.shape[2] for level in levels}) > 1:
            raise MisfitError(f"its outputs for {role} have different widths")
        whole = np.concatenate(levels, 1)
        if role == "rows":
            spans = split_widths(recipe, whole.shape[2])
            parts.update({name: whole[..., start:end] for name, (start, end) in spans.items()})
        else:
            parts[role] = whole
    wanted = {"box": 4 * (recipe.decode.bins if recipe.decode.box == "distribution" else 1), "obj": 1}
    for role, width in (wanted | {"size": 2, "offset": 2, "corners": 8, "label": 1, "score": 1}).items():
        if role in parts and parts[role].shape[2] != width:
            raise MisfitError(f"its output for {role} has {parts[role].shape[2]} values, not {width}")
    if "keypoints" in parts and parts["keypoints"].shape[2] % (3 if recipe.decode.keypoint_scores else 2):
        raise MisfitError(f"its output for keypoints has {parts['keypoints'].shape[2]} values")
    if isinstance(recipe.form, Dense) and any(not value.size for value in parts.values()):
        raise MisfitError("it has an output without values")
    if len({value.shape[1] for value in parts.values()}) > 1:
        counts = ", ".join(f"{value.shape[1]} of {role}" for role, value in parts.items())
        raise MisfitError(f"its outputs have different numbers of rows: {counts}")
    return parts


def _fewer_rows(level: Doubles) -> int:
    return -level.shape[1]


def _check_points(
    recipe: Recipe,
    parts: dict[str, Doubles],
    roles: dict[str, list[str]],
    outputs: Mapping[str, NDArray[Any]],
    canvas: tuple[int, int],
) -> None:
    """Check the number of rows of every level, and that there is an output for each."""
    levels = [len(points) for points, _, _ in _levels(recipe, canvas)]
    height, width = canvas
    strides = ", ".join(map(str, recipe.strides))
    for role, names in roles.items():
        if len(names) not in (1, len(levels)):
            raise MisfitError(f"it has {len(names)} outputs for {role}, not one for each stride of {strides}")
        counts = sorted(
            (rows_of(outputs[name], role, recipe.decode.layout_of(role)).shape[1] for name in names), reverse=True
        )
        if counts != (levels if len(names) > 1 else [sum(levels)]):
            found = " + ".join(map(str, counts))
            raise MisfitError(f"it has {found} rows for {width}x{height} px, not {sum(levels)} at strides {strides}")
    if not parts:
        raise MisfitError("it has no outputs that are used")


def _levels(recipe: Recipe, canvas: tuple[int, int]) -> list[tuple[Doubles, Doubles, Doubles]]:
    """The points (a, 2) in cells, strides (a, 1) and sides of the priors (a, 2) of each level."""
    assert isinstance(recipe.form, Dense)
    levels: list[tuple[Doubles, Doubles, Doubles]] = []
    for i, stride in enumerate(recipe.form.strides):
        sides = recipe.decode.sides[i] if recipe.decode.sides else (float(stride),) * recipe.form.anchors
        points: list[list[float]] = []
        priors: list[list[float]] = []
        for row in range(-(-canvas[0] // stride)):
            for column in range(-(-canvas[1] // stride)):
                for side in sides:
                    points.append([column + recipe.decode.centre, row + recipe.decode.centre])
                    priors.append([side, side])
        levels.append((np.array(points), np.full((len(points), 1), float(stride)), np.array(priors)))
    return levels


def points_of(recipe: Recipe, canvas: tuple[int, int]) -> tuple[Doubles, Doubles]:
    """The points (a, 2) in px and the strides (a, 1) of all levels."""
    points, strides, _ = (np.concatenate(each) for each in zip(*_levels(recipe, canvas), strict=True))
    return points * strides, strides


def _dense(recipe: Recipe, parts: dict[str, Doubles], canvas: tuple[int, int]) -> dict[str, NDArray[Any]]:
    code = recipe.decode
    if recipe.strides:
        points, strides, priors = (np.concatenate(each) for each in zip(*_levels(recipe, canvas), strict=True))
    else:
        points, strides, priors = np.zeros((1, 2)), np.ones((1, 1)), np.ones((1, 2))
    boxes = _boxes(recipe, parts, canvas, points, strides, priors)
    found: dict[str, NDArray[Any]] = {"boxes": boxes, "scores": _scores(recipe, parts["cls"])}
    if code.peaks:
        found["scores"] = _peaks(found["scores"], -(-canvas[1] // recipe.strides[0]))
    if "corners" in parts:
        found["keypoints"] = _corners(parts, points, strides)
    if "obj" in parts:
        found["quality"] = parts["obj"][..., 0]
    if "keypoints" in parts:
        per_point = parts["keypoints"].shape[2] // (3 if code.keypoint_scores else 2)
        data = parts["keypoints"].reshape(*parts["keypoints"].shape[:2], per_point, -1)
        places = data[..., :2]
        low, size = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
        if code.keypoints == "point":
            places = (points[:, None] + places) * strides[:, None]
        elif code.keypoints == "prior":
            places = (points * strides)[:, None] + places * code.variances[0] * priors[:, None]
        elif code.keypoints == "box_yx":
            places = low + places[..., ::-1] * size
        found["keypoints"] = places.reshape(*places.shape[:2], -1)
        if code.keypoint_scores:
            found["keypoint_scores"] = data[..., 2]
    return found


def _corners(parts: dict[str, Doubles], points: Doubles, strides: Doubles) -> Doubles:
    """Four corners x, y of each cell (n, a, 8)."""
    centre = points + parts["offset"]
    return (np.tile(centre, 4) - parts["corners"]) * strides


def _peaks(scores: Doubles, width: int) -> Doubles:
    """The scores (n, a, c) with 0 where one of the eight neighbours in rows of `width` cells is larger."""
    maps = scores.reshape(len(scores), -1, width, scores.shape[2])
    framed = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    height = maps.shape[1]
    largest = np.max([framed[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], 0)
    return np.where(maps >= largest, maps, 0.0).reshape(scores.shape)


def _scores(recipe: Recipe, values: Doubles) -> Doubles:
    code = recipe.decode
    if code.scores == "logits":
        values = 1 / (1 + np.exp(-values))
    elif code.scores == "softmax":
        powers = np.exp(values - values.max(2, keepdims=True))
        values = powers / powers.sum(2, keepdims=True)
    return values


def _boxes(
    recipe: Recipe,
    parts: dict[str, Doubles],
    canvas: tuple[int, int],
    points: Doubles,
    strides: Doubles,
    priors: Doubles,
) -> Doubles:
    code, here = recipe.decode, points * strides
    if code.box == "centre_size":
        size = np.exp(parts["size"][..., ::-1]) * strides
        centre = here + parts["offset"][..., ::-1] * strides
        return np.concatenate((centre - size / 2, centre + size / 2), 2)
    if code.box == "corners":
        corners = _corners(parts, points, strides).reshape(*parts["corners"].shape[:2], 4, 2)
        return np.concatenate((corners.min(2), corners.max(2)), 2)
    raw = parts["box"]
    if code.box == "distribution":
        bins = raw.reshape(*raw.shape[:2], 4, code.bins)
        weights = np.exp(bins - bins.max(3, keepdims=True))
        raw = (weights * np.arange(code.bins)).sum(3) / weights.sum(3)
    if code.box in ("distances", "distribution"):
        raw = raw * strides
    if code.box in ("distances", "distances_px", "distribution"):
        return np.concatenate((here - raw[..., :2], here + raw[..., 2:]), 2)
    if code.box == "offset_exp":
        raw = np.concatenate((here + raw[..., :2] * strides, np.exp(raw[..., 2:]) * strides), 2)
    elif code.box == "priors":
        first, second = code.variances
        raw = np.concatenate((here + raw[..., :2] * first * priors, priors * np.exp(raw[..., 2:] * second)), 2)
    elif code.relative:
        raw = raw * np.array([canvas[1], canvas[0]] * 2)
    if code.box == "xyxy":
        return raw
    return np.concatenate((raw[..., :2] - raw[..., 2:] / 2, raw[..., :2] + raw[..., 2:] / 2), 2)


def _listed(recipe: Recipe, parts: dict[str, Doubles], canvas: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Detections that the file has selected itself."""
    scores = parts["score"][..., 0]
    labels = parts["label"][..., 0] if "label" in parts else np.zeros_like(scores)
    found: dict[str, NDArray[Any]] = {
        "boxes": _boxes(recipe, parts, canvas, np.zeros((1, 2)), np.ones((1, 1)), np.ones((1, 2))),
        "scores": scores,
        "labels": np.maximum(labels, 0),
        "num": np.full(len(scores), scores.shape[1]),
    }
    if "keypoints" in parts:
        step = 3 if recipe.decode.keypoint_scores else 2
        count = parts["keypoints"].shape[2] // step
        data = parts["keypoints"].reshape(*scores.shape, count, step)
        found["keypoints"] = data[..., :2].reshape(*scores.shape, 2 * count)
        if step == 3:
            found["keypoint_scores"] = data[..., 2]
    return found
