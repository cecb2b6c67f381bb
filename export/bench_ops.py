"""detbench --ops: every operator against what a user would run instead, measured in turns in one run."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Run = Callable[[], object]
Array = NDArray[np.float32]
