"""CenterNet ("Objects as Points", arXiv 1904.07850)."""

from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Peaks
from ..backbones import hourglass
from ..backbones.dla import DLA34
from ..backbones.resnet import ResNet
from ..detector import HeatmapDetector
from ..heads.center import CenterHead
from ..labels import COCO
from ..necks.deconv import DeconvNeck
from ..necks.dla import DLANeck
from ..variant import KEEP_BGR, KEEP_RGB, Published, Variant, openmmlab, padded


def build(
    classes: int,
    *,
    depth: int,
    width: int = 64,
    channels: tuple[int, int, int] = (256, 128, 64),
    deformable: bool = False,
    bias: bool = False,
) -> nn.Module:
    """A CenterNet on a ResNet. `deformable` and `bias` apply to the convolutions between the upsampling steps."""
    backbone = ResNet(depth, width=width)
    neck = DeconvNeck(backbone.channels[-1], channels, deformable=deformable, bias=bias)
    return HeatmapDetector(backbone, neck, CenterHead(classes, channels[-1]))


def build_dla(classes: int, *, channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512), head: int = 256) -> nn.Module:
    """A CenterNet on DLA-34, with deformable convolutions in the upsampling."""
    return HeatmapDetector(DLA34(channels), DLANeck(channels), CenterHead(classes, channels[2], head))


def build_hourglass(
    classes: int,
    *,
    channels: tuple[int, ...] = (256, 256, 384, 384, 384, 512),
    blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 4),
) -> nn.Module:
    """A CenterNet on two stacked hourglasses, which need no upsampling."""
    backbone = hourglass.HourglassNet(channels, blocks)
    return HeatmapDetector(backbone, None, CenterHead(classes, channels[0], channels[0]))


_CENTERNET = Variant(
    name="centernet_r18",
    paper="arXiv 1904.07850",
    summary="objects as the peaks of a heatmap of centres, without NMS; ResNet-18",
    build=partial(build, depth=18),
    form=Peaks(),
    classes_key="bbox_head.heatmap_head.2.weight",
    input=padded(KEEP_RGB, multiple=32, rule="or+1", value=0.0),
    suppress=Suppress("none"),
    labels=COCO,
    published=openmmlab("centernet", "centernet_resnet18_140e_coco", "_20210705_093630-bb5b3bf7", 25.9),
)

HEADS = {"^hm.": "bbox_head.heatmap_head.", "^wh.": "bbox_head.wh_head.", "^reg.": "bbox_head.offset_head."}
TRUNK = {f"^{part}.": f"backbone.{part}." for part in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")}
# Their upsampling is a list in which a ReLU follows every two of our parts.
RESNET = {
    **TRUNK,
    **{f"^deconv_layers.{3 * i}.": f"neck.deconv_layers.{i}.conv." for i in range(6)},
    **{f"^deconv_layers.{3 * i + 1}.": f"neck.deconv_layers.{i}.bn." for i in range(6)},
    "conv_offset_mask": "conv_offset",
    **HEADS,
}
DLA = {
    "^base.": "backbone.",
    "^dla_up.": "neck.dla_up.",
    "^ida_up.": "neck.ida_up.",
    ".actf.0.": ".bn.",
    "conv_offset_mask": "conv_offset",
    **HEADS,
}
AUTHORS = replace(
    _CENTERNET,
    name="centernet_resdcn18",
    summary="CenterNet by its authors: ResNet-18, deformable on the way up",
    build=partial(build, depth=18, deformable=True, bias=True),
    input=padded(KEEP_BGR, multiple=32, rule="or+1"),
    published=Published(None, 28.1),  # theirs lie where nothing can be fetched from; AP without flips
    mapping=RESNET,
)

VARIANTS = (
    _CENTERNET,
    _CENTERNET.derive(
        "centernet_r18_dcnv2",
        "CenterNet on ResNet-18, deformable on the way up",
        openmmlab("centernet", "centernet_resnet18_dcnv2_140e_coco", "_20210702_155131-c8cd631f", 29.5),
        build={"deformable": True},
    ),
    AUTHORS,
    AUTHORS.derive(
        "centernet_resdcn101",
        "CenterNet by its authors: ResNet-101, deformable on the way up",
        Published(None, 34.6),
        build={"depth": 101},
    ),
    replace(
        AUTHORS,
        name="centernet_dla34",
        summary="CenterNet by its authors: DLA-34, deformable on the way up",
        published=Published(None, 37.4),
        build=build_dla,
        mapping=DLA,
        unused=("base.level3.project.", "base.level4.project.", "base.fc."),
    ),
    replace(
        AUTHORS,
        name="centernet_hg104",
        summary="CenterNet by its authors: Hourglass-104",
        published=Published(None, 40.3),
        build=build_hourglass,
        input=padded(KEEP_BGR, rule="or+1"),
        mapping={
            **hourglass.AUTHORS,
            **{f"{theirs}1.0.conv.": f"{ours}0." for theirs, ours in HEADS.items()},
            **{f"{theirs}1.1.": f"{ours}2." for theirs, ours in HEADS.items()},
        },
        unused=("hm.0.", "wh.0.", "reg.0."),
    ),
    _CENTERNET.derive(
        "centernet_test",
        "tiny CenterNet for tests",
        build={"width": 8, "channels": (32, 16, 16), "deformable": True},
    ),
)
ALIASES = {"centernet": "centernet_r18_dcnv2"}
