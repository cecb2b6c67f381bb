"""Outputs of networks that see objects as points: the best peaks of a heatmap, each with its box."""

from ..backends import Arrays
from .candidates import Candidates


def decode(outputs: Arrays, conf: float) -> Candidates:
    """Of one image's `boxes` (k, 4), `scores` and `labels` (k,), those that exceed `conf`."""
    return Candidates(outputs["boxes"], outputs["scores"], outputs["labels"])[outputs["scores"] > conf]
