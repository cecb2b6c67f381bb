"""Regions that grow from their kernels, as in text detection by DGST (arXiv 2002.12509)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..results.instances import Instances
from .form import Contract, ImageForm, Output, Run
from .outlines import check_sizes, components, found_on_map, rectangle


@dataclass(frozen=True)
class Grown(ImageForm):
    """A probability per pixel, `map` (n, 1, h, w), and one for the kernels of regions, `kernels` (n, 1, h, w).

    Pixels of `kernels` above `kernel_threshold` that touch at a side form a kernel, if there are `least_pixels` of
    them. All kernels grow at once, by one pixel in each round, over pixels of `map` above `threshold`; a pixel belongs
    to the kernel that reaches it first. Without the output `kernels`, `map` is used for both, as in the fill of SA-Text
    (arXiv 1911.07046). Each region becomes the smallest rectangle around it, at any angle, and its score is the mean of
    `map` in it.
    """

    kernel_threshold: float = 0.5
    threshold: float = 0.3
    least_pixels: int = 4
    kind: Literal["grown"] = "grown"

    task: ClassVar[str] = "text detection"
    compares: ClassVar[str] = "polygons"
    outputs: ClassVar[tuple[Output, ...]] = (Output("map"), Output("kernels", optional=True))

    def __post_init__(self) -> None:
        require(0 < self.threshold < 1, "form.threshold", "0..1")
        require(0 < self.kernel_threshold < 1, "form.kernel_threshold", "0..1")
        require(1 <= self.least_pixels <= 1_000_000, "form.least_pixels", "1..1000000")

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The regions whose score is at least `suppress.conf`."""
        [run] = runs
        check_sizes(run, ("map", "kernels"))
        [values] = run.outputs["map"].astype(np.float32, copy=False)
        labels = self._labels(values, run.outputs.get("kernels", run.outputs["map"])[0])
        shapes: list[NDArray[np.float32]] = []
        scores: list[float] = []
        rows, columns = np.nonzero(labels)
        owners = labels[rows, columns]
        order = np.argsort(owners, kind="stable")
        ends = np.flatnonzero(np.diff(owners[order])) + 1
        for own in np.split(order, ends) if len(order) else []:
            score = float(values[rows[own], columns[own]].mean())
            if score >= card.suppress.conf:
                shapes.append(rectangle(np.stack((columns[own], rows[own]), 1).astype(np.float32))[0])
                scores.append(score)
        return found_on_map(shapes, scores, values.shape, run, card)

    def _labels(self, values: NDArray[np.float32], kernels: NDArray[np.float32]) -> NDArray[np.int32]:
        """The number of the region of each pixel, from 1 in the order of the kernels' first pixels; 0 for none."""
        labels = np.zeros(values.shape, np.int32)
        for number, part in enumerate(components(kernels > self.kernel_threshold, self.least_pixels), 1):
            labels[part.window][part.mask] = number
        _native.grow(labels, np.ascontiguousarray(values > self.threshold).view(np.uint8))
        return labels
