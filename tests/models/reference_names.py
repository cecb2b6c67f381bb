"""Our tensors under the names of references that do not number the levels of a backbone, a neck and a head."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import torch
from golden.reader import Case
from reference import backbone_levels, head_outputs, numbered
from torch import Tensor, nn

from detforge.models.heads.asff import ASFFHead
from detforge.models.heads.directpose import DirectPoseHead
from detforge.models.heads.extreme import ExtremeHead
from detforge.models.heads.lffd import LFFDHead
from detforge.models.heads.refinedet import RefineDetHead
from detforge.models.heads.retina import RetinaHead
from detforge.models.heads.saccade import SaccadeHead
from detforge.models.heads.sepc import SEPCRetinaHead
from detforge.models.heads.vfnet import VFNetHead
from detforge.models.heads.yolo import CellHead, decode_cells
from detforge.models.points import points_first

Levels = Sequence[Tensor]
Logits = dict[str, list[Tensor]]


@singledispatch
def named(head: nn.Module, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """What the parts of a network give: `levels`, `features` and `logits`, by the reference's names."""
    outputs = head_outputs(head, logits, case.raw)
    groups = {"backbone": backbone_levels(levels, case.raw), "neck": features, "head": outputs}
    return {k: v for name, group in groups.items() for k, v in numbered(name, group).items()}


_numbered = named.dispatch(object)


@named.register
def _(head: VFNetHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """The authors' gives the first boxes as well: their sides in px."""
    tensors = _numbered(head, model, case, levels, features, logits)
    if "head/2/0" not in case.raw:
        return tensors
    sides = [head.vfnet_reg(head.vfnet_reg_conv(head.reg_convs(x))) for x in features]
    steps = zip(sides, head.scales, head.strides, strict=True)
    first = [scale(x).exp() * 8 * stride for x, scale, stride in steps]
    return tensors | numbered("head/1", first) | numbered("head/2", list(logits.values())[1])


@named.register
def _(head: SEPCRetinaHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its neck has two parts."""
    tensors = _numbered(head, model, case, levels, features, logits) | numbered("neck0", model.neck[0](levels[-3:]))
    return tensors | numbered("neck1", [[x[..., :-2, :-2] for x in pair] for pair in features])


@named.register
def _(head: RetinaHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """AP-Loss' anchors' values lie one after the other, the levels' under one name each."""
    tensors = _numbered(head, model, case, levels, features, logits)
    if "reg" not in case.raw:
        return tensors
    tensors |= {f"layer{i}": x for i, x in enumerate(levels[-3:], 2)}
    for i, (deltas, classes) in enumerate(zip(logits["deltas"], logits["classes"], strict=True)):
        call = f"@{i}" if i else ""
        tensors[f"reg{call}"] = points_first([deltas]).reshape(1, -1, 4)
        tensors[f"cls{call}"] = points_first([classes]).reshape(1, -1, head.classes)
    return tensors


@named.register
def _(head: LFFDHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its scores are those of the object alone."""
    return numbered("score", [x.softmax(1)[:, :1] for x in logits["classes"]]) | numbered("bbox", logits["edges"])


@named.register
def _(head: RefineDetHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its anchors' values lie one after the other."""
    columns = {"moves": 4, "objects": 2, "deltas": 4, "classes": head.classes + 1}
    flat = {name: points_first(logits[name]).reshape(1, -1, k) for name, k in columns.items()}
    (first, found), (second, _), (_, _), (extra, last) = features
    return {
        "l2norm4": first,
        "l2norm5": second,
        "fc7": levels[2],
        "extra1": extra,
        "tcb2_0": found,
        "tcb2_3": last,
        "arm_loc": flat["moves"],
        "arm_conf_softmax": flat["objects"].softmax(-1),
        "odm_loc": flat["deltas"],
        "odm_conf_softmax": flat["classes"].softmax(-1),
    }


@named.register
def _(head: SaccadeHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """It gives its first sides as well; what DLA gives on the way up stays within our neck."""
    tensors = _numbered(head, model, case, levels, features, logits) | numbered("dla_up", dict.fromkeys(range(4)))
    return tensors | {"feat": features[0], "head/wh": head.wh_head(features[0])}


@named.register
def _(head: ExtremeHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its heads by name, and the hourglasses before their last layers."""
    trunk = model.backbone
    first = trunk.stem(torch.from_numpy(case.image))
    second = trunk.inters[0](torch.relu(trunk.conv1x1s[0](first) + trunk.remap_convs[0](levels[0])))
    hourglasses = {
        f"hg{i}": net(x) for i, (net, x) in enumerate(zip(trunk.hourglass_modules, (first, second), strict=True))
    }
    heads = {f"head/{name.removesuffix('s')}": value for name, value in logits.items()}
    return {"pre": first, "cnv1": levels[1], **hourglasses, **heads}


@named.register
def _(head: CellHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its boxes are fractions of the image, all cells of an anchor together; of its trunk there are layers."""
    maps = model.backbone.maps(torch.from_numpy(case.image))
    found = decode_cells(logits["cells"], head.anchors, head.classes, head.stretch)
    sizes = [x.shape[2] * x.shape[3] * 3 for x in logits["cells"]]
    height, width = case.image.shape[2:]
    boxes = _by_anchor(found["boxes"], sizes, 3) / torch.tensor([width, height, width, height])
    tensors = {"boxes": boxes[:, :, None], "confs": _by_anchor(found["scores"] * found["quality"][..., None], sizes, 3)}
    return tensors | {f"layer{i}": x for i, x in enumerate(maps)} | {f"conv{i}": x for i, x in enumerate(levels)}


@named.register
def _(head: ASFFHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its boxes are a centre and sides, anchor by anchor; of its fusion there are the weights as well."""
    maps = model.neck.maps(levels[-3:])
    found = decode_cells(logits["cells"], head.anchors, head.classes)
    low, high = found["boxes"].split(2, -1)
    decoded = torch.cat(((low + high) / 2, high - low, found["quality"][..., None], found["scores"]), -1)
    decoded = _by_anchor(decoded, [x.shape[2] * x.shape[3] * 4 for x in features], 4)
    tensors = {"b0": levels[-3], "b1": levels[-2], "decoded": decoded}
    for i, (fusion, x) in enumerate(zip(model.neck.fusions, features, strict=True)):
        weights = fusion.weights(fusion.resized(maps))
        tensors |= {f"n{i}": maps[i], f"f{i}/0": x, f"f{i}/1": weights, f"fusion_weight/{i}": weights}
    return tensors


@named.register
def _(head: DirectPoseHead, model: nn.Module, case: Case, levels: Levels, features: Any, logits: Logits) -> Any:
    """Its coarsest levels are not read."""
    names = {"classes": "cls", "quality": "centerness", "keypoints": "kps"}
    tensors = numbered("fpn", [*features, None, None])
    return tensors | {k: v for ours, theirs in names.items() for k, v in numbered(theirs, logits[ours]).items()}


def _by_anchor(values: Tensor, sizes: Sequence[int], anchors: int) -> Tensor:
    """Values (1, a, k) in the order of each level's anchors, and not of its cells."""
    levels = values.split(list(sizes), 1)
    return torch.cat([x.unflatten(1, (-1, anchors)).transpose(1, 2).flatten(1, 2) for x in levels], 1)
