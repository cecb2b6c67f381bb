"""What forms of regions on maps share: polygons around them, and their scores."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..columns.polygons import Polygons
from ..results.instances import Instances
from ..system.errors import IncompatibleError
from .boxes import in_image
from .form import Contract, Run

MOST = 1000
"""The largest number of regions of a map."""


def found_on_map(
    shapes: Sequence[NDArray[np.float32]], scores: Sequence[float], size: tuple[int, ...], run: Run, card: Contract
) -> Instances:
    """The detections with these polygons (m, 2), in px of a map of `size` (height, width) that covers the canvas."""
    height, width = run.frame.canvas_size
    step = np.array([width / size[1], height / size[0]], np.float32)
    column = Polygons.of([in_image(shape * step, run.frame) for shape in shapes])
    labels = np.zeros(len(scores), np.int64)
    return Instances.around([column], np.array(scores, np.float32), labels, card.labels, run.frame.extent)


def check_sizes(run: Run, names: Sequence[str]) -> None:
    """Raise IncompatibleError if maps that belong together differ in size."""
    sizes = {name: run.outputs[name].shape[-2:] for name in names if name in run.outputs}
    if len(set(sizes.values())) > 1:
        given = ", ".join(f"{name} {width}x{height}" for name, (height, width) in sizes.items())
        raise IncompatibleError(f"the model's maps differ in size ({given}); its form needs maps of one size")


class Component(NamedTuple):
    """One connected region of a mask: the rows and columns of its box, and which pixels there belong to it."""

    window: tuple[slice, slice]
    mask: NDArray[np.bool_]


def components(mask: NDArray[np.bool_], least_pixels: int) -> Iterator[Component]:
    """The regions of pixels that touch at a side, in the order of their first pixels.

    Regions of fewer pixels are left out, and all but the `MOST` largest.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    largest = np.sort(np.argsort(-sizes, kind="stable")[:MOST])
    for i in largest[sizes[largest] >= least_pixels].tolist():
        left, top, width, height = stats[i + 1, :4].tolist()
        window = slice(top, top + height), slice(left, left + width)
        yield Component(window, labels[window] == i + 1)


def rectangle(outline: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """The smallest rectangle (4, 2) around an outline, from its top left corner clockwise, and its shorter side."""
    box = cv2.minAreaRect(outline.reshape(-1, 1, 2))
    corners = np.array(sorted(cv2.boxPoints(box).tolist()), np.float32)
    (top_left, bottom_left), (top_right, bottom_right) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (corners[:2], corners[2:])
    )
    return np.stack((top_left, top_right, bottom_right, bottom_left)), min(box[1])


def mean_inside(values: NDArray[np.float32], shape: NDArray[np.float32]) -> float:
    """The mean of the values inside a polygon, its edges included."""
    height, width = values.shape
    limits = np.array([width - 1, height - 1])
    low = np.clip(np.floor(shape.min(0)), 0, limits).astype(int)
    high = np.clip(np.ceil(shape.max(0)), 0, limits).astype(int)
    mask = np.zeros(high[::-1] - low[::-1] + 1, np.uint8)
    cv2.fillPoly(mask, [(shape - low).astype(np.int32)], 1)
    return float(cv2.mean(values[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])
