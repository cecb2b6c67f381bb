"""From the px of one picture to the px of another that shows the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Transform:
    """p * scale + shift on each axis, to a picture of `size` = (width, height) px.

    A scale below zero in x mirrors.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""
        return self.scale[0] < 0

    def points(self, xy: NDArray[Any]) -> NDArray[np.float32]:
        """Points (..., 2) xy."""
        return (xy * np.array(self.scale) + np.array(self.shift)).astype(np.float32)

    def boxes(self, xyxy: NDArray[Any]) -> NDArray[np.float32]:
        """Boxes (n, 4) xyxy."""
        ends = self.points(xyxy.reshape(-1, 2, 2))
        return (np.sort(ends, 1) if self.mirrors else ends).reshape(-1, 4)
