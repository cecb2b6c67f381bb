"""What OpenMMLab's heads do with boxes that the runtime does not, so that their goldens can be compared with."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from detforge.deploy.card import Card
from detforge.deploy.decode import decode
from detforge.deploy.decode.candidates import Candidates
from detforge.deploy.instances import Instances
from detforge.deploy.postprocess import postprocess
from detforge.deploy.preprocess import Frame
from detforge.deploy.suppress import suppress
from detforge.models.heads.foveabox import FoveaHead
from detforge.models.heads.rtmdet import RTMDetHead
from detforge.models.heads.tood import TOODHead
from detforge.models.heads.yolox import YOLOXHead
from detforge.models.heads.yunet import YuNetHead
from detforge.models.zoo import paa

Arrays = dict[str, NDArray[np.float32]]


def as_reference(card: Card, head: nn.Module) -> Card:
    """The Card with the fusion and the limits that the reference was run with."""
    conf, most, iou = _LIMITS.get(type(head), (0.05, 100, card.suppress.iou))
    if isinstance(head, YuNetHead):  # its training code multiplies
        card = replace(card, fusion=replace(card.fusion, score_exponent=1.0, quality_exponent=1.0))
    return replace(card, suppress=replace(card.suppress, conf=conf, max_det=most, iou=iou))


_LIMITS = {YOLOXHead: (0.01, 10_000, 0.65), RTMDetHead: (0.001, 300, 0.65), YuNetHead: (0.02, 10_000, 0.45)}
"""The score that a reference cuts at, how many detections it keeps and the overlap that it suppresses from."""


def detect(head: nn.Module, outputs: Arrays, card: Card, frame: Frame) -> Instances | Candidates:
    """The detections of one image under the rules of the reference's head."""
    if card.model in {variant.name for variant in paa.VARIANTS}:
        return _voted(outputs, card, frame)
    if isinstance(head, YOLOXHead):  # takes each point's best class alone
        scores = outputs["scores"]
        best = np.arange(scores.shape[1]) == scores.argmax(1)[:, None]
        outputs = outputs | {"scores": np.where(best, scores, 0)}
    if isinstance(head, TOODHead | YOLOXHead | YuNetHead):  # cuts no box
        found = decode(outputs, card, frame)
        return suppress(found[(found.boxes[:, 2:] > found.boxes[:, :2]).all(1)], card.suppress)
    if isinstance(head, FoveaHead):  # cuts one pixel before the image ends
        height, width = frame.resized_size
        frame = Frame((height - 1, width - 1), (height - 1, width - 1), frame.canvas_size)
    return postprocess(outputs, card, frame)


def tied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights as RTMDet's own head loads them: it shares the convolutions of its branches between the levels, so
    that the last level's are those of all. Others' weights stay as they are."""
    return {key: state.get(_SHARED.sub(r"\g<1>2\g<2>", key), value) for key, value in state.items()}


_SHARED = re.compile(r"^(bbox_head\.(?:cls|reg)_convs\.)[01](\.\d\.conv\.weight)$")


def _voted(outputs: Arrays, card: Card, frame: Frame) -> Candidates:
    """PAA's score voting (arXiv 2007.08103, equation 9): each box that stays moves to the weighted mean of all
    candidates of its class that it overlaps."""
    found = decode(outputs, card, frame)
    height, width = frame.resized_size
    found = replace(found, boxes=np.clip(found.boxes, 0, np.float32([width, height, width, height])))
    kept = suppress(found, card.suppress)
    boxes = np.array([_vote(kept.boxes[i], found[found.labels == label]) for i, label in enumerate(kept.labels)])
    return replace(kept, boxes=boxes)


def _vote(box: NDArray[np.float32], candidates: Candidates) -> NDArray[np.float64]:
    others = candidates.boxes.astype(np.float64)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    iou = shared / ((box[2:] - box[:2]).prod() + areas - shared)
    weights = np.exp(-((1 - iou) ** 2) / 0.025) * candidates.scores * (iou > 0.01)
    return weights @ others / weights.sum()
