"""Faster R-CNN (arXiv 1506.01497) and Mask R-CNN (arXiv 1703.06870) as torchvision.models.detection trains them.

The background is the first class. A checkpoint has no settings besides its weights, so images have torchvision's usual
size.
"""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.forms import Graph
from ..anchors import FittedAnchors
from ..backbones.resnet import R50, Backbone
from ..final import USUAL as FINAL
from ..final import FinalDetector
from ..heads.bbox import BoxHead
from ..heads.mask import KeypointMapHead, MaskHead
from ..heads.rpn import RPNHead
from ..labels import COCO_IDS
from ..proposals import USUAL, ProposalRule
from ..regions import RegionFeatures
from ..skeletons import COCO_PERSON
from ..two_stage import RoIHead, TwoStageDetector
from ..variant import RGB, Published
from .faster_rcnn import FASTER_RCNN, POOLED, SMALL
from .torchvision import RESIZE, pyramid, trunk

LABELS = COCO_IDS[1:]
ANCHORS = FittedAnchors(((32,), (64,), (128,), (256,), (512,)), (4, 8, 16, 32, 64))


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = USUAL,
    second: bool = False,
    masks: bool = False,
    keypoints: int = 0,
    map_width: int = 512,
) -> nn.Module:
    """torchvision's Faster R-CNN, or with `masks` its Mask R-CNN, or with a number of `keypoints` its Keypoint R-CNN.

    The `second` version has norms in its neck, and more convolutions in its heads.
    """
    body = trunk(backbone, frozen=not second and classes == (1 if keypoints else len(LABELS)))
    norm = "bn" if second else None
    features = RegionFeatures(sampling=2, aligned=False)
    depth, convs = (1, 4) if second else (2, 0)
    head = BoxHead(classes, channels, size=features.size, width=width, depth=depth, convs=convs, background_first=True)
    parts = (
        body,
        POOLED(body.channels, channels, lateral_norm=norm, norm=norm),
        RPNHead(channels, anchors=ANCHORS, rule=rule, depth=2 if second else 1),
        RoIHead(features, head),
    )
    if not masks and not keypoints:
        return TwoStageDetector(*parts)
    final_head = (
        MaskHead(classes, channels, normed=second, background_first=True)
        if masks
        else KeypointMapHead(keypoints, channels, width=map_width)
    )
    return FinalDetector(*parts, final_head=final_head, features=replace(features, size=14))


_RPN = {
    "^rpn.head.cls_logits.": "rpn_head.rpn_cls.",
    "^rpn.head.bbox_pred.": "rpn_head.rpn_reg.",
}
_BOXES = {
    "^roi_heads.box_predictor.cls_score.": "roi_head.bbox_head.fc_cls.",
    "^roi_heads.box_predictor.bbox_pred.": "roi_head.bbox_head.fc_reg.",
}
FIRST = {
    **pyramid(4),
    "^rpn.head.conv.0.0.": "rpn_head.rpn_conv.",
    "^rpn.head.conv.": "rpn_head.rpn_conv.",  # before torchvision 0.13
    **_RPN,
    "^roi_heads.box_head.fc6.": "roi_head.bbox_head.shared_fcs.0.",
    "^roi_heads.box_head.fc7.": "roi_head.bbox_head.shared_fcs.1.",
    **_BOXES,
}
SECOND = {
    **{
        f"^backbone.fpn.{theirs}_blocks.{i}.1.": f"neck.{ours}_convs.{i}.bn."
        for theirs, ours in (("inner", "lateral"), ("layer", "fpn"))
        for i in range(4)
    },
    **pyramid(4),
    **{f"^rpn.head.conv.{i}.0.": f"rpn_head.rpn_conv.{i}.conv." for i in range(2)},
    **_RPN,
    **{
        f"^roi_heads.box_head.{i}.{j}.": f"roi_head.bbox_head.shared_convs.{i}.{part}."
        for i in range(4)
        for j, part in enumerate(("conv", "bn"))
    },
    "^roi_heads.box_head.5.": "roi_head.bbox_head.shared_fcs.0.",
    **_BOXES,
}

_FASTER = replace(
    FASTER_RCNN,
    name="faster_rcnn_r50_torchvision",
    summary="Faster R-CNN of torchvision: ResNet-50",
    build=build,
    input=replace(RGB, place=RESIZE),
    labels=LABELS,
    published=Published("https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0),
    mapping=FIRST,
)

_MASKS = {
    "^roi_heads.mask_predictor.conv5_mask.": "final_head.upsample.",
    "^roi_heads.mask_predictor.mask_fcn_logits.": "final_head.conv_logits.",
}
FIRST_MASKS = {
    **FIRST,
    **{f"^roi_heads.mask_head.{i}.0.": f"final_head.convs.{i}.conv." for i in range(4)},
    **{f"^roi_heads.mask_head.mask_fcn{i + 1}.": f"final_head.convs.{i}.conv." for i in range(4)},  # before 0.13
    **_MASKS,
}
SECOND_MASKS = {
    **SECOND,
    **{
        f"^roi_heads.mask_head.{i}.{j}.": f"final_head.convs.{i}.{part}."
        for i in range(4)
        for j, part in enumerate(("conv", "bn"))
    },
    **_MASKS,
}
_MASK = replace(
    _FASTER,
    name="mask_rcnn_r50_torchvision",
    paper="arXiv 1703.06870",
    summary="Mask R-CNN of torchvision: ResNet-50",
    build=partial(build, masks=True),
    form=Graph(paste="whole"),
    suppress=replace(_FASTER.suppress, max_det=FINAL.count),
    published=Published("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 37.9),
    mapping=FIRST_MASKS,
)
_KEYPOINTS = replace(
    _MASK,
    name="keypoint_rcnn_r50_torchvision",
    summary="Keypoint R-CNN of torchvision, for the keypoints of people: ResNet-50",
    build=partial(build, keypoints=len(COCO_PERSON.keypoints)),
    form=Graph(),
    labels=("person",),
    skeleton=COCO_PERSON,
    published=Published("https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth", 54.6),
    mapping={
        **FIRST,
        **{f"^roi_heads.keypoint_head.{2 * i}.": f"final_head.convs.{i}.conv." for i in range(8)},
        "^roi_heads.keypoint_predictor.kps_score_lowres.": "final_head.upsample.",
    },
)

VARIANTS = (
    _FASTER,
    _FASTER.derive(
        "faster_rcnn_r50_torchvision_v2",
        "Faster R-CNN of torchvision, second version: ResNet-50",
        Published("https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 46.7),
        build={"second": True},
        mapping=SECOND,
    ),
    _FASTER.derive("faster_rcnn_torchvision_test", "tiny Faster R-CNN of torchvision for tests", build=SMALL),
    _MASK,
    _MASK.derive(
        "mask_rcnn_r50_torchvision_v2",
        "Mask R-CNN of torchvision, second version: ResNet-50",
        Published("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 47.4),
        build={"second": True},
        mapping=SECOND_MASKS,
    ),
    _MASK.derive("mask_rcnn_torchvision_test", "tiny Mask R-CNN of torchvision for tests", build=SMALL),
    _KEYPOINTS,
    _KEYPOINTS.derive(
        "keypoint_rcnn_torchvision_test",
        "tiny Keypoint R-CNN of torchvision for tests",
        build={**SMALL, "map_width": 32},
    ),
)
ALIASES: dict[str, str] = {}
