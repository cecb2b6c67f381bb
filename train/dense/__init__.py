"""The losses of dense detectors for one batch: one file per kind of head, which assigns objects and weights losses."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ...models.detector import DenseDetector
from ...models.heads.atss import ATSSHead
from ...models.heads.fcos import FCOSHead
from ...models.heads.gfl import GFLHead
from ...models.heads.retina import RetinaHead
from ...models.heads.vfnet import VFNetHead
from .atss import atss_losses
from .fcos import fcos_losses
from .gfl import gfl_losses
from .retina import retina_losses
from .vfnet import vfnet_losses

HeadLosses = Callable[[Any, dict[str, list[Tensor]], Sequence[Tensor], Sequence[Tensor]], dict[str, Tensor]]

LOSSES: dict[type, HeadLosses] = {
    ATSSHead: atss_losses,
    FCOSHead: fcos_losses,
    GFLHead: gfl_losses,
    RetinaHead: retina_losses,
    VFNetHead: vfnet_losses,
}
"""Of each head: (head, its logits, boxes (g, 4) xyxy px and labels (g,) of each image) to scalar losses by name."""


def dense_losses(
    model: DenseDetector, images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The scalar losses of a detector by name, for images (n, 3, h, w) with boxes (g, 4) xyxy px and labels (g,)."""
    head = model.bbox_head
    logits = {name: [level.float() for level in levels] for name, levels in model.logits(images).items()}
    return LOSSES[type(head)](head, logits, boxes, labels)
