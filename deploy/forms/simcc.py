"""Coordinates as classification over bins: SimCC (Li et al., arXiv 2107.03332)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.parse import require
from ..contract.port import Arrays
from ..inputs.geometry import Size
from .form import Mirror, Output
from .keypoints import Floats, KeypointForm


@dataclass(frozen=True)
class Simcc(KeypointForm):
    """A row of bins for each coordinate, `split` bins per px: `x` (n, k, w * split), `y` (n, k, h * split).

    The keypoint is at the largest bin of each row, or with `dark`, kernel sizes in x and y, refined by DARK on the
    smoothed rows. The score is the smaller one of the largest values of both rows. If it is not above 0, the keypoint
    is at bin (-1, -1).
    """

    split: float = 2.0
    dark: tuple[int, int] | None = None
    kind: Literal["simcc"] = "simcc"

    outputs: ClassVar[tuple[Output, ...]] = (
        Output("x", "map", "range", mirror=Mirror()),
        Output("y", "map", "range", mirror=Mirror(reversed=False)),
    )
    one_size: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.split <= 16, "form.split", "bins a px, above 0")
        is_odd = self.dark is None or all(k % 2 == 1 and 1 <= k <= 255 for k in self.dark)
        require(is_odd, "form.dark", "two odd numbers of bins, 1..255")

    def grid(self, outputs: Arrays, canvas: Size) -> Size:
        return canvas

    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        x, y = (self._both_views(output, outputs, mirrored, order) for output in self.outputs)
        x_blur, y_blur = self.dark or (None, None)
        x_bins, x_best = _native.bin_peaks(x.reshape(-1, x.shape[2]), x_blur)
        y_bins, y_best = _native.bin_peaks(y.reshape(-1, y.shape[2]), y_blur)
        scores = np.minimum(x_best, y_best)
        points = np.stack((x_bins, y_bins), 1)
        points[~(scores > 0)] = -1
        points /= self.split
        return points.reshape(*x.shape[:2], 2), scores.reshape(x.shape[:2])

    def _both_views(self, output: Output, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> Floats:
        """The rows of bins (n, k, bins), averaged with those of the mirrored crops if there are any."""
        rows = outputs[output.name]
        if mirrored is None or output.mirror is None:
            return rows
        back = mirrored[output.name][:, order, :: -1 if output.mirror.reversed else 1]
        return (rows + back) * np.float32(0.5)
