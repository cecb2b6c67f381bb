"""Test cases that all implementations of an operator share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Case:
    """One call of a node: a function that makes its inputs, and its attributes, both in the node's order."""

    name: str
    op: str
    inputs: Callable[[], Arrays]
    attributes: Mapping[str, int | tuple[int, ...]]
