"""Regions of a probability map, as in text detection by DB (Liao et al., arXiv 1911.08947)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..columns.keypoints import Keypoints
from ..contract.parse import require
from ..contract.skeleton import Skeleton
from ..results.instances import Instances
from ..system.errors import AbsentError
from .boxes import in_image
from .form import Contract, ImageForm, Output, Run

_MOST = 1000
_LEAST_SIDE = 3
"""The shortest side of a region in px of the map; that of an enlarged region is 2 px longer."""


@dataclass(frozen=True)
class Regions(ImageForm):
    """One probability per pixel, `map` (n, 1, h, w). Each connected region becomes a rectangle at any angle.

    Pixels above `threshold` count, with `dilate` also their right and lower neighbours. The rectangle is the smallest
    around a region, enlarged on all sides by `unclip` times its area / its perimeter. The score is the mean probability
    inside it before. Its four corners are keypoints: top left, top right, bottom right, bottom left.
    """

    threshold: float = 0.3
    unclip: float = 1.6
    dilate: bool = True
    kind: Literal["regions"] = "regions"

    task: ClassVar[str] = "detection"
    outputs: ClassVar[tuple[Output, ...]] = (Output("map"),)

    def __post_init__(self) -> None:
        require(0 < self.threshold < 1, "form.threshold", "0..1")
        require(0 <= self.unclip <= 100, "form.unclip", "0..100")

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None and len(skeleton.keypoints) == 4, "skeleton", "four corners")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The regions whose score is at least `suppress.conf`. Raises AbsentError without the package pyclipper."""
        [run] = runs
        values = np.ascontiguousarray(run.outputs["map"][0], np.float32)
        quads, scores = self._quads(values, card.suppress.conf)
        height, width = run.frame.canvas_size
        places = quads * np.array([width / values.shape[1], height / values.shape[0]], np.float32)
        corners = in_image(places.reshape(-1, 2), run.frame).reshape(-1, 4, 2)
        boxes = np.concatenate((corners.min(1), corners.max(1)), 1)
        assert card.skeleton is not None
        poses = np.concatenate((corners, np.repeat(scores[:, None, None], 4, 1)), 2)
        column = Keypoints(poses, card.skeleton, (boxes[:, 2:] - boxes[:, :2]).prod(1))
        found = Instances(boxes, scores, np.zeros(len(scores), np.int64), card.labels, run.frame.extent)
        return found.with_columns(column)

    def _quads(self, values: NDArray[np.float32], conf: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rectangles (n, 4, 2) in px of the map, and their scores (n,)."""
        mask = (values > self.threshold).astype(np.uint8)
        if self.dilate:
            mask = np.asarray(cv2.dilate(mask, np.ones((2, 2), np.uint8)), np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        quads: list[NDArray[np.float32]] = []
        scores: list[float] = []
        for outline in outlines[:_MOST]:
            quad, side = _rectangle(outline)
            if side < _LEAST_SIDE or (score := _mean_inside(values, quad)) < conf:
                continue
            quad, side = _rectangle(self._enlarged(quad))
            if side >= _LEAST_SIDE + 2:
                quads.append(quad)
                scores.append(score)
        return np.array(quads, np.float32).reshape(-1, 4, 2), np.array(scores, np.float32)

    def _enlarged(self, quad: NDArray[np.float32]) -> NDArray[np.int32]:
        """The outline of the rectangle moved outwards, with round corners, in whole px."""
        try:
            import pyclipper  # pyright: ignore[reportMissingTypeStubs]
        except ModuleNotFoundError as error:
            raise AbsentError(
                "regions of text need pyclipper, which is not installed; pip install 'detforge[text]'"
            ) from error
        clipper: Any = pyclipper
        area, perimeter = cv2.contourArea(quad), cv2.arcLength(quad, True)
        moved: Any = clipper.PyclipperOffset()
        moved.AddPath(quad.tolist(), clipper.JT_ROUND, clipper.ET_CLOSEDPOLYGON)
        paths = moved.Execute(area * self.unclip / perimeter)
        return np.array(max(paths, key=len, default=[[0, 0]]), np.int32)


def _rectangle(outline: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """The smallest rectangle (4, 2) around an outline, from its top left corner clockwise, and its shorter side."""
    box = cv2.minAreaRect(outline.reshape(-1, 1, 2))
    corners = np.array(sorted(cv2.boxPoints(box).tolist()), np.float32)
    (top_left, bottom_left), (top_right, bottom_right) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (corners[:2], corners[2:])
    )
    return np.stack((top_left, top_right, bottom_right, bottom_left)), min(box[1])


def _mean_inside(values: NDArray[np.float32], quad: NDArray[np.float32]) -> float:
    """The mean of the values inside a rectangle, its edges included."""
    height, width = values.shape
    limits = np.array([width - 1, height - 1])
    low = np.clip(np.floor(quad.min(0)), 0, limits).astype(int)
    high = np.clip(np.ceil(quad.max(0)), 0, limits).astype(int)
    mask = np.zeros(high[::-1] - low[::-1] + 1, np.uint8)
    cv2.fillPoly(mask, [(quad - low).astype(np.int32)], 1)
    return float(cv2.mean(values[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])
