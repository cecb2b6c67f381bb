"""Lite-HRNet ("Lite-HRNet: A Lightweight High-Resolution Network", arXiv 2104.06403)."""

from functools import partial

from ..backbones.litehrnet import LiteHRNet
from ..pose import CROP, LARGE_CROP, mmpose
from ..variant import Variant
from .simplebaseline import SIMPLEBASELINE


def _variant(layers: str, modules: tuple[int, int, int], file: str, ap: float) -> Variant:
    """A Lite-HRNet and one convolution."""
    large = layers.endswith("_384")
    return SIMPLEBASELINE.derive(
        f"litehrnet{layers}",
        f"a light HRNet: Lite-HRNet-{layers.removesuffix('_384')}" + (", crops of 384x288" if large else ""),
        mmpose(f"top_down/litehrnet/litehrnet{file}", ap),
        build={"backbone": partial(LiteHRNet, modules), "widths": ()},
        paper="arXiv 2104.06403",
        input=LARGE_CROP if large else CROP,
    )


_SMALL, _DEEP = (2, 4, 2), (3, 8, 3)
VARIANTS = (
    _variant("18", _SMALL, "18_coco_256x192-6bace359_20211230", 64.2),
    _variant("18_384", _SMALL, "18_coco_384x288-8d4dac48_20211230", 67.6),
    _variant("30", _DEEP, "30_coco_256x192-4176555b_20210626", 67.6),
    _variant("30_384", _DEEP, "30_coco_384x288-a3aef5c4_20210626", 70.0),
)
ALIASES = {"litehrnet": "litehrnet18", "td_litehrnet18": "litehrnet18"}
