"""Outputs of dense heads: one box and one score per class at every point of a pyramid."""

import math

import numpy as np
from numpy.typing import NDArray

from ..backends import Arrays
from ..card import DenseDecode, Fusion
from ..errors import IncompatibleError
from ..scores import fuse
from .candidates import Candidates


def decode(outputs: Arrays, spec: DenseDecode, fusion: Fusion, conf: float, canvas: tuple[int, int]) -> Candidates:
    """Of one image's `boxes` (a, 4), `scores` (a, classes) and maybe `quality` (a,): the best pairs of each level.

    A pair of point and class stays when its ranked score exceeds `conf` and is among the level's `top_k` best;
    equal scores keep the order of the points. This is the selection of mmdet 3 (`filter_scores_and_topk`).
    """
    boxes, scores = outputs["boxes"], outputs["scores"]
    quality = outputs.get("quality")
    classes = scores.shape[1]
    rank_fused = quality is not None and fusion.rank_by == "fused"
    ranked = fuse(scores, quality[:, None], fusion) if quality is not None and rank_fused else scores
    ranked = ranked.ravel()
    pairs = np.flatnonzero(ranked > conf)
    pairs = _best_of_levels(pairs, ranked, _level_ends(spec, canvas, len(boxes)) * classes, spec.top_k)
    points, labels = np.divmod(pairs, classes)
    values = ranked[pairs]
    if quality is not None and not rank_fused:
        values = fuse(values, quality[points], fusion)
    return Candidates(boxes[points], values, labels)


def _level_ends(spec: DenseDecode, canvas: tuple[int, int], points: int) -> NDArray[np.int64]:
    """The index after the last point of each level."""
    height, width = canvas
    ends = np.cumsum([math.ceil(height / s) * math.ceil(width / s) for s in spec.strides])
    if ends[-1] != points:
        raise IncompatibleError(
            f"the model gives {points} points on a {width}x{height} canvas, its Card's strides {ends[-1]}; "
            "the file was changed after its export; export it anew"
        )
    return ends


def _best_of_levels(
    pairs: NDArray[np.int64], ranked: NDArray[np.float32], ends: NDArray[np.int64], top_k: int
) -> NDArray[np.int64]:
    levels = np.split(pairs, np.searchsorted(pairs, ends[:-1]))
    return np.concatenate([x if len(x) <= top_k else x[np.argsort(-ranked[x], kind="stable")[:top_k]] for x in levels])
