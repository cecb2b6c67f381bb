"""The labels of a network's classes, some of which may be empty."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def class_numbers(labels: Sequence[str]) -> NDArray[np.int64]:
    """The numbers of the classes. An empty label is that of the background, or of a number that no class has."""
    return np.flatnonzero([bool(label) for label in labels])
