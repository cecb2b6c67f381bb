"""Associative embedding ("Associative Embedding: End-to-End Learning for Joint Detection and Grouping", arXiv
1611.05424) on an HRNet or a ResNet."""

from dataclasses import replace
from functools import partial

from ..backbones.resnet import R50, R101, R152, Backbone
from ..heads.associative import AssociativeHead
from ..pose import LARGE_WARP, OLD_HEAD, TAGS, TEST_WARP, WARP, bottom_up, mmpose
from ..variant import Variant, spelled
from . import hrnet, simplebaseline

_AE = bottom_up(
    name="ae_hrnet_w32_v0",
    paper="arXiv 1611.05424",
    summary="associative embedding, decoded as mmpose 0.x does: HRNet-W32",
    build=partial(hrnet.build, head=AssociativeHead),
    classes_key="head.final_layer.weight",
    published=mmpose("bottom_up/hrnet_w32_coco_512x512-bcb8c247_20200816", 65.4),
    mapping=hrnet.HRNET.mapping,
)
_UDP = replace(_AE, paper="arXiv 1911.07524", input=WARP.placed(spacing=True))
_RESNET = replace(_AE, build=partial(simplebaseline.build, head=AssociativeHead), mapping=OLD_HEAD)


def _resnet(on: str, backbone: Backbone, file: str, ap: float) -> Variant:
    return _RESNET.derive(
        f"ae_{on}",
        f"associative embedding: {spelled(on)}",
        mmpose(f"bottom_up/{file}", ap),
        build={"backbone": backbone},
        input=LARGE_WARP if on.endswith("_640") else WARP,
    )


VARIANTS = (
    _AE.derive(
        "ae_hrnet_w32",
        "keypoints of all people, and tags that group them: HRNet-W32",
        mmpose("bottom_up/hrnet_w32_coco_512x512-bcb8c247_20200816", 65.6),
        build={},
        form=replace(TAGS, rule="mmpose", people=30),
    ),
    _AE,
    _AE.derive(
        "ae_hrnet_w48",
        "associative embedding: HRNet-W48",
        mmpose("bottom_up/hrnet_w48_coco_512x512-cf72fcdf_20200816", 66.5),
        build={"width": 48},
    ),
    _UDP.derive(
        "ae_hrnet_w32_udp",
        "associative embedding with unbiased data processing: HRNet-W32",
        mmpose("bottom_up/hrnet_w32_coco_512x512_udp-91663bf9_20210220", 67.1),
        build={},
    ),
    _UDP.derive(
        "ae_hrnet_w48_udp",
        "associative embedding with unbiased data processing: HRNet-W48",
        mmpose("bottom_up/hrnet_w48_coco_512x512_udp-de08fd8c_20210222", 68.1),
        build={"width": 48},
    ),
    _resnet("r50", R50, "res50_coco_512x512-5521bead_20200816", 46.6),
    _resnet("r50_640", R50, "res50_coco_640x640-2046f9cb_20200822", 47.9),
    _resnet("r101", R101, "res101_coco_512x512-e0c95157_20200816", 55.4),
    _resnet("r152", R152, "res152_coco_512x512-364eb38d_20200822", 59.5),
    _AE.derive("ae_test", "tiny HRNet with associative embedding for tests", build=hrnet.TINY, input=TEST_WARP),
)
ALIASES = {"ae": "ae_hrnet_w32", "ae_res50_v0": "ae_r50"}
