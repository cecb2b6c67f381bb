"""The accuracy of a model on annotated images."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Precision:
    """AP in percent: the mean over IoU or OKS thresholds from 0.50 to 0.95, and at 0.50 and 0.75 alone."""

    ap: float
    ap50: float
    ap75: float


@dataclass(frozen=True)
class Accuracy(Precision):
    """The AP of boxes (by IoU) or keypoints (by OKS): the mean over the categories, and each one's by its name."""

    of: Literal["boxes", "keypoints"]
    classes: dict[str, Precision]
