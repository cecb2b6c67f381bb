"""Features of regions in configurations of second stages."""

from itertools import pairwise

from ..regions import RegionFeatures
from .parts import Neck
from .section import Section


def read_features(section: Section, neck: Neck, key: str = "bbox_roi_extractor") -> RegionFeatures:
    """Read the extractor of features of regions."""
    extractor = section.below(key)
    extractor.typed("SingleRoIExtractor")
    extractor.same("out_channels", neck.channels)
    strides = extractor.integers("featmap_strides")
    if strides != neck.strides[: len(strides)] or any(b != 2 * a for a, b in pairwise(strides)):
        extractor.refuse("featmap_strides", f"the first of {neck.strides}, each twice the one before")
    if not 1 <= len(strides) <= 5:
        extractor.refuse("featmap_strides", "1 to 5 strides")
    layer = extractor.below("roi_layer")
    layer.typed("RoIAlign")
    layer.fixed(pool_mode="avg")
    layer.training("use_torchvision")  # which does the same
    return RegionFeatures(
        len(strides),
        strides[0],
        layer.integer("output_size", most=64),
        max(0, layer.integer("sampling_ratio", 0, least=-1, most=16)),
        layer.flag("aligned", True),
        extractor.integer("finest_scale", 56),
    )
