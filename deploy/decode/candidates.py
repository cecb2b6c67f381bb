"""What every decoder gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """Boxes (n, 4) xyxy px, final scores (n,) and labels (n,) of one image, in no particular order.

    `quality` (n,) is what a network predicted of each box, and `visible` (n, 4) the box of what can be seen, where it
    does.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    quality: NDArray[np.float32] | None = None
    visible: NDArray[np.float32] | None = None

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        quality = None if self.quality is None else self.quality[index]
        visible = None if self.visible is None else self.visible[index]
        return Candidates(self.boxes[index], self.scores[index], self.labels[index], quality, visible)

    def __add__(self, other: "Candidates") -> "Candidates":
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("boxes", "scores", "labels"))
        return Candidates(*map(np.concatenate, pairs))
