"""Whole bodies with feet, face and hands ("Whole-Body Human Pose Estimation in the Wild", arXiv 2007.11858) by
HRNet and SimpleBaseline."""

from collections.abc import Mapping
from typing import Any

from ...deploy.forms import Heatmaps
from ..backbones.resnet import R50, R101, R152
from ..pose import CROP, LARGE_CROP, mmpose
from ..skeletons import WHOLE_BODY
from ..variant import Variant, spelled
from .hrnet import HRNET
from .simplebaseline import SIMPLEBASELINE


def _variant(of: Variant, on: str, build: Mapping[str, Any], file: str, ap: float) -> Variant:
    """A variant with mmpose's checkpoint and the AP of all keypoints together."""
    is_dark = "_dark" in on
    of_hrnet = of is HRNET
    return of.derive(
        f"wholebody_{'hrnet' if of_hrnet else 'simplebaseline'}_{on}",
        f"133 keypoints of the whole body: {spelled(on.replace('_dark', ''))}" + (", DARK" if is_dark else ""),
        mmpose(f"top_down/{'hrnet' if of_hrnet else 'resnet'}/{file}", ap),
        build=build,
        input=LARGE_CROP if on.endswith("_384") else CROP,
        form=Heatmaps("dark", shift=1.0) if is_dark else of.form,
        paper="arXiv 2007.11858",
        skeleton=WHOLE_BODY,
    )


_W32, _W48 = {"width": 32}, {"width": 48}
VARIANTS = (
    _variant(HRNET, "w32", _W32, "hrnet_w32_coco_wholebody_256x192-853765cd_20200918", 53.6),
    _variant(HRNET, "w32_384", _W32, "hrnet_w32_coco_wholebody_384x288-78cacac3_20200922", 58.6),
    _variant(HRNET, "w48", _W48, "hrnet_w48_coco_wholebody_256x192-643e18cb_20200922", 57.9),
    _variant(HRNET, "w48_384", _W48, "hrnet_w48_coco_wholebody_384x288-6e061c6a_20200922", 63.2),
    _variant(HRNET, "w32_dark", _W32, "hrnet_w32_coco_wholebody_256x192_dark-469327ef_20200922", 58.2),
    _variant(HRNET, "w48_dark_384", _W48, "hrnet_w48_coco_wholebody_384x288_dark-f5726563_20200918", 66.1),
    *(
        _variant(SIMPLEBASELINE, on, {"backbone": backbone}, f"res{depth}_coco_wholebody_{file}", ap)
        for on, depth, backbone, file, ap in (
            ("r50", 50, R50, "256x192-9e37ed88_20201004", 52.1),
            ("r50_384", 50, R50, "384x288-ce11e294_20201004", 57.4),
            ("r101", 101, R101, "256x192-7325f982_20201004", 53.1),
            ("r101_384", 101, R101, "384x288-6c137b9a_20201004", 59.8),
            ("r152", 152, R152, "256x192-5de8ae23_20201004", 54.8),
            ("r152_384", 152, R152, "384x288-eab8caa8_20201004", 61.0),
        )
    ),
)
ALIASES = {"wholebody": "wholebody_hrnet_w48_dark_384"}
