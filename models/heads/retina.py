"""RetinaNet's head (Lin et al., "Focal Loss for Dense Object Detection", arXiv 1708.02002), and with an IoU branch the
head of IoU-aware RetinaNet (Wu et al., arXiv 1912.05992)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from ...deploy.forms import Dense
from ..anchors import Anchors, FittedAnchors
from ..blocks import level_towers, start_head, tower
from ..coders import deltas_to_boxes
from ..config.dense import read_anchors, read_deltas, read_towers
from ..config.norms import batch_norm, read_norm
from ..config.parts import Head, Neck
from ..config.section import Section
from ..points import points_first


class RetinaHead(nn.Module):
    """Pyramid levels to class scores and boxes for every anchor; `with_iou` predicts each box's overlap as well.

    With `level_norms` every level has batch norms of its own in the branches, whose convolutions all levels share.
    `forward` gives raw logits per level, anchor by anchor: `classes` (n, anchors * classes, h, w), `deltas`
    (n, anchors * 4, h, w) and maybe `quality` (n, anchors, h, w). `decode` turns them into the network's outputs.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        anchors: Anchors | FittedAnchors,
        stacked: int = 4,
        stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        with_iou: bool = False,
        norm: Literal["bn", "gn"] | None = None,
        level_norms: bool = False,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.classes, self.anchors, self.stds = classes, anchors, tuple(stds)
        if level_norms:
            branch = partial(level_towers, len(anchors.strides), channels, stacked, in_channels)
        else:
            branch = partial(tower, channels, stacked, norm=norm, in_channels=in_channels)
        self.cls_convs, self.reg_convs = branch(), branch()
        self.retina_cls = nn.Conv2d(channels, anchors.per_cell * classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(channels, anchors.per_cell * 4, 3, padding=1)
        self.retina_iou = nn.Conv2d(channels, anchors.per_cell, 3, padding=1) if with_iou else None
        start_head(self, self.retina_cls)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        boxes = self._branch(self.reg_convs, levels)
        logits = {
            "classes": [self.retina_cls(x) for x in self._branch(self.cls_convs, levels)],
            "deltas": [self.retina_reg(x) for x in boxes],
        }
        if self.retina_iou is not None:
            logits["quality"] = [self.retina_iou(x) for x in boxes]
        return logits

    def _branch(self, convs: nn.Module, levels: Sequence[Tensor]) -> list[Tensor]:
        if isinstance(convs, nn.ModuleList):
            return [own(x) for own, x in zip(convs, levels, strict=True)]
        return [convs(x) for x in levels]

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and maybe `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        deltas = flat["deltas"].reshape(flat["deltas"].shape[0], -1, 4)
        anchors = self.anchors([x.shape[2:] for x in logits["deltas"]], deltas)
        boxes = deltas_to_boxes(deltas, anchors, self.stds, self.anchors.inclusive)
        outputs = {"boxes": boxes, "scores": flat["classes"].sigmoid().reshape(deltas.shape[0], -1, self.classes)}
        if "quality" in flat:
            outputs["quality"] = flat["quality"].sigmoid().flatten(1)
        return outputs


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's RetinaHead, and heads that differ only in training."""
    anchors = read_anchors(section, neck, Anchors(), with_legacy=True)
    section.training("reg_decoded_bbox", *_TRAINING)
    level_norms = section.type == "RetinaSepBNHead"
    if level_norms:
        section.same("num_ins", len(neck.strides))
    norm = batch_norm(section) if level_norms else read_norm(section, None)
    build = read_towers(section, neck, RetinaHead, norm)
    stds = read_deltas(section, (1.0, 1.0, 1.0, 1.0), inclusive=anchors.inclusive)
    return Head(
        build(anchors=anchors, stds=stds, level_norms=level_norms),
        section.integer("num_classes"),
        "bbox_head.retina_cls.weight",
        Dense(neck.strides, anchors=anchors.per_cell, clip="last_pixel" if anchors.inclusive else "image"),
    )


_TRAINING = ("pre_anchor_topk", "bbox_thr", "gamma", "alpha")
"""FreeAnchor's keys, which only affect training."""
