"""Scale-equalizing pyramid convolution (SEPC, arXiv 2005.03101) in RetinaNet, FreeAnchor and FSAF."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import Anchors
from ..backbones.resnet import R50, TINY, Backbone
from ..detector import DenseDetector
from ..heads.sepc import SEPCFSAFHead, SEPCRetinaHead
from ..labels import COCO
from ..necks.fpn import FPN
from ..necks.sepc import SEPC
from ..variant import Published, Variant

# Written on mmdet 1.x, whose coordinates, and whose habit of ranking whole points, it shares.
_ANCHORS = Anchors(centre=0.5, inclusive=True, rounded="corners")
_KINDS = {
    "pconv": {"norms": False, "pyramid": False, "last": False},
    "ibn": {"norms": True, "pyramid": False, "last": False},
    "sepclite": {"norms": True, "pyramid": False, "last": True},
    "sepc": {"norms": True, "pyramid": True, "last": True},
}
_SUMMARIES = {
    "pconv": "pyramid convolutions",
    "ibn": "pyramid convolutions, batch norms over all levels",
    "sepclite": "scale-equalizing pyramid convolutions, deformable at the end",
    "sepc": "scale-equalizing pyramid convolutions, deformable all over",
}


def build(
    classes: int,
    *,
    kind: str = "sepc",
    backbone: Backbone = R50,
    channels: int = 256,
    depth: int = 4,
    stds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    anchor_free: bool = False,
) -> nn.Module:
    """A RetinaNet, or an `anchor_free` FSAF, with SEPC in place of its branches."""
    trunk = backbone()
    pyramid = FPN(trunk.channels[1:], channels, len(_ANCHORS.strides), extra="input")
    head = (
        SEPCFSAFHead(classes, channels, strides=_ANCHORS.strides)
        if anchor_free
        else SEPCRetinaHead(classes, channels, anchors=_ANCHORS, stds=stds)
    )
    return DenseDetector(trunk, nn.Sequential(pyramid, SEPC(channels, depth=depth, **_KINDS[kind])), head)


_RETINA = Variant(
    name="sepc_retinanet_r50",
    paper="arXiv 2005.03101",
    summary=f"RetinaNet with {_SUMMARIES['sepc']}",
    build=build,
    form=Dense(_ANCHORS.strides, anchors=_ANCHORS.per_cell, unit="points", clip="last_pixel"),
    classes_key="bbox_head.retina_cls.weight",
    suppress=Suppress(iou=0.5, inclusive=True),
    labels=COCO,
)
# What they are built into, and the AP that the authors state; their weights lie on a drive.
_PUBLISHED = (
    ("retinanet", "RetinaNet", {}, (37.0, 37.8, 38.5, 39.6)),
    ("freeanchor", "FreeAnchor", {"stds": (0.1, 0.1, 0.2, 0.2)}, (39.7, 41.0, 41.9, 43.0)),
    ("fsaf", "FSAF", {"anchor_free": True}, (38.6, 39.1, 40.5, 41.6)),
)


def _variants() -> list[Variant]:
    variants: list[Variant] = []
    for name, title, options, precisions in _PUBLISHED:
        form = replace(_RETINA.form, anchors=1) if "anchor_free" in options else _RETINA.form
        for kind, ap in zip(_KINDS, precisions, strict=True):
            summary = f"{title} with {_SUMMARIES[kind]}"
            build = {"kind": kind, **options}
            variants.append(_RETINA.derive(f"{kind}_{name}_r50", summary, Published(None, ap), build=build, form=form))
    return variants


_TINY = {"backbone": TINY, "channels": 32, "depth": 2}
VARIANTS = (
    *_variants(),
    _RETINA.derive("sepc_test", "tiny SEPC for tests", build=_TINY),
    _RETINA.derive(
        "sepc_fsaf_test",
        "tiny SEPC without anchors for tests",
        build={**_TINY, "anchor_free": True},
        form=replace(_RETINA.form, anchors=1),
    ),
)
ALIASES = {"sepc": "sepc_retinanet_r50", "sepc_freeanchor": "sepc_freeanchor_r50"}
