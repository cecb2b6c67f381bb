"""CrowdDet (Chu et al., "Detection in Crowded Scenes: One Proposal, Multiple Predictions", arXiv 2003.09163), in
OpenMMLab's form."""

from dataclasses import replace

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.resnet import R50, Backbone
from ..heads.crowd import PREDICTIONS, CrowdHead
from ..heads.rpn import RPNHead
from ..proposals import ProposalRule
from ..regions import RegionFeatures
from ..two_stage import RoIHead, TwoStageDetector
from ..variant import BGR, Published, padded
from .faster_rcnn import ANCHORS, FASTER_RCNN, POOLED, SMALL

_ANCHORS = replace(ANCHORS, ratios=(1.0, 2.0, 3.0), shift=8.0)
_RULE = ProposalRule(top_k=1200, clips=False, least=2.0)


def build(
    classes: int,
    *,
    backbone: Backbone = R50,
    channels: int = 256,
    width: int = 1024,
    rule: ProposalRule = _RULE,
    refines: bool = False,
) -> nn.Module:
    """A CrowdDet whose box head has layers of `width`, and with `refines` one more that corrects its predictions."""
    trunk, features = backbone(), RegionFeatures()
    rpn = RPNHead(channels, anchors=_ANCHORS, rule=rule, softmax=True)
    head = CrowdHead(classes, channels, size=features.size, width=width, refines=refines)
    neck = POOLED(trunk.channels, channels, upsample="bilinear")
    return TwoStageDetector(trunk, neck, rpn, RoIHead(features, head))


def _published(name: str, suffix: str) -> Published:
    """OpenMMLab's checkpoint; its authors state figures on CrowdHuman."""
    file = f"crowddet-rcnn_{name}r50_fpn_8xb2-30e_crowdhuman"
    return Published(f"https://download.openmmlab.com/mmdetection/v3.0/crowddet/{file}/{file}_{suffix}.pth")


_CROWDDET = replace(
    FASTER_RCNN,
    name="crowddet_r50",
    paper="arXiv 2003.09163",
    summary="people in crowds: two in each proposal",
    build=build,
    form=Proposed(each=PREDICTIONS),
    classes_key="roi_head.bbox_head.fc_cls.0.weight",
    input=padded(BGR, multiple=64).placed(size=(800, 1400)),
    suppress=Suppress("set", iou=0.5),
    labels=("person",),
    published=_published("", "20221023_174954-dc319c2d"),
)

VARIANTS = (
    _CROWDDET,
    _CROWDDET.derive(
        "crowddet_r50_refine",
        "CrowdDet with refined predictions",
        _published("refine_", "20221024_215917-45602806"),
        build={"refines": True},
    ),
    _CROWDDET.derive(
        "crowddet_test",
        "tiny CrowdDet for tests",
        build=SMALL | {"refines": True, "rule": replace(_RULE, top_k=100, count=100)},
    ),
)
ALIASES = {"crowddet": "crowddet_r50"}
