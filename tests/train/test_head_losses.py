"""The losses of whole heads for a batch, and their gradients, against mmdet's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden.reader import load_ops
from gradients import Inputs, Outputs, agrees
from torch import Tensor

from detforge.models.anchors import Anchors
from detforge.models.coders import deltas_to_boxes
from detforge.models.heads.atss import ATSSHead
from detforge.models.heads.autoassign import AutoAssignHead
from detforge.models.heads.fcos import FCOSHead
from detforge.models.heads.gfl import GFLHead
from detforge.models.heads.retina import RetinaHead
from detforge.models.heads.vfnet import VFNetHead
from detforge.models.points import points_first
from detforge.train.assign.max_iou import max_iou
from detforge.train.boxes import boxes_to_deltas, corners, iou
from detforge.train.dense.atss import atss_losses
from detforge.train.dense.autoassign import autoassign_losses
from detforge.train.dense.fcos import fcos_losses
from detforge.train.dense.gfl import gfl_losses
from detforge.train.dense.positives import find_positives
from detforge.train.dense.retina import retina_losses
from detforge.train.dense.vfnet import vfnet_losses
from detforge.train.losses import bags, pisa
from detforge.train.losses.classification import focal_loss
from detforge.train.losses.distances import smooth_l1_loss

Args = dict[str, Any]
STRIDES = (8, 16, 32)
STDS = (0.1, 0.1, 0.2, 0.2)
RATIOS = Anchors(STRIDES, (0.5, 1.0, 2.0), (2.0,))
SQUARES = Anchors(STRIDES, (1.0,), (3.0,))


def levels(x: Inputs, name: str) -> list[Tensor]:
    return [x[f"{name}/{level}"] for level in range(3)]


def truth(x: Inputs) -> tuple[list[Tensor], list[Tensor]]:
    return [x["gt_bboxes0"], x["gt_bboxes1"]], [x["gt_labels0"], x["gt_labels1"]]


def named(found: Outputs, **names: str) -> Outputs:
    return {theirs: found[ours] for theirs, ours in names.items()}


def retina(x: Inputs, args: Args) -> Outputs:
    head = RetinaHead(3, 8, anchors=RATIOS, stacked=1)
    found = retina_losses(head, {"classes": levels(x, "cls"), "deltas": levels(x, "bbox")}, *truth(x))
    return named(found, loss_cls="classes", loss_bbox="boxes")


def fcos(x: Inputs, args: Args) -> Outputs:
    head = FCOSHead(3, 8, improved=args["norm_on_bbox"], strides=STRIDES, stacked=1)
    sides = levels(x, "bbox") if head.improved else [level.log() for level in levels(x, "bbox")]
    logits = {"classes": levels(x, "cls"), "sides": sides, "quality": levels(x, "ctr")}
    limits = [high for _, high in args["regress_ranges"]]
    found = fcos_losses(head, logits, *truth(x), limits, args.get("center_sample_radius"))
    return named(found, loss_cls="classes", loss_bbox="overlap", loss_centerness="centerness")


def atss(x: Inputs, args: Args) -> Outputs:
    head = ATSSHead(3, 8, anchors=SQUARES, stacked=1)
    logits = {"classes": levels(x, "cls"), "deltas": levels(x, "bbox"), "quality": levels(x, "ctr")}
    found = atss_losses(head, logits, *truth(x))
    return named(found, loss_cls="classes", loss_bbox="overlap", loss_centerness="centerness")


def gfl(x: Inputs, args: Args) -> Outputs:
    head = GFLHead(3, 8, stacked=1, strides=STRIDES, reg_max=args["reg_max"])
    found = gfl_losses(head, {"classes": levels(x, "cls"), "sides": levels(x, "bbox")}, *truth(x), anchor_side=3)
    return named(found, loss_cls="quality", loss_bbox="overlap", loss_dfl="distribution")


def vfnet(x: Inputs, args: Args) -> Outputs:
    head = VFNetHead(3, 8, stacked=1, strides=STRIDES)
    logits = {"classes": levels(x, "cls"), "sides": levels(x, "bbox_refine"), "first_sides": levels(x, "bbox")}
    found = vfnet_losses(head, logits, *truth(x), anchor_side=3)
    return named(found, loss_cls="quality", loss_bbox="first_overlap", loss_bbox_rf="overlap")


def auto_assign(x: Inputs, args: Args) -> Outputs:
    head = AutoAssignHead(3, 8, strides=STRIDES, stacked=1)
    sides = [level / stride for level, stride in zip(levels(x, "bbox"), STRIDES, strict=True)]
    logits = {"classes": levels(x, "cls"), "sides": sides, "quality": levels(x, "obj")}
    found = autoassign_losses(head, logits, *truth(x), x["center_prior.mean"], x["center_prior.sigma"])
    return named(found, loss_pos="positive", loss_neg="negative", loss_center="center")


def anchored(x: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """Class logits and deltas of all anchors, and the anchors."""
    classes = points_first(levels(x, "cls")).unflatten(2, (3, 3)).flatten(1, 2)
    deltas = points_first(levels(x, "bbox")).unflatten(2, (3, 4)).flatten(1, 2)
    return classes, deltas, RATIOS([(8, 8), (4, 4), (2, 2)], deltas)


def free_anchor(x: Inputs, args: Args) -> Outputs:
    classes, deltas, priors = anchored(x)
    scores, k = classes.sigmoid(), args["pre_anchor_topk"]
    positive, negative, objects = [], [], 0
    for i, (boxes, labels) in enumerate(zip(*truth(x), strict=True)):
        chosen = iou(boxes[:, None], corners(priors)).topk(k, 1).indices
        targets = boxes_to_deltas(boxes[:, None], priors[chosen], STDS)
        joint = bags.joint_probabilities(scores[i], deltas[i], targets, labels, chosen)
        found = deltas_to_boxes(deltas[i], priors, STDS)
        of_objects = bags.object_probabilities(found, boxes, labels, 3, args["bbox_thr"])
        positive.append(bags.positive_bag_loss(joint).sum())
        negative.append(bags.negative_bag_loss(scores[i] * (1 - of_objects), args["gamma"]).sum())
        objects += len(boxes)
    return {
        "positive_bag_loss": 0.5 * torch.stack(positive).sum() / objects,
        "negative_bag_loss": 0.5 * torch.stack(negative).sum() / (objects * k),
    }


def prime(x: Inputs, args: Args) -> Outputs:
    classes, deltas, priors = anchored(x)
    boxes, labels = truth(x)
    assigned = [max_iou(corners(priors), one) for one in boxes]
    positives = find_positives(assigned, boxes, labels)
    rows = (positives.image, positives.point)
    count, own = len(positives), priors[positives.point]
    targets = boxes_to_deltas(positives.boxes, own)
    overlaps = iou(deltas_to_boxes(deltas[rows], own), positives.boxes)
    losses = focal_loss(classes, positives.scatter(1.0, classes))
    objects = positives.image * 100 + torch.stack(assigned)[rows]
    weights = pisa.importance_weights(overlaps.detach(), objects, positives.labels, losses[rows].detach().sum(1))
    factors = (torch.stack(assigned) >= -1).float().index_put(rows, weights)
    by_side = smooth_l1_loss(deltas[rows], targets, 0.11)
    chosen = classes[rows].sigmoid().gather(1, positives.labels[:, None]).squeeze(1)
    carl = pisa.classification_aware_regression_loss(by_side, chosen)
    return {
        "loss_cls": (losses * factors[..., None]).sum() / count,
        "loss_bbox": by_side.sum() / count,
        "loss_carl": carl.sum() / count,
    }


COMPUTE: dict[str, Callable[[Inputs, Args], Outputs]] = {
    "retina_loss": retina,
    "fcos_loss_plain": fcos,
    "fcos_loss_norm_center": fcos,
    "atss_loss": atss,
    "gfl_loss": gfl,
    "vfnet_loss": vfnet,
    "autoassign_loss": auto_assign,
    "freeanchor_loss": free_anchor,
    "pisa_retina_loss": prime,
}


@pytest.mark.parametrize("case", load_ops("head_losses"), ids=lambda case: case["name"])
def test_equals_mmdet(case: dict[str, Any]) -> None:
    agrees(case, COMPUTE[case["name"]], tolerance=1e-4)
