"""Configurations of Detectron2 and AdelaiDet: the config.yaml that training writes, translated to one of OpenMMLab.

Their networks are OpenMMLab's under other names, on images that Pillow resizes. One file per network.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....deploy.forms import Dense
from ..section import shown
from ..text import Text, UnknownNetworkError
from ..variant import Described, describe
from . import faster_rcnn, fcos, retinanet
from .keys import Keys, read_values
from .parts import Translation, check

_NETWORKS = {module.NETWORK: module.translate for module in (faster_rcnn, retinanet, fcos)}


def describe_yaml(text: str, meta: Mapping[str, Any]) -> Described:
    """The variant that a config.yaml describes, with the framework's names of weights.

    Raises ConfigError for text that is no such file, and for a value that is not supported.
    """
    translation = _translated(read_values(text))
    described = describe(Text(translation.values, {}), meta)
    facts = tuple(replace(fact, keys=translation.facts[fact.what]) for fact in described.facts)
    variant = replace(described.variant, mapping=translation.mapping, unused=translation.unused)
    if isinstance(variant.form, Dense):  # boxes of one stage are clipped last
        form, suppress = replace(variant.form, clip="none"), replace(variant.suppress, clips=True)
        variant = replace(variant, form=form, suppress=suppress, fusion=translation.fusion or variant.fusion)
    return Described(variant, facts)


def _translated(keys: Keys) -> Translation:
    network = keys["MODEL.META_ARCHITECTURE"]
    if network not in _NETWORKS:
        names = ", ".join(_NETWORKS)
        raise UnknownNetworkError(f"MODEL.META_ARCHITECTURE is {shown(network)}; supported: {names}")
    check(keys)
    return _NETWORKS[network](keys)
