"""Distances between two images of one place (DASNet: Chen et al., arXiv 2003.03608)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..columns.masks import Masks
from ..contract.parse import require
from ..results.instances import Instances
from .boxes import in_image
from .form import Contract, ImageForm, Output, Run
from .outlines import components


@dataclass(frozen=True)
class Change(ImageForm):
    """How far apart the features of two images are at each pixel, `distance` (n, 1, h, w), 0 or more.

    Pixels whose distance exceeds `suppress.conf` have changed. Those that touch at a side are one detection, with a
    mask and the mean of their distances, at most 1, as its score. Regions of fewer than `least` pixels of the map are
    left out.
    """

    least: int = 1
    kind: Literal["change"] = "change"

    task: ClassVar[str] = "change detection"
    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "pairs"
    outputs: ClassVar[tuple[Output, ...]] = (Output("distance"),)

    def __post_init__(self) -> None:
        require(1 <= self.least <= 1_000_000, "form.least", "1..1000000")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The regions that have changed, and at most the 1000 largest."""
        [run] = runs
        distance = run.outputs["distance"][0]
        found = list(components(distance > card.suppress.conf, self.least))
        scores = np.array([min(1.0, float(distance[one.window][one.mask].mean())) for one in found], np.float32)
        cells = [(x.start, y.start, x.stop, y.stop) for y, x in (one.window for one in found)]
        height, width = run.frame.canvas_size
        step = np.array([width / distance.shape[1], height / distance.shape[0]] * 2, np.float32)
        places = in_image(np.array(cells, np.float32).reshape(-1, 4) * step, run.frame)
        masks = Masks.of([one.mask for one in found], places, run.frame.extent, "cells")
        return Instances.around([masks], scores, np.zeros(len(found), np.int64), card.labels, run.frame.extent)
