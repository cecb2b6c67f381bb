"""The parity report: an exported file against the network in PyTorch that it came from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..deploy.backends import Arrays, open_backend
from ..deploy.card import Card, Input
from ..deploy.forms import Decode, DenseDecode
from ..deploy.instances import Instances
from ..deploy.postprocess import postprocess
from ..deploy.preprocess import Frame, Image, preprocess
from .comparison import Comparison, Tolerance
from .convert import INPUT
from .graph_nms import CONF
from .photographs import make_up
from .verify_pose import compare_pose, pose_inputs

_MATCH_IOU, _MATCH_PX = 0.9, 0.5
_SHORT_SIDE = 256


def compare(
    model: nn.Module,
    path: Path,
    card: Card,
    decode: Decode,
    images: Sequence[Image] | None,
    tolerance: Tolerance,
    backend: str = "auto",
) -> Comparison:
    """Run the file at `path` and `model`, in fp32 PyTorch, on the same pictures; made-up ones where `images` is None.

    `decode` says how to read the model's outputs. A file that suppresses by itself is compared by its scores, best
    first, and by its detections.
    """
    session = open_backend(str(path), backend=backend)
    card = replace(card, suppress=replace(card.suppress, conf=CONF))
    comparison = Comparison(tolerance)
    for batch in _batches(images, card.input, session.inputs[0].shape[0]):
        with torch.inference_mode():
            expected: Arrays = {name: value.numpy() for name, value in model(torch.tensor(batch)).items()}
        got = session.run({INPUT: batch})
        comparison.runs.append(batch.shape)
        if card.task == "pose":
            compare_pose(comparison, got, expected, card, decode)
        else:
            _compare_detections(comparison, got, expected, card, decode, (batch.shape[2], batch.shape[3]))
    return comparison


def _compare_detections(
    comparison: Comparison, got: Arrays, expected: Arrays, card: Card, decode: Decode, canvas: tuple[int, int]
) -> None:
    count = len(next(iter(expected.values())))
    wanted = [_detections(expected, i, replace(card, decode=decode), canvas) for i in range(count)]
    if card.decode.kind == "graph":
        expected = {"scores": _padded([found.scores for found in wanted], card.suppress.max_det)}
    if isinstance(decode, DenseDecode):
        units = {"boxes": 8 * _strides(decode, canvas)[:, None]}
        for name, value in expected.items():
            comparison.add(name, got[name], value, units.get(name, 1.0))
    else:
        for prefix, places in _PEAKS[decode.kind]:
            _compare_peaks(comparison, got, expected, prefix, places)
    for i, reference in enumerate(wanted):
        _match(comparison, _detections(got, i, card, canvas), reference, card)


def _batches(images: Sequence[Image] | None, spec: Input, fixed: int | None) -> Iterator[NDArray[np.float32]]:
    """Inputs (n, 3, h, w): for every canvas a batch of one and batches of two, or batches of the fixed size."""
    if images is None:
        sizes = [(480, 640), (480, 640)]
        # The weights are the same at any size, and small canvases keep an export under a minute.
        if spec.size is None or spec.resize == "warp":
            sizes = [(240, 320), (240, 320), (300, 200), (300, 200)]
        elif spec.resize == "edges":
            sizes += [(600, 400), (600, 400)]
            short = min(spec.size[0], _SHORT_SIDE)
            spec = replace(spec, size=(short, min(spec.size[1], 2 * short)))
        images = [make_up(size, seed) for seed, size in enumerate(sizes)]
    is_pose = spec.resize in ("crop", "warp")
    canvases = pose_inputs(images, spec) if is_pose else (preprocess(image, spec)[0] for image in images)
    groups: dict[tuple[int, ...], list[NDArray[np.float32]]] = {}
    for canvas in canvases:
        groups.setdefault(canvas.shape, []).append(canvas)
    for group in groups.values():
        step = fixed or 2
        if not fixed:
            yield np.stack(group[:1])
        for start in range(0, len(group), step):
            yield np.stack([group[(start + i) % len(group)] for i in range(step)])


def _detections(outputs: Arrays, index: int, card: Card, canvas: tuple[int, int]) -> Instances:
    """The final detections of one image of a batch, in model px, as if the image filled the canvas."""
    row = {name: value[index] for name, value in outputs.items()}
    return postprocess(row, card, Frame(canvas, canvas, canvas))


_PEAKS = {"peaks": (("", "boxes"),), "corners": (("tl_", "points"), ("br_", "points"))}
"""Outputs with a row for each peak, best first: their prefix, and which of them tells the place."""


def _compare_peaks(comparison: Comparison, got: Arrays, expected: Arrays, prefix: str, places: str) -> None:
    """Compare the peaks that both sides have, which are looked for by label and place.

    Where scores are nearly equal their order may differ, and where neighbours are, which of them is a peak. Those next
    to the last score are no mismatch, since a better one may have taken their row.
    """
    scores, labels = f"{prefix}scores", f"{prefix}labels"
    for i in range(len(expected[scores])):
        wanted_places, got_places = (_centres(side[prefix + places][i]) for side in (expected, got))
        distance = np.abs(wanted_places[:, None] - got_places)
        alike = (distance.max(2) < 1) & (expected[labels][i][:, None] == got[labels][i])
        found = alike.any(1)
        partners = alike[found].argmax(1)
        for name in [name for name in expected if name.startswith(prefix) and name != labels]:
            unit = 8.0 * _PEAK_STRIDE if name == prefix + places else 1.0
            # Not one peak in common is a failure of its own, which nothing compared would hide.
            wanted = expected[name][i][found] if found.any() else np.full(1, np.nan)
            comparison.add(name, got[name][i][partners], wanted, unit)
        last = max(got[scores][i].min(), expected[scores][i].min())
        safe = expected[scores][i] > last * (1 + comparison.tolerance.rtol) + comparison.tolerance.atol
        comparison.detections += int(safe.sum())
        comparison.matched += int((safe & found).sum())


_PEAK_STRIDE = 4  # of all networks with heatmaps


def _centres(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (k, 2), or the middles of boxes (k, 4), whose sides may be off by more than the cells are apart."""
    return (places[:, :2] + places[:, -2:]) / np.float32(2)


def _match(comparison: Comparison, got: Instances, expected: Instances, card: Card) -> None:
    """Look for each detection's partner on the other side: the same label, and an IoU of 0.9 or sides within 0.5 px.

    Detections so near a limit that the tolerance may carry them over it are no mismatch: those next to the
    threshold, and next to the last score that a full list has room for.
    """
    full = [found.scores[-1] for found in (got, expected) if len(found) == card.suppress.max_det]
    floor = float(max([CONF, *full])) * (1 + comparison.tolerance.rtol) + comparison.tolerance.atol
    for ours, theirs in ((got, expected), (expected, got)):
        shifts = np.abs(ours.boxes[:, None] - theirs.boxes).max(2)
        alike = (_iou(ours.boxes, theirs.boxes) >= _MATCH_IOU) | (shifts <= _MATCH_PX)
        shifts[~alike | (ours.labels[:, None] != theirs.labels)] = np.inf
        for i in np.flatnonzero(ours.scores > floor):
            comparison.detections += 1
            if not np.isfinite(shifts[i]).any():
                continue
            j = int(shifts[i].argmin())
            comparison.matched += 1
            comparison.box_shift_px = max(comparison.box_shift_px, float(shifts[i, j]))
            comparison.score_shift = max(comparison.score_shift, float(abs(ours.scores[i] - theirs.scores[j])))


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes (n, 4) and (m, 4) xyxy as (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    return intersection / np.maximum(areas[0][:, None] + areas[1][None, :] - intersection, 1e-9)


def _strides(decode: DenseDecode, canvas: tuple[int, int]) -> NDArray[np.float64]:
    """Each prediction's stride (a,), in the order of the outputs."""
    return np.repeat(np.array(decode.strides, np.float64), decode.level_sizes(*canvas))


def _padded(rows: Sequence[NDArray[np.float32]], length: int) -> NDArray[np.float32]:
    return np.stack([np.pad(row, (0, length - len(row))) for row in rows])
