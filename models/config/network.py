"""Build a network from a configuration: each part is looked up by its type, and reads its own keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense, Form
from ...deploy.inputs.network_inputs import NetworkInput, SizeInput
from ..detector import DenseDetector, HeatmapDetector
from ..final import FinalDetector
from ..necks.feature_maps import only_last
from ..pose import PoseNetwork, TwoViewNetwork
from ..shapes import shapes_only
from ..two_stage import TwoStageDetector
from .parts import Head, Neck, Trunk
from .registry import (
    BACKBONES,
    BOTTOM_UP_HEADS,
    DENSE_HEADS,
    HEATMAP_HEADS,
    HEATMAP_NECKS,
    NECKS,
    POSE_HEADS,
    POSE_NECKS,
    ROI_HEADS,
    RPN_HEADS,
    SECOND_NECKS,
)
from .section import Section, shown
from .text import ConfigError, UnknownNetworkError
from .thresholds import read_thresholds

T = TypeVar("T")

_DENSE = (
    *("SingleStageDetector", "RetinaNet", "FCOS", "ATSS", "GFL", "VFNet", "AutoAssign", "DDOD", "FOVEA", "FSAF"),
    *("LAD", "PAA", "RepPointsDetector", "RTMDet", "TOOD", "YOLOF", "YOLOV3", "YOLOX"),
)
_HEATMAP = ("CenterNet", "CornerNet")
_TWO_STAGES = (
    *("FasterRCNN", "MaskRCNN", "MaskScoringRCNN", "CascadeRCNN", "HybridTaskCascade", "CrowdDet"),
    *("GridRCNN", "TwoStageDetector"),
)
_DISTILLED = "KnowledgeDistillationSingleStageDetector"
TOP_DOWN, BOTTOM_UP = "TopdownPoseEstimator", "BottomupPoseEstimator"


@dataclass(frozen=True)
class Network:
    """A network that a configuration describes. The fields are those of `Variant` without images and labels.

    `classes` is the number of classes or keypoints in the configuration, and `size` (height, width) px the size of a
    pose network's crops or images.
    """

    name: str
    described: str
    build: Callable[[int], nn.Module]
    classes: int
    classes_key: str
    form: Form
    fusion: Fusion
    size: tuple[int, int] | None
    mapping: Mapping[str, str]
    unused: tuple[str, ...]
    beside_classes: int
    suppress: Suppress | None
    other_inputs: tuple[NetworkInput, ...] = ()
    links: int | None = None
    mirrors: tuple[int, ...] | None = None


def read_network(model: Section) -> Network:
    """Read the network under `model`, but not images and thresholds.

    Raises ConfigError for types and values that are not supported.
    """
    if model.type not in _NETWORKS:
        raise UnknownNetworkError(f"model.type is {shown(model.type)}; supported networks: {', '.join(_NETWORKS)}")
    network = _NETWORKS[model.type](model)
    try:
        with shapes_only():
            network.build(network.classes)
    except ValueError as error:  # from PyTorch, for example if groups do not divide the channels
        raise ConfigError(f"{model.path} makes no network ({error}); give the configuration that was trained") from None
    return network


def _dense(model: Section) -> Network:
    backbone, head_keys = _parts(model)
    model.training("teacher_config", "teacher_ckpt", "eval_teacher", "output_feature")
    model.training("teacher_backbone", "teacher_neck", "teacher_bbox_head")
    model.training("input_size", "size_multiplier", "random_size_range", "random_size_interval", "use_syncbn")
    trunk = _known(BACKBONES, backbone, "backbones")(backbone)
    neck = _neck(model, trunk)
    head = _known(DENSE_HEADS, head_keys, "dense heads")(head_keys, neck)
    if isinstance(head.form, Dense):
        head = replace(head, form=replace(head.form, floors=neck.floors))

    def build(classes: int) -> nn.Module:
        return DenseDetector(trunk.build(), neck.build(), head.build(classes), neck.levels)

    return _network(build, head_keys, trunk, backbone, head)


def _two_stage(model: Section) -> Network:
    backbone, rpn_keys, roi_keys = (model.below(key) for key in ("backbone", "rpn_head", "roi_head"))
    test = model.below("test_cfg")
    trunk = _known(BACKBONES, backbone, "backbones")(backbone)
    if "neck" in model or len(trunk.levels) > 1:
        neck = _neck(model, trunk)
    else:
        neck = Neck(nn.Identity, trunk.levels, trunk.channels[0], trunk.strides)
    rpn = _known(RPN_HEADS, rpn_keys, "heads of proposals")(rpn_keys, neck, test.below("rpn"))
    rcnn = test.below("rcnn")
    if "mask_head" in roi_keys:
        rcnn.fixed(mask_thr_binary=0.5)
    rcnn.training("mask_thr_binary")
    suppress, _ = read_thresholds(rcnn)
    head = _known(ROI_HEADS, roi_keys, "second stages")(roi_keys, neck, suppress)

    def build(classes: int) -> nn.Module:
        parts = trunk.build(), neck.build(), rpn(), head.build(classes), neck.levels
        if (final := head.final) is None:
            return TwoStageDetector(*parts)
        return FinalDetector(*parts, final_head=final.build(classes), features=final.features, rule=final.rule)

    return replace(_network(build, roi_keys, trunk, backbone, head), other_inputs=(SizeInput(),))


def _heatmap(model: Section) -> Network:
    backbone, head_keys = _parts(model)
    read_head = _known(HEATMAP_HEADS, head_keys, "heads of heatmaps")
    trunk = _known(BACKBONES, backbone, "backbones")(backbone)
    if (neck_keys := model.section("neck")) is None:
        neck = Neck(nn.Identity, trunk.levels, trunk.channels[-1], trunk.strides)
    else:
        neck = _known(HEATMAP_NECKS, neck_keys, "necks of heatmaps")(neck_keys, trunk)
    head = read_head(head_keys, neck)

    def build(classes: int) -> nn.Module:
        return HeatmapDetector(trunk.build(), None if neck_keys is None else neck.build(), head.build(classes))

    return _network(build, head_keys, trunk, backbone, head)


def _parts(model: Section) -> tuple[Section, Section]:
    """The backbone and the head, which gets `test_cfg`."""
    backbone, head = model.below("backbone"), model.below("bbox_head")
    if (test := model.section("test_cfg")) is not None:
        head.lend("test_cfg", test)
    return backbone, head


def _neck(model: Section, trunk: Trunk) -> Neck:
    """The neck, or the necks one behind the other."""
    first, *others = model.one_or_more("neck")
    neck = _known(NECKS, first, "necks")(first, trunk)
    for section in others:
        neck = _known(SECOND_NECKS, section, "necks behind another")(section, neck)
    return neck


def _top_down(model: Section) -> Network:
    return _pose(model, model.below("head"), POSE_HEADS, "top-down heads")


def _bottom_up(model: Section) -> Network:
    head = model.below("head")
    if (test := model.section("test_cfg")) is not None:
        head.lend("test_cfg", test)
    return _pose(model, head, BOTTOM_UP_HEADS, "bottom-up heads")


def _pose(
    model: Section, head_keys: Section, heads: Mapping[str, Callable[[Section, Trunk], Head]], what: str
) -> Network:
    backbone = model.below("backbone").with_defaults(_scope_="mmpose")
    trunk = _known(BACKBONES, backbone, "backbones")(backbone)
    if (neck := model.section("neck")) is not None:
        trunk = _known(POSE_NECKS, neck, "necks of poses")(neck, trunk)
    trunk = only_last(trunk)
    head = _known(heads, head_keys, what)(head_keys, trunk)

    def build(keypoints: int) -> nn.Module:
        kind = PoseNetwork if head.mirrors is None else TwoViewNetwork
        return kind(trunk.build(), head.build(keypoints), trunk.neck and trunk.neck())

    return _network(build, head_keys, trunk, backbone, head)


_NETWORKS: dict[str, Callable[[Section], Network]] = {
    **dict.fromkeys((*_DENSE, _DISTILLED), _dense),
    **dict.fromkeys(_HEATMAP, _heatmap),
    **dict.fromkeys(_TWO_STAGES, _two_stage),
    TOP_DOWN: _top_down,
    BOTTOM_UP: _bottom_up,
}


def _network(
    build: Callable[[int], nn.Module], head_keys: Section, trunk: Trunk, backbone: Section, head: Head
) -> Network:
    depth = backbone.integer("depth") if "depth" in backbone else ""
    return Network(
        name=f"{head_keys.type.removesuffix('Head')}_{backbone.type}{depth}".lower(),
        described=f"{head_keys.type} on {backbone.type}{f'-{depth}' if depth else ''}",
        build=build,
        classes=head.classes,
        classes_key=head.classifier,
        form=head.form,
        fusion=head.fusion,
        size=head.size,
        mapping={**_OLD_NAMES, **trunk.mapping, **head.mapping},
        unused=(*trunk.unused, *head.unused, *_TRAINING),
        beside_classes=head.beside_classes,
        suppress=head.suppress,
        links=head.links,
        mirrors=head.mirrors,
    )


_TRAINING = ("bbox_head.loss_",)
"""Statistics of losses, such as GHM's."""
_OLD_NAMES = {".conv2_offset.": ".conv2.conv_offset."}
"""Names of deformable layers in mmdet 1.x."""


def _known(table: Mapping[str, T], section: Section, what: str) -> T:
    """The reader of a section of this type. Raises ConfigError with the supported types."""
    if section.type not in table:
        raise ConfigError(f"{section.path}.type is {shown(section.type)}; supported {what}: {', '.join(table)}")
    return table[section.type]
