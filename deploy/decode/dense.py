"""Outputs of dense heads: one box and one score per class at every anchor of a pyramid."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..backends import Arrays
from ..card import DenseDecode, Fusion
from ..errors import IncompatibleError
from ..scores import fuse, least_score
from .candidates import Candidates

Floats = NDArray[np.float32]


def decode(outputs: Arrays, spec: DenseDecode, fusion: Fusion, conf: float, canvas: tuple[int, int]) -> Candidates:
    """Of one image's `boxes` (a, 4), `scores` (a, classes) and maybe `quality`: what the Card's rules keep.

    A pair of anchor and class stays when the score that `fusion.threshold_by` names exceeds `conf`, and when it, or
    its anchor, is among the level's `top_k` best by `fusion.rank_by`; of equal ones the first go on. "score" with
    "pairs" is the rule of mmdet 3, with "points" and "fused" ranks that of mmdet 1 and 2.
    """
    boxes, scores, quality = outputs["boxes"], outputs["scores"], outputs.get("quality")
    ends = _level_ends(spec, canvas, len(boxes))
    if spec.unit == "points":
        best = _best_points(scores, quality, fusion, ends, spec.top_k)
        boxes, scores, quality = boxes[best], scores[best], None if quality is None else quality[best]
    classes = scores.shape[1]
    by_score = quality is None or fusion.threshold_by == "score"
    # Fusing is slow, and no fused score exceeds the class score's part of it.
    pairs = np.flatnonzero(scores > (conf if by_score else least_score(conf, fusion)))
    raw = scores.ravel()[pairs]
    fused = raw
    if quality is not None:
        fused = fuse(raw, quality[pairs // classes] if quality.ndim == 1 else quality.ravel()[pairs], fusion)
    if not by_score:
        above = fused > conf
        pairs, raw, fused = pairs[above], raw[above], fused[above]
    if spec.unit == "pairs":
        chosen = _best_pairs(pairs, fused if fusion.rank_by == "fused" else raw, ends * classes, spec.top_k)
        pairs, fused = pairs[chosen], fused[chosen]
    points, labels = np.divmod(pairs, classes)
    return Candidates(boxes[points], fused, labels)


def _level_ends(spec: DenseDecode, canvas: tuple[int, int], points: int) -> NDArray[np.int64]:
    """The index after the last anchor of each level."""
    height, width = canvas
    ends = np.cumsum(spec.level_sizes(height, width))
    if ends[-1] != points:
        raise IncompatibleError(
            f"the model gives {points} points on a {width}x{height} canvas, its Card's strides {ends[-1]}; "
            "the file was changed after its export; export it anew"
        )
    return ends


def _best_pairs(pairs: NDArray[np.int64], ranks: Floats, ends: NDArray[np.int64], top_k: int) -> NDArray[np.int64]:
    """Which of the pairs, in rising order, are among the best of their levels."""
    borders = [0, *np.searchsorted(pairs, ends)]
    return np.concatenate([start + _best(ranks[start:end], top_k) for start, end in pairwise(borders)])


def _best_points(
    scores: Floats, quality: Floats | None, fusion: Fusion, ends: NDArray[np.int64], top_k: int
) -> NDArray[np.int64]:
    """The anchors, in rising order, that are among the best of their levels."""
    kept: list[NDArray[np.int64]] = []
    for start, end in pairwise([0, *ends]):
        ranks = scores[start:end]
        if quality is None or fusion.rank_by == "score":
            ranks = ranks.max(1)
        elif quality.ndim == 1:
            ranks = fuse(ranks.max(1), quality[start:end], fusion)
        else:
            ranks = fuse(ranks, quality[start:end], fusion).max(1)
        kept.append(start + _best(ranks, top_k))
    return np.concatenate(kept)


def _best(ranks: Floats, count: int) -> NDArray[np.int64]:
    """The indices of the `count` largest, in rising order; of equal ones the first, and no undefined one."""
    if len(ranks) <= count:
        return np.arange(len(ranks))
    ranks = np.where(np.isnan(ranks), -1, ranks)
    limit = np.partition(ranks, -count)[-count]
    above = np.flatnonzero(ranks > limit)
    ties = np.flatnonzero(ranks == limit)[: count - len(above)]
    return np.sort(np.concatenate((above, ties)))
