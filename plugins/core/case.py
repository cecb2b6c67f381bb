"""The inputs that every form of an operator is tested with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Case:
    """One call of a node: its inputs, made when asked for, and its attributes, both in the node's order."""

    name: str
    op: str
    inputs: Callable[[], Arrays]
    attributes: Mapping[str, int | tuple[int, ...]]
