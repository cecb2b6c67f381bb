"""CentripetalNet ("Pursuing High-quality Keypoint Pairs for Object Detection", arXiv 2003.09119)."""

from dataclasses import replace
from functools import partial

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Centripetal
from ..backbones import hourglass
from ..heads.centripetal import DOUBLE, SINGLE, CentripetalHead
from ..heads.corner import last_stack
from ..labels import COCO
from ..variant import KEEP_RGB, Variant, openmmlab
from . import cornernet

build = partial(cornernet.build, head=CentripetalHead)
"""A CentripetalNet with only the heads of the last stack, since the others are for training."""

_AT = ("tl", "br")
# The authors' and OpenMMLab's names of a corner's branches.
_BRANCHES = {"heat": "heat", "off": "off", "off_c": "guiding_shift", "off_c_2": "centripetal_shift"}
_SINGLE = {"pool": "pool", "offset": "dcn_offset.conv", "fadp": "feat_adaption"}
_MAPPING, _UNUSED = last_stack(2, SINGLE, DOUBLE)

_OPENMMLAB = Variant(
    name="centripetalnet_hg104",
    paper="arXiv 2003.09119",
    summary="pairs of corners that point at the same centre; Hourglass-104",
    build=build,
    form=Centripetal(),
    classes_key="bbox_head.tl_heat.1.conv.weight",
    input=KEEP_RGB,
    suppress=Suppress("gaussian", iou=0.5),
    labels=COCO,
    # The AP is with --flip, which is off by default in OpenMMLab's test.
    published=openmmlab(
        "centripetalnet", "centripetalnet_hourglass104_mstest_16x6_210e_coco", "_20200915_204804-3ccc61e5", 44.8
    ),
    mapping=_MAPPING,
    unused=_UNUSED,
)

_TRUNK = {theirs.replace("^", "^backbone."): ours for theirs, ours in hourglass.AUTHORS.items()}

VARIANTS = (
    _OPENMMLAB,
    replace(
        _OPENMMLAB,
        name="centripetalnet_hg104_authors",
        summary="CentripetalNet by its authors: Hourglass-104",
        # Their central regions are wider for small boxes, and centres in one may be any distance apart.
        form=Centripetal(flip=True, shrink=(2.1, 2.4), spread=1.0),
        input=replace(KEEP_RGB, color="bgr", mean=KEEP_RGB.mean[::-1], std=KEEP_RGB.std[::-1]),
        suppress=Suppress("gaussian", iou=0.5, sigma=0.7, inclusive=True),
        published=None,  # theirs lies where nothing can be fetched from
        mapping={
            "backbone.hg_modules.": "backbone.kps.",
            **_TRUNK,
            **{f"^bbox_head.{at}_{a}.": f"bbox_head.{at}_{b}." for at in _AT for a, b in (_BRANCHES | _SINGLE).items()},
            **{f"_{name}.1.": f"_{name}.1.conv." for name in _BRANCHES.values()},
            **cornernet.POOLS,
        },
        unused=("bbox_head.mid_", "bbox_head.convs.", "bbox_head.conv_logits."),
    ),
    replace(
        _OPENMMLAB,
        name="centripetalnet_test",
        summary="tiny CentripetalNet for tests",
        build=partial(build, channels=(16, 16, 24), blocks=(1, 1, 1), head=partial(CentripetalHead, pooled=8)),
        published=None,
        mapping={},
        unused=(),
    ),
)
ALIASES = {"centripetalnet": "centripetalnet_hg104"}
