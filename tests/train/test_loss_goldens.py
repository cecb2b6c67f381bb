"""Losses of detectors and their gradients against those of OpenMMLab and of the papers' authors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from golden.reader import load_ops
from gradients import Inputs, Outputs, agrees
from torch import Tensor
from torch.nn import functional as F

from detforge.models.coders import deltas_to_boxes
from detforge.train.boxes import iou
from detforge.train.losses import boxes, classification, corners, distances, ghm, iou_balanced, pisa, quality, ranking

Args = dict[str, Any]
STDS = (0.1, 0.1, 0.2, 0.2)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Rows of zeros for the label after the last class, the background."""
    return F.one_hot(labels, classes + 1)[:, :classes].float()


def reduced(losses: Tensor, x: Inputs, args: Args) -> Outputs:
    weight = x.get("weight", torch.ones(1))
    losses = losses * weight.reshape(*weight.shape, *(1,) * (losses.ndim - weight.ndim))
    return {"loss": losses if args.get("reduction") == "none" else losses.sum() / args["avg_factor"]}


def focal(x: Inputs, args: Args) -> Outputs:
    targets = one_hot(x["target"], x["pred"].shape[1])
    return reduced(classification.focal_loss(x["pred"], targets, args["gamma"], args["alpha"]), x, args)


def quality_focal(x: Inputs, args: Args, loss: Callable[..., Tensor] = classification.quality_focal_loss) -> Outputs:
    quality = one_hot(x["label"], x["pred"].shape[1]) * x["score"][:, None]
    return reduced(loss(x["pred"], quality, args["beta"]), x, args)


def varifocal(x: Inputs, args: Args) -> Outputs:
    options = (args["alpha"], args["gamma"], args["iou_weighted"])
    return reduced(classification.varifocal_loss(x["pred"], x["target"], *options), x, args)


def distribution(x: Inputs, args: Args) -> Outputs:
    return reduced(distances.distribution_focal_loss(x["pred"], x["label"]), x, args)


def harmonized(x: Inputs, args: Args, loss: Callable[..., Tensor]) -> Outputs:
    counts = torch.zeros(args["bins"])
    inputs = (x["pred"], x["target"], x["label_weight"])
    if args["momentum"] == 0:
        return {"loss": loss(*inputs, bins=args["bins"])}
    if args["call"] == 1:
        name = "ghmc_b30_m0.75_call0" if args["bins"] == 30 else "ghmr_m0.7_call0"
        counts = torch.from_numpy(next(case for case in CASES if case["name"] == name)["out"]["acc_sum"])
    value = loss(*inputs, bins=args["bins"], counts=counts, momentum=args["momentum"])
    return {"loss": value, "acc_sum": counts}


def smooth_l1(x: Inputs, args: Args) -> Outputs:
    return reduced(distances.smooth_l1_loss(x["pred"], x["target"], args["beta"]), x, args)


def balanced_l1(x: Inputs, args: Args) -> Outputs:
    losses = distances.balanced_l1_loss(x["pred"], x["target"], args["alpha"], args["gamma"], args["beta"])
    return reduced(losses, x, args)


def of_boxes(x: Inputs, args: Args, loss: Callable[..., Tensor]) -> Outputs:
    options = {"form": args["mode"]} if "mode" in args else {}
    return reduced(loss(x["pred"], x["target"], **options), x, args)


def average_precision(x: Inputs, args: Args) -> Outputs:
    return {"loss": ranking.ap_loss(x["logits"], x["targets"])}


def ranked(x: Inputs, args: Args) -> Outputs:
    targets = one_hot(x["targets"].clamp(min=0), 6)[:, 1:6] + 0
    targets[x["targets"] < 0] = -1
    return {"loss": ranking.dr_loss(x["logits"], targets)}


def corner_heat(x: Inputs, args: Args) -> Outputs:
    return {"loss": classification.gaussian_focal_loss(x["logits"], x["gt"]).sum() / (x["gt"] == 1).sum().clamp(min=1)}


def embeddings(x: Inputs, args: Args) -> Outputs:
    inputs = (x["tag0"].squeeze(2), x["tag1"].squeeze(2), x["mask"] > 0)
    return {"pull": corners.pull_loss(*inputs), "push": corners.push_loss(*inputs)}


def offsets(x: Inputs, args: Args) -> Outputs:
    return {"loss": corners.offset_loss(x["regr"], x["gt"], x["mask"])}


def of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Each row's four values of its own class, from (p, 4 classes)."""
    return values.unflatten(1, (-1, 4))[torch.arange(len(labels)), labels]


def importance(x: Inputs, args: Args) -> Outputs:
    count = len(x["pos_assigned_gt_inds"])
    labels, rois = x["labels"][:count], x["rois"][:count, 1:]
    priors = torch.cat(((rois[:, :2] + rois[:, 2:]) / 2, rois[:, 2:] - rois[:, :2]), 1)
    found, targets = (
        deltas_to_boxes(values, priors, STDS)
        for values in (of_class(x["bbox_pred"][:count], labels), x["bbox_targets"][:count])
    )
    losses = F.cross_entropy(x["cls_score"][:count], labels, reduction="none")
    own = x["label_weights"][:count]
    weights = pisa.importance_weights(
        iou(found, targets), x["pos_assigned_gt_inds"], labels, losses, args["k"], args["bias"]
    )
    scale = (losses * own).sum() / losses.sum()  # mmdet keeps the sum with the weights that were there before
    return {"label_weights": torch.cat((weights * scale, x["label_weights"][count:]))}


def carl(x: Inputs, args: Args) -> Outputs:
    positive = x["labels"] < 4
    labels = x["labels"][positive]
    scores = x["cls_score"].sigmoid() if args["sigmoid"] else x["cls_score"].softmax(1)
    chosen = scores[positive].gather(1, labels[:, None]).squeeze(1)
    losses = distances.smooth_l1_loss(of_class(x["bbox_pred"][positive], labels), x["bbox_targets"][positive])
    loss = pisa.classification_aware_regression_loss(losses, chosen, args["k"], args["bias"])
    return {"loss": loss.sum() / args["avg_factor"]}


def balanced_cross_entropy(x: Inputs, args: Args) -> Outputs:
    losses = F.cross_entropy(x["pred"], x["label"], reduction="none") * x["weight"]
    positive = x["label"] > 0
    weighted = iou_balanced.iou_balanced_classification(losses[positive], x["iou"][positive], args["eta"])
    return {"loss": (weighted.sum() + losses[~positive].sum()) / args["avg_factor"]}


def balanced_focal(x: Inputs, args: Args) -> Outputs:
    losses = classification.focal_loss(x["pred"], x["target"], args["gamma"], args["alpha"]) * x["weight"]
    positive = x["target"] > 0
    overlaps = x["iou"][:, None].expand_as(losses)[positive]
    weighted = iou_balanced.iou_balanced_classification(losses[positive], overlaps, args["eta"])
    return {"loss": (weighted.sum() + losses[~positive].sum()) / args["avg_factor"]}


def balanced_distances(x: Inputs, args: Args) -> Outputs:
    losses = distances.smooth_l1_loss(x["pred"], x["target"], args["beta"]) * x["weight"]
    weighted = iou_balanced.iou_balanced_regression(losses, x["iou"], args["delta"])
    return {"loss": weighted.sum() / args["avg_factor"]}


def predicted_overlap(x: Inputs, args: Args) -> Outputs:
    target = torch.tensor([0.0, 0, 1, 1]).repeat(len(x["iou_target"]), 1)
    found = target.clone()
    found[:, 3] = x["iou_target"]  # a box of that height overlaps the unit square by it
    losses = quality.predicted_iou_loss(x["iou_pred"], found, target)
    return reduced(losses, x, args)


COMPUTE: dict[str, Callable[[Inputs, Args], Outputs]] = {
    "focal": focal,
    "qfl_b": quality_focal,
    "qfl_prob": partial(quality_focal, loss=classification.quality_focal_loss_of_scores),
    "vfl": varifocal,
    "dfl": distribution,
    "ghmc": partial(harmonized, loss=ghm.ghm_classification_loss),
    "ghmr": partial(harmonized, loss=ghm.ghm_regression_loss),
    "smooth_l1": smooth_l1,
    "balanced_l1": balanced_l1,
    "IoULoss": partial(of_boxes, loss=boxes.iou_loss),
    "GIoULoss": partial(of_boxes, loss=boxes.giou_loss),
    "DIoULoss": partial(of_boxes, loss=boxes.diou_loss),
    "CIoULoss": partial(of_boxes, loss=boxes.ciou_loss),
    "ap_loss": average_precision,
    "dr_loss": ranked,
    "cornernet_neg": corner_heat,
    "cornernet_ae": embeddings,
    "cornernet_regr": offsets,
    "isr_p": importance,
    "carl": carl,
    "iou_balanced_ce": balanced_cross_entropy,
    "iou_balanced_focal": balanced_focal,
    "iou_balanced_smoothl1": balanced_distances,
    "iou_regression_bce": predicted_overlap,
}
CASES = load_ops("losses")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_equals_the_reference(case: dict[str, Any]) -> None:
    name = max((prefix for prefix in COMPUTE if case["name"].startswith(prefix)), key=len)
    agrees(case, COMPUTE[name])
