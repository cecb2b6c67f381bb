"""Every model by name, merged by explicit import: a model is one file plus one line here."""

import difflib

from ...deploy.system.errors import UsageError
from ..variant import Variant
from . import (
    alexnet,
    ap_loss,
    asff,
    associative_embedding,
    atss,
    autoassign,
    borderdet,
    centernet,
    centernet_pose,
    centripetalnet,
    convnext,
    cornernet,
    cspnet,
    dark,
    ddod,
    deeppose,
    efficientnet,
    extremenet,
    fcos,
    foveabox,
    fpt,
    fsaf,
    gfl,
    grmi,
    guided_anchoring,
    higherhrnet,
    hrnet,
    hrnetv2,
    integral,
    iou_aware_retinanet,
    libra,
    marker_corners,
    mspn,
    nanodet,
    nas_fpn,
    paa,
    picodet,
    pvt,
    pyconv,
    refinedet,
    regnet,
    reppoints,
    resnest,
    resnet_d,
    retinanet,
    rsn,
    rtmdet,
    rtmpose,
    sabl,
    saccadenet,
    scnet,
    senet,
    sepc,
    shufflenet,
    shufflenetv2,
    simcc,
    simplebaseline,
    spinenet,
    ssd,
    swin,
    tood,
    torchvision,
    ttfnet,
    udp,
    vfnet,
    vgg,
    yolof,
    yolov3,
    yolox,
    yunet,
)

_DETECTION = (
    retinanet,
    ap_loss,
    iou_aware_retinanet,
    guided_anchoring,
    sabl,
    refinedet,
    ssd,
    yolof,
    yolov3,
    asff,
    fcos,
    torchvision,
    foveabox,
    fsaf,
    atss,
    paa,
    ddod,
    tood,
    reppoints,
    gfl,
    vfnet,
    autoassign,
    borderdet,
    yolox,
    rtmdet,
    nanodet,
    picodet,
    yunet,
    nas_fpn,
    libra,
    sepc,
    fpt,
    hrnetv2,
    spinenet,
    cspnet,
    pyconv,
    regnet,
    resnest,
    efficientnet,
    pvt,
    swin,
    convnext,
    centernet,
    saccadenet,
    ttfnet,
    cornernet,
    centripetalnet,
    extremenet,
)
_TOP_DOWN = (
    *(simplebaseline, resnet_d, senet, scnet, alexnet, vgg, shufflenet, shufflenetv2),
    *(hrnet, dark, udp, integral, grmi, mspn, rsn, simcc, rtmpose, deeppose, marker_corners),
)
_BOTTOM_UP = (associative_embedding, higherhrnet)
_SINGLE_STAGE = (centernet_pose,)
_PAPERS = (*_DETECTION, *_TOP_DOWN, *_BOTTOM_UP, *_SINGLE_STAGE)

VARIANTS: dict[str, Variant] = {variant.name: variant for paper in _PAPERS for variant in paper.VARIANTS}
ALIASES: dict[str, str] = {alias: name for paper in _PAPERS for alias, name in paper.ALIASES.items()}


def find(name: str) -> Variant:
    """The variant with this name or alias. Raises UsageError with the most similar names."""
    variant = VARIANTS.get(ALIASES.get(name, name))
    if variant is None:
        near = difflib.get_close_matches(name, [*VARIANTS, *ALIASES], 3, 0.4)
        hint = f"nearest: {', '.join(near)}" if near else "see detexport --list"
        raise UsageError(f"unknown model '{name}'; {hint}")
    return variant
