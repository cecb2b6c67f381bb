"""Comparisons of losses and assignments of dense detectors, on generated photographs of printed symbols.

All of them have one class, a ResNet-18 of 16 channels, and heads of one convolution, whose boxes start four strides
from their point on every side. A point's box is that of GIoU, its score that of focal loss, and ATSS chooses the
points, unless the comparison is about it.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...deploy.card import Card, Provenance
from ...deploy.coco.annotations import AnnotatedImage, Annotations, Category, Object
from ...deploy.coco.evaluation import LEAST_SCORE, Evaluation
from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ...deploy.pipelines.detector import Detector
from ...export.bench_peer import TorchBackend
from ...models.backbones.resnet import R18
from ...models.coders import distances_to_boxes
from ...models.detector import DenseDetector
from ...models.heads.autoassign import AutoAssignHead
from ...models.heads.gfl import GFLHead
from ...models.necks.fpn import FPN
from ...models.points import grid_points, points_first
from ...models.variant import RGB
from ...plugins.dfl.op import expectation
from ..assign import IGNORED
from ..assign.atss import atss
from ..assign.autoassign import CenterPrior
from ..assign.fcos import distances, fcos
from ..assign.max_iou import max_iou
from ..boxes import iou
from ..dense.autoassign import autoassign_losses
from ..dense.positives import find_positives
from ..fit import Training
from ..losses.boxes import giou_loss
from ..losses.classification import focal_loss, quality_focal_loss, varifocal_loss
from ..losses.distances import distribution_focal_loss
from ..losses.quality import centerness_loss, predicted_iou_loss
from ..markers.dataset import Scenes, batches, draw_scenes, reduced
from .comparison import Comparison, Reading, Settings, Way

SIDE, BATCH, RATE, CHANNELS = 128, 8, 2e-3, 32
STRIDES = (8, 16, 32, 64)
DATA_SEED = 20_261_211
EXPONENTS = (0.0, 0.5, 1.0)
_LEAST = 10  # detections, for a mean
_AT_ONCE = 32  # images, when the network is measured
_BINS = 8  # of a distribution, strides
_SPEC = RGB.placed(size=(SIDE, SIDE))


@dataclass(frozen=True)
class Recipe:
    """The choices that the comparisons are about."""

    scores: Literal["focal", "quality focal", "varifocal"] = "focal"
    boxes: Literal["L1", "GIoU", "distribution"] = "GIoU"
    quality: Literal["none", "centre-ness", "IoU"] = "none"
    assign: Literal["max-IoU", "FCOS", "ATSS", "AutoAssign"] = "ATSS"


def build(recipe: Recipe, seed: int) -> DenseDetector:
    """The network with seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = R18(width=16)
        head = (
            GFLHead(1, CHANNELS, stacked=1, strides=STRIDES, reg_max=_BINS)
            if recipe.boxes == "distribution"
            else AutoAssignHead(1, CHANNELS, stacked=1, strides=STRIDES)
        )
        if recipe.assign == "AutoAssign":
            head.center_prior = CenterPrior(1)
        return DenseDetector(trunk, FPN(trunk.channels[1:], CHANNELS, len(STRIDES)), head)


def losses(
    recipe: Recipe, model: DenseDetector, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The scalar losses of a batch by name."""
    levels = model.logits(images)
    symbols = [torch.zeros_like(own) for own in labels]
    if recipe.assign == "AutoAssign":
        head: Any = model.bbox_head
        return autoassign_losses(head, levels, boxes, symbols, head.center_prior.mean, head.center_prior.sigma)
    sizes = [x.shape[2:] for x in levels["sides"]]
    logits = {name: points_first(each).float() for name, each in levels.items()}
    classes, sides = logits["classes"], logits["sides"]
    points, strides = grid_points(sizes, STRIDES, sides)
    assigned = [assign(recipe, points, strides, [h * w for h, w in sizes], objects) for objects in boxes]
    positives = find_positives(assigned, boxes, symbols)
    counted = (torch.stack(assigned) != IGNORED)[..., None]
    at, step = points[positives.point], strides[positives.point]
    found, targets = sides[positives.image, positives.point], distances(at, positives.boxes) / step
    bins = found.unflatten(1, (4, -1))
    ltrb = expectation(bins) if recipe.boxes == "distribution" else found.relu()
    predicted = distances_to_boxes(ltrb * step, at)
    overlap = iou(predicted.detach(), positives.boxes)
    of_scores = {
        "focal": lambda: focal_loss(classes, positives.scatter(1.0, classes)),
        "quality focal": lambda: quality_focal_loss(classes, positives.scatter(overlap, classes)),
        "varifocal": lambda: varifocal_loss(classes, positives.scatter(overlap, classes)),
    }[recipe.scores]()
    count = max(1, len(positives))
    terms = {"scores": (of_scores * counted).sum() / count}
    if recipe.boxes == "L1":
        terms["boxes"] = (found - targets).abs().mean(1).sum() / count
    else:
        terms["boxes"] = 2.0 * giou_loss(predicted, positives.boxes).sum() / count
    if recipe.boxes == "distribution":
        places = targets.clamp(0, _BINS - 0.1)
        terms["distribution"] = 0.25 * distribution_focal_loss(bins, places).mean(1).sum() / count
    if recipe.quality != "none":
        quality = logits["quality"].squeeze(2)[positives.image, positives.point]
        inside = targets.amin(1) > 0  # centre-ness has no meaning elsewhere
        if recipe.quality == "IoU":
            terms["quality"] = predicted_iou_loss(quality, predicted, positives.boxes).sum() / count
        else:
            terms["quality"] = centerness_loss(quality[inside], targets[inside]).sum() / count
    return terms


def assign(recipe: Recipe, points: Tensor, strides: Tensor, counts: Sequence[int], objects: Tensor) -> Tensor:
    """The index of each point's object, or BACKGROUND or IGNORED. Anchors are squares of 4 strides."""
    if recipe.assign == "FCOS":
        limits = (*(8.0 * stride for stride in STRIDES[:-1]), math.inf)
        return fcos(points, strides, counts, objects, limits, 1.5)
    anchors = torch.cat((points - 2 * strides, points + 2 * strides), 1)
    return max_iou(anchors, objects) if recipe.assign == "max-IoU" else atss(anchors, counts, objects)


def train(recipe: Recipe, seed: int, settings: Settings, folder: Path, device: str) -> Reading:
    """Train on generated photographs, and measure on others."""
    stream = batches(_scenes(folder, settings.scenes, DATA_SEED), _SPEC, BATCH, (SIDE, SIDE), seed)
    training = Training(build(recipe, seed), steps=settings.steps, rate=RATE, device=device)
    for _ in range(settings.steps):
        training.learn(partial(losses, recipe), *next(stream))
    held_out = _scenes(folder, settings.held_out, DATA_SEED + 1)
    if recipe.assign == "AutoAssign":
        return measured(training.average, held_out, 1.0, device)  # its scores are learned as this product
    if recipe.quality == "none":
        return measured(training.average, held_out, 0.0, device)
    readings = {exponent: measured(training.average, held_out, exponent, device) for exponent in EXPONENTS}
    values = {f"AP, exponent {exponent:g}": one.values["AP"] for exponent, one in readings.items()}
    best = max(readings.values(), key=lambda one: one.values["AP"])
    return Reading(best.values | values, best.curves)


@cache
def _scenes(folder: Path, count: int, seed: int) -> Scenes:
    """All networks of a run see the same reduced scenes."""
    return reduced(draw_scenes(folder, count, seed), SIDE)


def measured(network: nn.Module, scenes: Scenes, exponent: float, device: str) -> Reading:
    """AP by the overlap that counts as found, and the mean overlap with a symbol of detections by their score.

    The score is that of the class times the quality raised to `exponent`.
    """
    card = Card(
        "lab",
        (_SPEC,),
        Dense(STRIDES),
        ("symbol",),
        Provenance("lab", None, "fp32"),
        fusion=Fusion(1.0, exponent),
        suppress=Suppress(conf=LEAST_SCORE),
    )
    detector, truth = Detector(TorchBackend(network, card, device), card), annotations(scenes)
    evaluation = Evaluation(truth, card.labels)
    scores, overlaps = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for start in range(0, len(scenes.images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found = detector(scenes.images[part])
        for image, boxes, own in zip(truth.images[part], scenes.boxes[part], found, strict=True):
            evaluation.add(image, own)
            if len(boxes):
                scores.append(own.scores)
                overlaps.append(iou(torch.tensor(own.boxes)[:, None], torch.tensor(boxes)).amax(1).numpy())
    precision = evaluation.by_overlap()
    values = {"AP": float(np.mean(list(precision.values()))), "AP50": precision[0.5], "AP75": precision[0.75]}
    curves = {
        "AP by overlap": precision,
        "overlap by score": by_score(np.concatenate(scores), np.concatenate(overlaps)),
    }
    return Reading(values, {name: {f"{x:.2f}": y for x, y in curve.items()} for name, curve in curves.items()})


def by_score(scores: NDArray[np.float32], overlaps: NDArray[np.float32]) -> dict[float, float]:
    """The mean overlap of detections whose score is within 0.05 of 0.05, 0.15 and so on, if there are ten or more."""
    bins = np.minimum((scores * 10).astype(np.int64), 9)
    return {0.05 + i / 10: float(overlaps[bins == i].mean()) for i in range(10) if (bins == i).sum() >= _LEAST}


def annotations(scenes: Scenes) -> Annotations:
    """The boxes of scenes as annotations of one category."""
    images = [
        AnnotatedImage(i, str(i), Path(), tuple(Object(1, (x, y, right - x, low - y)) for x, y, right, low in own))
        for i, own in enumerate(boxes.tolist() for boxes in scenes.boxes)
    ]
    return Annotations(Path("generated scenes"), tuple(images), {1: Category("symbol")})


def _ways(*recipes: tuple[str, Recipe]) -> dict[str, Way]:
    return {name: Way(" ".join(astuple(recipe)), partial(train, recipe)) for name, recipe in recipes}


SCORES = Comparison(
    "GFL (arXiv 2006.04388) and VFNet (arXiv 2008.13367): scores that learn the overlap rank boxes better than scores "
    "of focal loss",
    _ways(*((name, Recipe(scores=name)) for name in ("focal", "quality focal", "varifocal"))),
)
BOXES = Comparison(
    "GIoU (arXiv 1902.09630) is better than L1; distributions of the sides (GFL, arXiv 2006.04388) are better still",
    _ways(*((name, Recipe(boxes=name)) for name in ("L1", "GIoU", "distribution"))),
)
QUALITY = Comparison(
    "FCOS (arXiv 1904.01355) and IoU-aware RetinaNet (arXiv 1912.05992): a branch for the quality of boxes raises AP, "
    "that of the overlap more than centre-ness",
    _ways(*((name, Recipe(quality=name)) for name in ("none", "centre-ness", "IoU"))),
)
ASSIGNMENT = Comparison(
    "ATSS (arXiv 1912.02424): which points learn an object matters most; its rule is better than those of max-IoU and "
    "FCOS. AutoAssign (arXiv 2007.03496): learning the assignment is better still",
    _ways(*((name, Recipe(assign=name)) for name in ("max-IoU", "FCOS", "ATSS", "AutoAssign"))),
)
