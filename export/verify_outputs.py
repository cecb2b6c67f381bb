"""The part of the verification that compares raw outputs, as their form declares."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.contract.port import Arrays
from ..deploy.forms.form import Form, Output
from ..deploy.inputs.geometry import Size
from .comparison import Comparison, Tolerance


def compare_outputs(comparison: Comparison, got: Arrays, expected: Arrays, form: Form, canvas: Size) -> None:
    """Compare all outputs of a batch on a canvas of (height, width) px."""
    present = [output for output in form.outputs if output.name in expected]
    rows = [output for output in present if output.compare in ("place", "overlap")]
    for output in present:
        if output not in rows:
            unit = unit_of(output, form, canvas, expected[output.name])
            comparison.add(output.name, got[output.name], expected[output.name], unit, embedding=output.embedding)
    for _, group in groupby(rows, lambda output: output.group):
        _compare_rows(comparison, got, expected, form, canvas, list(group))


def unit_of(output: Output, form: Form, canvas: Size, expected: NDArray[Any]) -> Any:
    """The unit of an output's tolerance. It broadcasts against the output."""
    if output.unit == "px":
        return form.px(canvas)
    return largest(expected) if output.unit == "range" else 1.0


def largest(values: NDArray[Any]) -> float:
    """The largest absolute value, or 1 if all are 0."""
    return float(np.abs(values).max(initial=0)) or 1.0


def same_peaks(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> NDArray[np.bool_]:
    """Whether each peak (n, k) of the maps (n, k, ...) lies at a maximum of the expected map.

    Peaks at different positions match if the expected map has the same height there, within the tolerance.
    """
    ours, theirs = (maps.reshape(*maps.shape[:2], -1) for maps in (got, expected))
    at_ours = np.take_along_axis(theirs, ours.argmax(-1)[..., None], -1)[..., 0]
    best = theirs.max(-1)
    return best - at_ours <= 2 * (tolerance.atol * largest(expected) + tolerance.rtol * np.abs(best))


def same_boxes(got: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """The largest shift (n, m) px between the sides of boxes (n, 4) and (m, 4) xyxy px; infinite if not the same.

    The same are boxes with an IoU of 0.9, or with all sides within 0.5 px.
    """
    shifts = np.abs(got[:, None] - expected).max(2)
    shifts[~((_iou(got, expected) >= _MATCH_IOU) | (shifts <= MATCH_PX))] = np.inf
    return shifts


_MATCH_IOU, MATCH_PX = 0.9, 0.5


def _iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of boxes (n, 4) and (m, 4) xyxy as (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    return intersection / np.maximum(areas[0][:, None] + areas[1][None, :] - intersection, 1e-9)


def _compare_rows(
    comparison: Comparison, got: Arrays, expected: Arrays, form: Form, canvas: Size, group: Sequence[Output]
) -> None:
    """Compare the peaks or regions that both sides have, matched by label and position, or by overlap.

    If scores are nearly equal, their order may differ; if neighbours are, either may be the peak. A row near the last
    score does not count as a mismatch, since a better one may have taken its place.
    """
    role = {output.role: output.name for output in group}
    places, scores = role["place"], role["score"]
    for i in range(len(expected[scores])):
        ours, theirs = ({name: side[name][i] for name in (output.name for output in group)} for side in (got, expected))
        if not len(ours[scores]) and not len(theirs[scores]):
            continue
        if group[0].compare == "overlap":
            # The score tells apart rows of one region, as of two classes; a row has one partner.
            distance = same_boxes(theirs[places], ours[places]) + np.abs(theirs[scores][:, None] - ours[scores])
            distance[distance > distance.min(0, initial=np.inf)] = np.inf
        else:
            distance = np.abs(_centres(theirs[places])[:, None] - _centres(ours[places])).max(2)
            distance[~(distance < 1)] = np.inf
        if "label" in role:
            distance[theirs[role["label"]][:, None] != ours[role["label"]]] = np.inf
        found = np.isfinite(distance).any(1) & (theirs[scores] > 0)
        if not (ours[scores] > 0).any() and not (theirs[scores] > 0).any():  # Nothing but padding, the same or not.
            found, distance = np.ones_like(found), 1.0 - np.eye(len(found))
        partners = distance[found].argmin(1) if found.any() else np.zeros(0, np.int64)
        for output in group:
            if output.role == "label":
                continue
            unit = unit_of(output, form, canvas, expected[output.name])
            # No common row is a failure. Comparing nothing would hide it.
            wanted = theirs[output.name][found] if found.any() else np.full(1, np.nan)
            comparison.add(
                output.name,
                ours[output.name][partners],
                wanted,
                unit,
                embedding=output.embedding,
                jumps=output.jumps,
            )
        last = max(side[scores].min() if len(side[scores]) else 0.0 for side in (ours, theirs))
        safe = theirs[scores] > last * (1 + comparison.tolerance.rtol) + comparison.tolerance.atol
        comparison.detections += int(safe.sum())
        comparison.matched += int((safe & found).sum())


def _centres(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (k, 2), or centres of boxes (k, 4), since the sides of a box may differ by more than one cell."""
    return (places[:, :2] + places[:, -2:]) / np.float32(2)
