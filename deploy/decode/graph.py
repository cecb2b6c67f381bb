"""Outputs of files that suppress by themselves."""

import numpy as np

from ..backends import Arrays
from .candidates import Candidates


def decode(outputs: Arrays, conf: float) -> Candidates:
    """Of one image's padded `boxes` (m, 4), `scores` and `labels` (m,), the first `num` that exceed `conf`."""
    count = int(outputs["num"])
    found = Candidates(outputs["boxes"][:count], outputs["scores"][:count], outputs["labels"][:count].astype(np.int64))
    return found[found.scores > conf]
