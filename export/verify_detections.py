"""The part of the verification that compares final detections."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

import numpy as np

from ..deploy.card import Card
from ..deploy.contract.port import Arrays
from ..deploy.forms.form import CropForm, Form, ImageForm, Reading, Run
from ..deploy.inputs.crop import WarpedFrame
from ..deploy.inputs.network_inputs import View
from ..deploy.results.instances import Instances
from ..deploy.suppress import suppress
from .comparison import Comparison
from .graph_nms import CONF
from .verify_outputs import MATCH_PX, same_boxes, same_peaks


def compare_detections(
    comparison: Comparison, got: Arrays, expected: Arrays, card: Card, form: Form, views: Sequence[View]
) -> None:
    """Compare the peaks of a network's maps and the readings in crops; without either, the final detections."""
    maps = [output.name for output in form.outputs if output.compare == "map" and output.name in expected]
    peaks: Any = None
    if maps:
        # One map of people counts for the maps of all their keypoints.
        peaks = reduce(np.logical_and, [same_peaks(got[m], expected[m], comparison.tolerance) for m in maps])
        comparison.detections += peaks.size
        comparison.matched += int(peaks.sum())
    if form.runs_on == "crops":
        ours, theirs = (_read(outputs, card, cast(CropForm, form), views) for outputs in (got, expected))
        _compare_readings(comparison, ours, theirs, peaks)
    elif not maps:
        for i, view in enumerate(views):
            ours, theirs = (_found(outputs, i, card, form, view) for outputs in (got, expected))
            _match(comparison, ours, theirs, card)


def compare_suppressed(
    comparison: Comparison, got: Arrays, expected: Arrays, card: Card, form: Form, views: Sequence[View]
) -> None:
    """Compare a file with suppression inside with the detections from the network's outputs, of the form `form`."""
    wanted = [_found(expected, i, card, form, view) for i, view in enumerate(views)]
    scores = np.stack([np.pad(found.scores, (0, card.suppress.max_det - len(found))) for found in wanted])
    comparison.add("scores", got["scores"], scores)
    for i, (view, theirs) in enumerate(zip(views, wanted, strict=True)):
        _match(comparison, _found(got, i, card, card.form, view), theirs, card)


def _found(outputs: Arrays, index: int, card: Card, form: Form, view: View) -> Instances:
    """The final detections of one image of a batch, in model px."""
    row = {name: value[index] for name, value in outputs.items()}
    found = cast(ImageForm, form).find([Run(row, view.frame)], card)
    return suppress(found, card.suppress, form.compares)


def _read(outputs: Arrays, card: Card, form: CropForm, views: Sequence[View]) -> Reading:
    frames = [view.frame for view in views if isinstance(view.frame, WarpedFrame)]
    return form.read(outputs, None, frames, card)


def _compare_readings(comparison: Comparison, ours: Reading, theirs: Reading, peaks: Any) -> None:
    """Compare the readings in crops row by row. If maps were compared before, their peaks decide what matches."""
    for mine, other in zip(ours.columns, theirs.columns, strict=True):
        shift = mine.distances(other)
        # If the two highest pixels of a map are nearly equal, the keypoint may be at either.
        near = shift[shift < 1] if peaks is None or peaks.shape != shift.shape else shift[peaks & (shift < 1)]
        if peaks is None:
            comparison.detections += shift.size
            comparison.matched += int((shift <= MATCH_PX).sum())
        comparison.box_shift_px = max(comparison.box_shift_px, float(near.max(initial=0)))
    shift = np.abs(ours.quality - theirs.quality)
    comparison.score_shift = max(comparison.score_shift, float(shift.max(initial=0)))


def _match(comparison: Comparison, got: Instances, expected: Instances, card: Card) -> None:
    """Match each detection with one of the other side: the same label, and an IoU of 0.9 or sides within 0.5 px.

    Detections that the tolerance may move across a limit do not count as mismatches: those near the threshold, and
    those near the last score of a full list.
    """
    full = [found.scores[-1] for found in (got, expected) if len(found) == card.suppress.max_det]
    floor = float(max([CONF, *full])) * (1 + comparison.tolerance.rtol) + comparison.tolerance.atol
    for ours, theirs in ((got, expected), (expected, got)):
        shifts = same_boxes(ours.boxes, theirs.boxes)
        shifts[ours.labels[:, None] != theirs.labels] = np.inf
        for i in np.flatnonzero(ours.scores > floor):
            comparison.detections += 1
            if not np.isfinite(shifts[i]).any():
                continue
            j = int(shifts[i].argmin())
            comparison.matched += 1
            one, other = ours[int(i)].columns, theirs[j].columns
            apart = [one[name].distances(other[name]) for name in one.keys() & other.keys()]
            shift = max([shifts[i, j], *(parts.max(initial=0) for parts in apart)])
            comparison.box_shift_px = max(comparison.box_shift_px, float(shift))
            comparison.score_shift = max(comparison.score_shift, float(abs(ours.scores[i] - theirs.scores[j])))
