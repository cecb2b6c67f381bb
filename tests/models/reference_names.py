"""Our tensors under the names that the references gave theirs, which number the outputs of a module."""

from collections.abc import Callable, Sequence

import torch
from golden.reader import Case
from torch import Tensor, nn

from detforge.models.heads.fcos import FCOSHead
from detforge.models.heads.guided import GuidedRetinaHead
from detforge.models.heads.sabl import SABLHead
from detforge.models.heads.sepc import SEPCRetinaHead
from detforge.models.heads.yolof import YOLOFHead

Logits = dict[str, list[Tensor]]


def named(
    model: nn.Module, levels: Sequence[Tensor], features: Sequence[Tensor], logits: Logits, case: Case
) -> dict[str, Tensor]:
    """The given levels of the backbone, the neck's features, and the head's outputs in the reference's form."""
    head = model.bbox_head
    outputs = FORMS.get(type(head), lambda _, logits: list(logits.values()))(head, logits)
    if "quality" in logits and "head/2/0" not in case.raw and type(head) not in FORMS:
        # GFL v2 multiplies score and quality in its head.
        outputs = [[c.sigmoid() * q.sigmoid() for c, q in zip(outputs[0], outputs.pop(), strict=True)], outputs[1]]
    groups = {"backbone": levels, "neck": features, **{f"head/{i}": output for i, output in enumerate(outputs)}}
    if isinstance(head, SEPCRetinaHead):
        groups["neck0"] = model.neck[0](levels[-3:])
        groups |= {f"neck1/{i}": [x[..., :-2, :-2] for x in pair] for i, pair in enumerate(features)}
    if isinstance(head, SABLHead):
        groups |= {f"head/1/{i}": pair for i, pair in enumerate(zip(*outputs[1:], strict=True))}
    return {f"{group}/{i}": tensor for group, tensors in groups.items() for i, tensor in enumerate(tensors)}


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
