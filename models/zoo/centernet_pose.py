"""CenterNet's poses ("Objects as Points", arXiv 1904.07850), also as centerpose publishes them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Centres
from ...deploy.inputs.resize import Pad, Resize
from ..backbones.dla import DLA34
from ..backbones.hrnet import HRNet
from ..backbones.resnet import R18, R50, TINY, Backbone
from ..detector import HeatmapDetector
from ..heads.center_pose import CenterPoseHead
from ..necks.deconv import DeconvNeck, PlainDeconvNeck
from ..necks.dla import DLANeck
from ..skeletons import COCO_PERSON
from ..variant import KEEP_BGR, Published, Variant, padded
from . import centernet


def build(
    keypoints: int, *, backbone: Backbone = R18, neck: Callable[[int], nn.Module] = PlainDeconvNeck, channels: int = 256
) -> nn.Module:
    """A ResNet and transposed convolutions up to `channels`."""
    trunk = backbone()
    return HeatmapDetector(trunk, neck(trunk.channels[-1]), CenterPoseHead(keypoints, channels))


def build_dla(keypoints: int) -> nn.Module:
    """DLA-34, with deformable convolutions in the upsampling."""
    trunk = DLA34()
    return HeatmapDetector(trunk, DLANeck(trunk.channels), CenterPoseHead(keypoints, trunk.channels[2], 256))


def build_hrnet(keypoints: int, *, width: int = 32) -> nn.Module:
    """The finest level of an HRNet, which needs no upsampling."""
    return HeatmapDetector(HRNet(width), None, CenterPoseHead(keypoints, width))


_HEADS = {
    **centernet.HEADS,
    "^hps.": "bbox_head.displacement_head.",
    "^hm_hp.": "bbox_head.keypoint_head.",
    "^hp_offset.": "bbox_head.keypoint_offset_head.",
}
_PLAIN = {**centernet.TRUNK, "^deconv_layers.": "neck.deconv_layers.", **_HEADS}
_DEFORMABLE = partial(DeconvNeck, deformable=True, bias=True)
_DLA = {**centernet.DLA, **_HEADS}
_DLA_UNUSED = ("base.level3.project.", "base.level4.project.", "base.fc.")
# The checkpoints of both repositories lie where nothing can be fetched from; AP without flips and with them.
_CENTERNET = Variant(
    name="centernet_pose_res18",
    paper="arXiv 1904.07850",
    summary="people as centres with displacements to their keypoints: ResNet-18",
    build=build,
    form=Centres(),
    classes_key="bbox_head.keypoint_head.2.weight",
    input=padded(KEEP_BGR, multiple=32, rule="or+1"),
    suppress=Suppress("none"),
    labels=("person",),
    mapping=_PLAIN,
    skeleton=COCO_PERSON,
)
_CENTERPOSE = _CENTERNET.derive(
    "centerpose_res50",
    "CenterNet's poses by centerpose: ResNet-50",
    Published(None, 54.5),
    build={"backbone": R50},
    form=Centres(flip=True, scored_by="peak"),
    input=replace(
        KEEP_BGR,
        place=Resize(
            (512, 512), inverse="factor", filter="warp", pad=Pad((512, 512), multiple=32, centered=True, value=0.0)
        ),
    ),
    mapping={"^backbone_model.": "", "^head_model.": "", **_PLAIN},
)

VARIANTS = (
    _CENTERNET,
    _CENTERNET.derive(
        "centernet_pose_resdcn18",
        "CenterNet's poses: ResNet-18, deformable on the way up",
        build={"neck": _DEFORMABLE, "channels": 64},
        mapping={**centernet.RESNET, **_HEADS},
    ),
    replace(
        _CENTERNET,
        name="centernet_pose_dla34",
        summary="CenterNet's poses: DLA-34, deformable on the way up",
        build=build_dla,
        published=Published(None, 58.9),
        mapping=_DLA,
        unused=_DLA_UNUSED,
    ),
    _CENTERPOSE,
    replace(
        _CENTERPOSE,
        name="centerpose_dla34",
        summary="CenterNet's poses by centerpose: DLA-34, deformable on the way up",
        build=build_dla,
        published=Published(None, 62.7),
        mapping={"^backbone_model.": "", "^head_model.": "", **_DLA},
        unused=_DLA_UNUSED,
    ),
    replace(
        _CENTERPOSE,
        name="centerpose_hrnet_w32",
        summary="CenterNet's poses by centerpose: HRNet-W32",
        build=build_hrnet,
        published=Published(None, 63.8),
        mapping={"^backbone_model.": "backbone.", "^head_model.": "", **_HEADS},
    ),
    _CENTERNET.derive(
        "centernet_pose_test",
        "tiny CenterNet for poses, for tests",
        build={"backbone": TINY, "neck": partial(PlainDeconvNeck, channels=(16, 16, 16)), "channels": 16},
        form=Centres(flip=True, scored_by="peak"),
    ),
)
ALIASES = {"centernet_pose": "centernet_pose_dla34", "centerpose": "centerpose_dla34"}
