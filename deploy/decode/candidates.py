"""What every decoder gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """Boxes (n, 4) xyxy px, final scores (n,) and labels (n,) of one image, in no particular order."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        return Candidates(self.boxes[index], self.scores[index], self.labels[index])

    def __add__(self, other: "Candidates") -> "Candidates":
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("boxes", "scores", "labels"))
        return Candidates(*map(np.concatenate, pairs))
