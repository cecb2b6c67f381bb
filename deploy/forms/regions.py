"""Regions of a probability map, as in text detection by DB (Liao et al., arXiv 1911.08947)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..results.instances import Instances
from ..system.errors import AbsentError
from .form import Contract, ImageForm, Output, Run
from .outlines import MOST, found_on_map, mean_inside, rectangle

_LEAST_SIDE = 3
"""The shortest side of a region in px of the map; that of an enlarged region is 2 px longer."""
_DETAIL = 0.002
"""How far an outline may be from its region, as a part of its length."""
_LEAST_CORNERS = 4


@dataclass(frozen=True)
class Regions(ImageForm):
    """One probability per pixel, `map` (n, 1, h, w). Each connected region becomes a polygon.

    Pixels above `threshold` count, with `dilate` also their right and lower neighbours. The `shape` is a "rectangle" at
    any angle, the smallest around a region, with its corners in the order top left, top right, bottom right, bottom
    left; or an "outline", which follows the region's border. It is enlarged on all sides by `unclip` times its area /
    its perimeter. The score is the mean probability inside it before.
    """

    threshold: float = 0.3
    unclip: float = 1.6
    dilate: bool = True
    shape: Literal["rectangle", "outline"] = "rectangle"
    kind: Literal["regions"] = "regions"

    task: ClassVar[str] = "text detection"
    compares: ClassVar[str] = "polygons"
    outputs: ClassVar[tuple[Output, ...]] = (Output("map"),)

    def __post_init__(self) -> None:
        require(0 < self.threshold < 1, "form.threshold", "0..1")
        require(0 <= self.unclip <= 100, "form.unclip", "0..100")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The regions whose score is at least `suppress.conf`. Raises AbsentError without the package pyclipper."""
        [run] = runs
        values = np.ascontiguousarray(run.outputs["map"][0], np.float32)
        shapes, scores = self._shapes(values, card.suppress.conf)
        return found_on_map(shapes, scores, values.shape, run, card)

    def _shapes(self, values: NDArray[np.float32], conf: float) -> tuple[list[NDArray[np.float32]], list[float]]:
        """The polygons (m, 2) in px of the map, and their scores."""
        mask = (values > self.threshold).astype(np.uint8)
        if self.dilate:
            mask = np.asarray(cv2.dilate(mask, np.ones((2, 2), np.uint8)), np.uint8)
        borders, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        shapes: list[NDArray[np.float32]] = []
        scores: list[float] = []
        for border in borders[:MOST]:
            shape = self._shape(border)
            if shape is None or (score := mean_inside(values, shape)) < conf:
                continue
            if (larger := self._larger(shape)) is not None:
                shapes.append(larger)
                scores.append(score)
        return shapes, scores

    def _shape(self, border: NDArray[Any]) -> NDArray[np.float32] | None:
        """The polygon of a region; None if the region is too small."""
        if self.shape == "rectangle":
            corners, side = rectangle(border)
            return corners if side >= _LEAST_SIDE else None
        outline = cv2.approxPolyDP(border, _DETAIL * cv2.arcLength(border, True), True)
        return outline.reshape(-1, 2).astype(np.float32) if len(outline) >= _LEAST_CORNERS else None

    def _larger(self, shape: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The polygon of an enlarged region; None if it is too small, or an outline in several parts."""
        paths = self._enlarged(shape)
        if self.shape == "outline" and len(paths) != 1:
            return None
        path = max(paths, key=len, default=np.zeros((1, 2), np.int32))
        corners, side = rectangle(path)
        if side < _LEAST_SIDE + 2:
            return None
        return corners if self.shape == "rectangle" else path.astype(np.float32)

    def _enlarged(self, shape: NDArray[np.float32]) -> list[NDArray[np.int32]]:
        """The outlines of a polygon that is moved outwards, with round corners, in whole px."""
        try:
            import pyclipper  # pyright: ignore[reportMissingTypeStubs]
        except ModuleNotFoundError as error:
            raise AbsentError(
                "regions of text need pyclipper, which is not installed; pip install 'detforge[text]'"
            ) from error
        clipper: Any = pyclipper
        area, perimeter = cv2.contourArea(shape), cv2.arcLength(shape, True)
        moved: Any = clipper.PyclipperOffset()
        moved.AddPath(shape.tolist(), clipper.JT_ROUND, clipper.ET_CLOSEDPOLYGON)
        return [np.array(path, np.int32) for path in moved.Execute(area * self.unclip / perimeter)]
