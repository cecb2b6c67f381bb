"""Outputs of dense heads: one box and one score per class at every anchor of a pyramid."""

from itertools import accumulate

import numpy as np

from .. import _native
from ..backends import Arrays
from ..card import Fusion
from ..errors import IncompatibleError
from ..forms import DenseDecode
from ..scores import exponents
from .candidates import Candidates


def decode(outputs: Arrays, spec: DenseDecode, fusion: Fusion, conf: float, canvas: tuple[int, int]) -> Candidates:
    """Of one image's `boxes` (a, 4), `scores` (a, classes) and maybe `quality`, `visible`: what the Card's rules keep.

    A pair of anchor and class stays when the score that `fusion.threshold_by` names exceeds `conf`, and when it, or
    its anchor, is among the level's `top_k` best by `fusion.rank_by`; of equal ones the first go on. "score" with
    "pairs" is the rule of mmdet 3, with "points" and "fused" ranks that of mmdet 1 and 2. What is undefined goes.
    """
    boxes, scores, quality = outputs["boxes"], outputs["scores"], outputs.get("quality")
    pairs, fused = _native.select(
        np.ascontiguousarray(scores),
        None if quality is None else np.ascontiguousarray(quality),
        _level_ends(spec, canvas, len(boxes)),
        conf,
        spec.top_k,
        exponents(fusion),
        threshold_fused=fusion.threshold_by == "fused",
        rank_fused=fusion.rank_by == "fused",
        points=spec.unit == "points",
    )
    points, labels = np.divmod(pairs, scores.shape[1])
    if quality is not None:
        quality = quality.reshape(-1)[points if quality.ndim == 1 else pairs]
    visible = outputs.get("visible")
    return Candidates(boxes[points], fused, labels, quality, None if visible is None else visible[points])


def _level_ends(spec: DenseDecode, canvas: tuple[int, int], points: int) -> list[int]:
    """The index after the last anchor of each level."""
    height, width = canvas
    ends = list(accumulate(spec.level_sizes(height, width)))
    if ends[-1] != points:
        raise IncompatibleError(
            f"the model gives {points} points on a {width}x{height} canvas, its Card's strides {ends[-1]}; "
            "the file was changed after its export; export it anew"
        )
    return ends
