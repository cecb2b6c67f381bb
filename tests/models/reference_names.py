"""Our tensors under the names that the references gave theirs, which number the outputs of a module."""

from collections.abc import Callable, Sequence

import torch
from golden.reader import Case
from torch import Tensor, nn

from detforge.models.heads.asff import ASFFHead
from detforge.models.heads.fcos import FCOSHead
from detforge.models.heads.guided import GuidedRetinaHead
from detforge.models.heads.refinedet import RefineDetHead
from detforge.models.heads.sabl import SABLHead
from detforge.models.heads.sepc import SEPCRetinaHead
from detforge.models.heads.vfnet import VFNetHead
from detforge.models.heads.yolo import CellHead, decode_cells
from detforge.models.heads.yolof import YOLOFHead
from detforge.models.points import points_first

Logits = dict[str, list[Tensor]]


def named(
    model: nn.Module, levels: Sequence[Tensor], features: Sequence[Tensor], logits: Logits, case: Case
) -> dict[str, Tensor]:
    """The given levels of the backbone, the neck's features, and the head's outputs in the reference's form."""
    head = model.bbox_head
    if isinstance(head, RefineDetHead):
        return _refinedet(head, levels, features, logits)
    if isinstance(head, ASFFHead):
        return _asff(model, levels, features, logits)
    if isinstance(head, CellHead):
        return _cspnet(model, case, logits)
    if "reg" in case.raw or "reg@1" in case.raw:
        return _ap_loss(head, levels, features, logits)
    own = next((form for kind, form in FORMS.items() if isinstance(head, kind)), None)
    outputs = list(logits.values()) if own is None else own(head, logits)
    if "quality" in logits and "head/2/0" not in case.raw and own is None:
        # GFL v2 multiplies score and quality in its head.
        outputs = [[c.sigmoid() * q.sigmoid() for c, q in zip(outputs[0], outputs.pop(), strict=True)], outputs[1]]
    groups = {"backbone": levels, "neck": features, **{f"head/{i}": output for i, output in enumerate(outputs)}}
    if isinstance(head, VFNetHead) and "head/2/0" in case.raw:  # the authors' gives the first boxes as well
        groups |= {"head/1": _first_boxes(head, features), "head/2": outputs[1]}
    if isinstance(head, SEPCRetinaHead):
        groups["neck0"] = model.neck[0](levels[-3:])
        groups |= {f"neck1/{i}": [x[..., :-2, :-2] for x in pair] for i, pair in enumerate(features)}
    if isinstance(head, SABLHead):
        groups |= {f"head/1/{i}": pair for i, pair in enumerate(zip(*outputs[1:], strict=True))}
    return {f"{group}/{i}": tensor for group, tensors in groups.items() for i, tensor in enumerate(tensors)}


def _refinedet(head: RefineDetHead, levels: Sequence[Tensor], features: Sequence, logits: Logits) -> dict[str, Tensor]:
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


def _ap_loss(
    head: nn.Module, levels: Sequence[Tensor], features: Sequence[Tensor], logits: Logits
) -> dict[str, Tensor]:
    """Its anchors' values lie one after the other, the levels' under one name each."""
    names = {f"layer{i}": x for i, x in enumerate(levels[-3:], 2)} | {f"neck/{i}": x for i, x in enumerate(features)}
    for i, (deltas, classes) in enumerate(zip(logits["deltas"], logits["classes"], strict=True)):
        call = f"@{i}" if i else ""
        names[f"reg{call}"] = points_first([deltas]).reshape(1, -1, 4)
        names[f"cls{call}"] = points_first([classes]).reshape(1, -1, head.classes)
    return names


def _cspnet(model: nn.Module, case: Case, logits: Logits) -> dict[str, Tensor]:
    """Its boxes are fractions of the image, all cells of an anchor together; of its trunk there are layers."""
    maps = model.backbone.maps(torch.from_numpy(case.image))
    found = decode_cells(logits["cells"], model.bbox_head.anchors, model.bbox_head.classes, model.bbox_head.stretch)
    sizes = [x.shape[2] * x.shape[3] * 3 for x in logits["cells"]]

    def grouped(values: Tensor) -> Tensor:
        return torch.cat([x.unflatten(1, (-1, 3)).transpose(1, 2).flatten(1, 2) for x in values.split(sizes, 1)], 1)

    height, width = case.image.shape[2:]
    names = {f"layer{i}": x for i, x in enumerate(maps)} | {f"conv{i}": x for i, x in enumerate(logits["cells"])}
    boxes = grouped(found["boxes"]) / torch.tensor([width, height, width, height])
    return names | {"boxes": boxes[:, :, None], "confs": grouped(found["scores"] * found["quality"][..., None])}


def _asff(model: nn.Module, levels: Sequence[Tensor], features: Sequence[Tensor], logits: Logits) -> dict[str, Tensor]:
    """Its boxes are a centre and sides, anchor by anchor; of its fusion there are the weights as well."""
    maps = model.neck.maps(levels[-3:])
    found = decode_cells(logits["cells"], model.bbox_head.anchors, model.bbox_head.classes)
    low, high = found["boxes"].split(2, -1)
    decoded = torch.cat(((low + high) / 2, high - low, found["quality"][..., None], found["scores"]), -1)
    sizes = [x.shape[2] * x.shape[3] * 4 for x in features]
    decoded = torch.cat([x.unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2) for x in decoded.split(sizes, 1)], 1)
    names = {"b0": levels[-3], "b1": levels[-2], "decoded": decoded}
    for i, (fusion, x) in enumerate(zip(model.neck.fusions, features, strict=True)):
        weights = fusion.weights(fusion.resized(maps))
        names |= {f"n{i}": maps[i], f"f{i}/0": x, f"f{i}/1": weights, f"fusion_weight/{i}": weights}
    return names


def _first_boxes(head: VFNetHead, features: Sequence[Tensor]) -> list[Tensor]:
    """The sides in px of the boxes that the head refines."""
    sides = [head.vfnet_reg(head.vfnet_reg_conv(head.reg_convs(x))) for x in features]
    steps = zip(sides, head.scales, head.strides, strict=True)
    return [scale(x).exp() * 8 * stride for x, scale, stride in steps]


def _fcos(head: FCOSHead, logits: Logits) -> list[list[Tensor]]:
    """Its sides are px."""
    sides = zip(logits["sides"], head.strides, strict=True)
    px = [x.relu() * stride if head.improved else x.exp() for x, stride in sides]
    return [logits["classes"], px, logits["quality"]]


def _yolof(head: YOLOFHead, logits: Logits) -> list[list[Tensor]]:
    """The logits of class score times objectness."""
    classes, quality = logits["classes"][0], logits["quality"][0]
    both = classes.sigmoid().unflatten(1, (-1, head.classes)) * quality.sigmoid()[:, :, None]
    return [[both.flatten(1, 2).logit()], logits["deltas"]]


def _guided(head: GuidedRetinaHead, logits: Logits) -> list[list[Tensor]]:
    """Nothing where no centre is likely, by the first image."""
    likely = [x.sigmoid() >= 0.01 for x in logits["centre"]]
    seen = [[torch.where(m, x, 0) for m, x in zip(likely, logits[name], strict=True)] for name in ("classes", "deltas")]
    return [*seen, logits["shape"], logits["centre"]]


def _sepc(_: SEPCRetinaHead, logits: Logits) -> list[list[Tensor]]:
    """Without the last rows and columns, which hold nothing."""
    return [[x[..., :-2, :-2] for x in levels] for levels in logits.values()]


FORMS: dict[type[nn.Module], Callable[..., list[list[Tensor]]]] = {
    FCOSHead: _fcos,
    YOLOFHead: _yolof,
    GuidedRetinaHead: _guided,
    SEPCRetinaHead: _sepc,
}
