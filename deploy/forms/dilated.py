"""Regions that are dilated by their thickness, as in text detection by SA-Text (arXiv 1911.07046)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..results.instances import Instances
from .form import Contract, ImageForm, Output, Run
from .outlines import Component, components, found_on_map, rectangle

_SOLID = 0.4
"""The share of its box above which a region counts as one upright line."""


@dataclass(frozen=True)
class Dilated(ImageForm):
    """A probability per pixel, `map` (n, 1, h, w), that is high along the middle of each line of text.

    Pixels above `threshold` that touch at a side form a region, if there are `least_pixels` of them. A region is
    dilated by a square whose side is 1 + `grow` times the root of its thickness, rounded down. The result is the
    smallest rectangle around it, at any angle. The score is the mean of `map` in the region before.
    """

    threshold: float = 0.3
    grow: float = 4.3
    least_pixels: int = 4
    kind: Literal["dilated"] = "dilated"

    task: ClassVar[str] = "text detection"
    compares: ClassVar[str] = "polygons"
    outputs: ClassVar[tuple[Output, ...]] = (Output("map"),)

    def __post_init__(self) -> None:
        require(0 < self.threshold < 1, "form.threshold", "0..1")
        require(0 <= self.grow <= 100, "form.grow", "0..100")
        require(1 <= self.least_pixels <= 1_000_000, "form.least_pixels", "1..1000000")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The regions whose score is at least `suppress.conf`."""
        [run] = runs
        [values] = run.outputs["map"].astype(np.float32, copy=False)
        shapes: list[NDArray[np.float32]] = []
        scores: list[float] = []
        for part in components(values > self.threshold, self.least_pixels):
            score = float(values[part.window][part.mask].mean())
            if score >= card.suppress.conf:
                shapes.append(self._larger(part, values.shape))
                scores.append(score)
        return found_on_map(shapes, scores, values.shape, run, card)

    def _larger(self, part: Component, size: tuple[int, ...]) -> NDArray[np.float32]:
        """The rectangle (4, 2) around a dilated region of a map of `size` (height, width)."""
        (height, width), pixels = part.mask.shape, int(part.mask.sum())
        solid = pixels / (width * height) > _SOLID
        thickness = pixels * min(width, height) / (width * height) if solid else pixels / hypot(width, height)
        grown = int(self.grow * sqrt(thickness))
        # The region may grow to all sides, but not past the map.
        top, left = (min(grown, window.start) for window in part.window)
        bottom, right = (min(grown + 1, most - window.stop) for window, most in zip(part.window, size, strict=True))
        mask = np.pad(part.mask.view(np.uint8), ((top, bottom), (left, right)))
        larger = np.asarray(cv2.dilate(mask, np.ones((1 + grown, 1 + grown), np.uint8)))
        rows, columns = np.nonzero(larger)
        places = np.stack((columns + part.window[1].start - left, rows + part.window[0].start - top), 1)
        return rectangle(places.astype(np.float32))[0]
