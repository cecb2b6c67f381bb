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
    peaks = [output for output in present if output.compare == "place"]
    for output in present:
        if output.compare != "place":
            unit = unit_of(output, form, canvas, expected[output.name])
            comparison.add(output.name, got[output.name], expected[output.name], unit, embedding=output.embedding)
    for _, group in groupby(peaks, lambda output: output.group):
        _compare_peaks(comparison, got, expected, form, canvas, list(group))


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


def _compare_peaks(
    comparison: Comparison, got: Arrays, expected: Arrays, form: Form, canvas: Size, group: Sequence[Output]
) -> None:
    """Compare the peaks that both sides have, matched by label and position.

    If scores are nearly equal, their order may differ; if neighbours are, either may be the peak. A peak near the last
    score does not count as a mismatch, since a better one may have taken its row.
    """
    role = {output.role: output.name for output in group}
    places, scores, labels = role["place"], role["score"], role["label"]
    for i in range(len(expected[scores])):
        wanted_places, got_places = (_centres(side[places][i]) for side in (expected, got))
        distance = np.abs(wanted_places[:, None] - got_places)
        alike = (distance.max(2) < 1) & (expected[labels][i][:, None] == got[labels][i])
        found = alike.any(1)
        partners = alike[found].argmax(1)
        for output in group:
            if output.role == "label":
                continue
            unit = unit_of(output, form, canvas, expected[output.name])
            # No common peak is a failure. Comparing nothing would hide it.
            wanted = expected[output.name][i][found] if found.any() else np.full(1, np.nan)
            ours = got[output.name][i][partners]
            comparison.add(output.name, ours, wanted, unit, embedding=output.embedding, jumps=output.jumps)
        last = max(got[scores][i].min(), expected[scores][i].min())
        safe = expected[scores][i] > last * (1 + comparison.tolerance.rtol) + comparison.tolerance.atol
        comparison.detections += int(safe.sum())
        comparison.matched += int((safe & found).sum())


def _centres(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (k, 2), or centres of boxes (k, 4), since the sides of a box may differ by more than one cell."""
    return (places[:, :2] + places[:, -2:]) / np.float32(2)
