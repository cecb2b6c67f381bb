"""Every model by name, merged by explicit import: a model is one file plus one line here."""

import difflib

from ...deploy.system.errors import UsageError
from ..variant import Variant
from . import (
    associative_embedding,
    atss,
    autoassign,
    borderdet,
    centernet,
    cornernet,
    dark,
    ddod,
    fcos,
    foveabox,
    fsaf,
    gfl,
    grmi,
    higherhrnet,
    hrnet,
    integral,
    iou_aware_retinanet,
    marker_corners,
    mspn,
    nanodet,
    paa,
    picodet,
    retinanet,
    rsn,
    rtmdet,
    rtmpose,
    simcc,
    simplebaseline,
    tood,
    udp,
    vfnet,
    yolox,
    yunet,
)

_DETECTION = (
    retinanet,
    iou_aware_retinanet,
    fcos,
    foveabox,
    fsaf,
    atss,
    paa,
    ddod,
    tood,
    gfl,
    vfnet,
    autoassign,
    borderdet,
    yolox,
    rtmdet,
    nanodet,
    picodet,
    yunet,
    centernet,
    cornernet,
)
_TOP_DOWN = (simplebaseline, hrnet, dark, udp, integral, grmi, mspn, rsn, simcc, rtmpose, marker_corners)
_BOTTOM_UP = (associative_embedding, higherhrnet)
_PAPERS = (*_DETECTION, *_TOP_DOWN, *_BOTTOM_UP)

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
