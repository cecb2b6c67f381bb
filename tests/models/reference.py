"""Networks with a golden's weights, and their tensors under the reference's names.

Where the reference's head gives something else than ours, `head_outputs` translates: one function for a class of heads.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from golden.agreement import Logarithms
from golden.reader import Golden, Sample
from numpy.typing import NDArray
from torch import Tensor, nn

from detforge.deploy.card import Card
from detforge.deploy.contract.port import Arrays
from detforge.deploy.inputs.resize import Resize
from detforge.deploy.results.instances import Instances
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.final import FinalRoIHead
from detforge.models.heads.asff import ASFFHead
from detforge.models.heads.associative import AssociativeHead
from detforge.models.heads.center import CenterHead
from detforge.models.heads.center_pose import CenterPoseHead
from detforge.models.heads.corner import CornerHead
from detforge.models.heads.crowd import CrowdHead
from detforge.models.heads.d2det import DenseBoxHead
from detforge.models.heads.fcos import FCOSHead
from detforge.models.heads.gfl import GFLHead
from detforge.models.heads.grid import GridHead
from detforge.models.heads.guided import GuidedRetinaHead
from detforge.models.heads.guided_rpn import GuidedRPNHead
from detforge.models.heads.heatmap import HeatmapHead
from detforge.models.heads.lffd import LFFDHead
from detforge.models.heads.mspn import MSPNHead
from detforge.models.heads.nanodet import NanoDetHead
from detforge.models.heads.nsrm import StructureHead
from detforge.models.heads.picodet import AlignedHead
from detforge.models.heads.regression import RegressionHead
from detforge.models.heads.rtmcc import RTMCCHead
from detforge.models.heads.rtmdet import RTMDetHead
from detforge.models.heads.sabl import SABLHead
from detforge.models.heads.sabl_box import SABLBoxHead
from detforge.models.heads.saccade import SaccadeHead
from detforge.models.heads.sepc import SEPCRetinaHead
from detforge.models.heads.simcc import SimCCHead
from detforge.models.heads.tood import TOODHead
from detforge.models.heads.yolo import CellHead, YOLOv3Head
from detforge.models.heads.yolof import YOLOFHead
from detforge.models.heads.yolox import YOLOXHead
from detforge.models.heads.yunet import YuNetHead
from detforge.models.two_stage import RoIHead, Stage
from detforge.models.variant import Variant
from detforge.models.zoo import find

BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "weight_gamma", "weight_beta")
RTMDET_SHARED = re.compile(r"^(bbox_head\.(?:cls|reg)_convs\.)[01](\.\d\.conv\.weight)$")
"""Convolutions of RTMDet's branches: its head shares them, so that the last level's are those of all levels."""

Samples = Mapping[str, Sample]
Outputs = Any
"""A tensor; None, for one that the reference alone has, as for training; or a sequence or mapping of such."""


def load_network(name: str, state: Mapping[str, NDArray[Any]]) -> tuple[Variant, nn.Module]:
    """The variant of this name with a golden's weights."""
    variant = find(name)
    if "bbox_head.rtm_cls.0.bias" in state:
        state = {key: state.get(RTMDET_SHARED.sub(r"\g<1>2\g<2>", key), value) for key, value in state.items()}
    weights = {key: torch.from_numpy(value) for key, value in state.items()}
    return variant, load_variant(variant, Checkpoint(weights, name, None, None))


def shortened(golden: Golden, place: Resize) -> Golden:
    """The golden with the last image that the network's resize makes: a padded one, which shows more than another."""
    made = [tag for tag, case in golden.cases.items() if all(map(place.makes, case.image.shape[2:]))]
    last = (made or list(golden.cases))[-1]
    return replace(golden, cases={last: golden.cases[last]})


def assert_parameters_agree(variant: Variant, model: nn.Module, state: Mapping[str, NDArray[Any]]) -> None:
    """The network has as many parameters as the reference, but for those of training."""
    once, again = dict(model.named_parameters()), dict(model.named_parameters(remove_duplicate=False))
    others = (*BUFFERS, *variant.unused, *(again.keys() - once.keys()))
    expected = sum(value.size for key, value in state.items() if not any(part in key for part in others))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def numbered(name: str, outputs: Outputs) -> dict[str, Tensor | Logarithms | None]:
    """A tensor by its name, or those of a sequence or mapping by theirs and their number or key."""
    if isinstance(outputs, Sequence):
        outputs = dict(enumerate(outputs))
    if not isinstance(outputs, Mapping):
        return {name: outputs}
    return {k: v for key, inner in outputs.items() for k, v in numbered(f"{name}/{key}", inner).items()}


def backbone_levels(levels: Sequence[Any], samples: Samples) -> Outputs:
    """As many of the last levels as the reference gives; one may be without a sequence around it."""
    if "backbone" in samples:
        return levels[-1]
    count = len({name.split("/")[1] for name in samples if name.startswith("backbone/")})
    return levels[-count:]


@singledispatch
def reference_card(head: nn.Module, card: Card) -> Card:
    """The Card with the limits and the fusion that the reference ran with, which are not those of everyday use."""
    return replace(card, suppress=replace(card.suppress, conf=0.05))


@reference_card.register
def _(head: YOLOXHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=0.01, max_det=10_000))


@reference_card.register
def _(head: RTMDetHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=0.001, max_det=300))


@reference_card.register(NanoDetHead)
@reference_card.register(AlignedHead)
def _(head: nn.Module, card: Card) -> Card:
    """PaddleDetection suppresses boxes before it clips them."""
    card = replace(card, form=replace(card.form, clip="none"))
    return replace(card, suppress=replace(card.suppress, conf=0.05))


@reference_card.register
def _(head: YuNetHead, card: Card) -> Card:
    """Its training code multiplies score and objectness."""
    suppress = replace(card.suppress, conf=0.02, iou=0.45, max_det=10_000)
    return replace(card, suppress=suppress, fusion=replace(card.fusion, score_exponent=1.0, quality_exponent=1.0))


@reference_card.register
def _(head: LFFDHead, card: Card) -> Card:
    """It clips boxes to the padded image."""
    card = replace(card, form=replace(card.form, top_k=1000, clip="canvas"))
    return replace(card, suppress=replace(card.suppress, conf=0.8, iou=0.3, max_det=10_000))


@reference_card.register
def _(head: ASFFHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=0.01))


@reference_card.register
def _(head: CellHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=0.25))


@reference_card.register
def _(head: FinalRoIHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=head.rule.conf))


@reference_card.register
def _(head: CrowdHead, card: Card) -> Card:
    return replace(card, suppress=replace(card.suppress, conf=0.01, max_det=10_000))


@reference_card.register
def _(head: RoIHead, card: Card) -> Card:
    return reference_card(head.bbox_head, card)


@singledispatch
def reference_found(head: nn.Module, found: Instances, outputs: Arrays, count: int) -> Instances:
    """The `count` detections that the reference returns, of all those that are left."""
    return found


@reference_found.register
def _(head: RoIHead, found: Instances, outputs: Arrays, count: int) -> Instances:
    return reference_found(head.bbox_head, found, outputs, count)


@reference_found.register
def _(head: CrowdHead, found: Instances, outputs: Arrays, count: int) -> Instances:
    """It returns those of the first proposals, not the best."""
    scores = outputs["scores"].reshape(-1)
    places = [int(np.flatnonzero(scores == score)[0]) for score in found.scores]
    return found[np.argsort(places, kind="stable")[:count]]


@singledispatch
def reference_outputs(head: nn.Module, outputs: Arrays) -> Arrays:
    """The outputs without what the reference leaves out and the runtime does not."""
    return outputs


@reference_outputs.register
def _(head: YOLOv3Head, outputs: Arrays) -> Arrays:
    """It keeps a thousand pairs of anchor and class of all levels together; the runtime keeps as many of each."""
    least = np.partition(outputs["scores"], -1000, axis=None)[-1000]
    return {**outputs, "scores": np.where(outputs["scores"] >= least, outputs["scores"], 0)}


@singledispatch
def head_outputs(head: nn.Module, given: Any, samples: Samples) -> Outputs:
    """What the reference's head gives, from what ours gives: as it is, but for the names of a mapping's values."""
    if isinstance(given, Mapping):
        return list(given.values())
    return [given] if isinstance(given, Tensor) and "head/0" in samples else given


@singledispatch
def stage_outputs(head: nn.Module, stages: Sequence[Stage], samples: Samples) -> Outputs:
    """What the reference's second stage gives, from the stages of ours."""
    own = head.bbox_head
    heads = own if isinstance(own, nn.ModuleList) else [own] * len(stages)
    return {
        f"roi{i}": head_outputs(one, {name: x[0] for name, x in stage.logits.items()}, samples)
        for i, (one, stage) in enumerate(zip(heads, stages, strict=True))
    }


@stage_outputs.register
def _(head: FinalRoIHead, stages: Sequence[Stage], samples: Samples) -> Outputs:
    """The last stage's under names of their own."""
    scores, boxes = ({name: x[0] for name, x in stage.logits.items()} for stage in stages)
    return {"roi0": head_outputs(head.bbox_head, scores, samples), **head_outputs(head.final_head, boxes, samples)}


@head_outputs.register
def _(head: DenseBoxHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    """The pooled features are in the scores."""
    return {"d2det": [given["sides"], given["inside"]], "bbox_roi_feats": None}


@head_outputs.register
def _(head: GridHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    """The heatmaps, which differ in training alone."""
    return {"grid": dict.fromkeys(("fused", "unfused"), given["points"])}


@head_outputs.register
def _(head: FCOSHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Distances in px."""
    sides = zip(given["sides"], head.strides, strict=True)
    px = [x.relu() * stride if head.improved else x.exp() for x, stride in sides]
    return list((given | {"sides": px}).values())


@head_outputs.register
def _(head: GFLHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """GFL v2 multiplies score and quality in its head."""
    if "quality" not in given:
        return list(given.values())
    scores = [c.sigmoid() * q.sigmoid() for c, q in zip(given["classes"], given["quality"], strict=True)]
    return [scores, given["sides"]]


@head_outputs.register
def _(head: RTMDetHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Distances in px."""
    sides = zip(given["sides"], head.strides, strict=True)
    return [given["classes"], [(x.exp() if head.exponential else x) * stride for x, stride in sides]]


@head_outputs.register
def _(head: TOODHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Final scores in its head."""
    pairs = zip(given["classes"], given["quality"], strict=True)
    return [[(c.sigmoid() * q.sigmoid()).sqrt() for c, q in pairs], given["boxes"]]


@head_outputs.register
def _(head: YuNetHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    names = {"cls": "classes", "bbox": "boxes", "obj": "quality", "kps": "keypoints"}
    return {theirs: given[ours] for theirs, ours in names.items()}


@head_outputs.register(GuidedRetinaHead)
@head_outputs.register(GuidedRPNHead)
def _(head: nn.Module, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Nothing where no centre is likely."""
    classes, deltas, shape, centre = given.values()
    likely = [x.sigmoid() >= 0.01 for x in centre]
    seen = [[torch.where(m, x, 0) for m, x in zip(likely, values, strict=True)] for values in (classes, deltas)]
    return [*seen, shape, centre]


@head_outputs.register
def _(head: SABLHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Buckets and offsets in one."""
    return [given["classes"], list(zip(given["buckets"], given["offsets"], strict=True))]


@head_outputs.register
def _(head: SABLBoxHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    """Buckets and offsets in one."""
    return [given["classes"], [given["buckets"], given["offsets"]]]


@head_outputs.register
def _(head: SEPCRetinaHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """Without the last rows and columns, which hold nothing."""
    return [[x[..., :-2, :-2] for x in levels] for levels in given.values()]


@head_outputs.register
def _(head: YOLOFHead, given: dict[str, list[Tensor]], samples: Samples) -> Outputs:
    """The logits of class score times objectness."""
    classes, quality = given["classes"][0], given["quality"][0]
    both = classes.sigmoid().unflatten(1, (-1, head.classes)) * quality.sigmoid()[:, :, None]
    return [[both.flatten(1, 2).logit()], given["deltas"]]


@head_outputs.register
def _(head: SaccadeHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    """The heatmap of corners serves training alone."""
    return {"hm": given["heat"], "reg": given["offset"], "final_wh": given["size"], "cor_att": None}


@head_outputs.register
def _(head: CenterHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    return [[given["heat"].sigmoid()], [given["size"]], [given["offset"]]]


@head_outputs.register
def _(head: CenterPoseHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    return dict(zip(("hm", "wh", "reg", "hps", "hm_hp", "hp_offset"), given.values(), strict=True))


@head_outputs.register
def _(head: CornerHead, given: dict[str, Tensor], samples: Samples) -> Outputs:
    """The first stack's heads serve training alone."""
    names = ("heat", *(("emb", "off") if "tl_emb" in given else ("off", "guiding_shift", "centripetal_shift")))
    return [[None, given[f"{corner}_{name}"]] for name in names for corner in ("tl", "br")]


@head_outputs.register
def _(head: HeatmapHead, given: Tensor, samples: Samples) -> Outputs:
    """Integral regression gives coordinates, which are our decoder's, and a softmax of the map.

    A probability's relative error is the map's absolute one. At a peak that is many more standard deviations of the
    probabilities, nearly all of which are 0, than of the map, and the order in which threads add shows. So logarithms
    are compared: they are the map but for a constant.
    """
    stages = sum(name.startswith("head/") for name in samples)
    if isinstance(head.final_layer, nn.Identity):  # of a CPM, whose stages' maps are compared as its levels
        return [None] * (stages - 1) + [given]
    if stages == 2:
        return [None, Logarithms(given.flatten(2).log_softmax(-1).view_as(given))]
    return [given] if "head/0" in samples else given


@head_outputs.register
def _(head: AssociativeHead, given: Tensor, samples: Samples) -> Outputs:
    """Heatmaps and tags, which the older framework leaves in one tensor."""
    return list(given.chunk(2, 1)) if "head/1" in samples else [given]


@head_outputs.register
def _(head: MSPNHead, given: Tensor, samples: Samples) -> Outputs:
    """The last unit's maps; those of the others serve training alone."""
    last = sum(name.startswith("head/") for name in samples) - 1
    return dict.fromkeys(range(last)) | {last: given}


@head_outputs.register
def _(head: StructureHead, given: list[Tensor], samples: Samples) -> Outputs:
    """The masks' probabilities, and the heatmaps, each of all stages together."""
    masks, maps = (torch.stack(stages, 1) for stages in (given[: head.each], given[head.each :]))
    return {"limb": masks.sigmoid(), "conf": maps}


@head_outputs.register
def _(head: RegressionHead, given: Tensor, samples: Samples) -> Outputs:
    """Coordinates, and deviations before their sigmoid."""
    return head.fc(given).view(samples["head"].shape)


@head_outputs.register(SimCCHead)
@head_outputs.register(RTMCCHead)
def _(head: nn.Module, given: Tensor, samples: Samples) -> Outputs:
    """The bins of x, and those of y."""
    return list(head.decode(given).values())
