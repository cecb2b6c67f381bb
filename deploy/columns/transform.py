"""Maps coordinates from one image to another that shows the same content."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Transform:
    """The map p * scale + shift in x and y, to an image of `size` = (width, height) px. A negative x scale mirrors."""

    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def mirrors(self) -> bool:
        """Whether the transform mirrors left and right."""
        return self.scale[0] < 0

    def points(self, xy: NDArray[Any]) -> NDArray[np.float32]:
        """The mapped points (..., 2) xy."""
        return (xy * np.array(self.scale) + np.array(self.shift)).astype(np.float32)

    def boxes(self, xyxy: NDArray[Any]) -> NDArray[np.float32]:
        """The mapped boxes (n, 4) xyxy."""
        ends = self.points(xyxy.reshape(-1, 2, 2))
        return (np.sort(ends, 1) if self.mirrors else ends).reshape(-1, 4)
