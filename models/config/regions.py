"""Keys that configurations of second stages share."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Proposed
from ..backbones.resnet import ResNet
from ..blocks import renorm
from ..final import FinalRoIHead, FinalRule
from ..heads.bbox import BoxHead, ClassHead
from ..heads.cascade import CascadeRoIHead
from ..heads.crowd import CrowdHead
from ..heads.double import DoubleHead, DoubleRoIHead
from ..heads.grid import NORM as GRID_NORM
from ..heads.grid import GridHead
from ..heads.sabl_box import SABLBoxHead
from ..regions import RegionFeatures, StageFeatures
from ..shapes import shapes_only
from ..two_stage import RoIHead
from .dense import read_deltas
from .extractor import read_features
from .masks import with_mask, with_masks
from .norms import read_norm, trunk_norm
from .parts import Head, Neck
from .section import Section
from .text import ConfigError

_STDS = (0.1, 0.1, 0.2, 0.2)


def standard(section: Section, neck: Neck, suppress: Suppress) -> Head:
    """OpenMMLab's StandardRoIHead and MaskScoringRoIHead."""
    features = read_features(section, neck)
    head = section.below("bbox_head")
    if (shared := section.section("shared_head")) is not None:
        return _after_last_stage(shared, head, neck, features, suppress)
    build, classes = _read_box_head(head, neck, features)
    found = _head(lambda count: RoIHead(features, build(count)), classes, "roi_head.bbox_head", suppress)
    found = _by_sides(found) if head.type == "SABLHead" else found
    return with_mask(section, neck, suppress, found)


def _after_last_stage(shared: Section, head: Section, neck: Neck, features: RegionFeatures, suppress: Suppress) -> Head:
    """A head on regions that pass a ResNet's last stage first."""
    backbone = _read_last_stage(shared)
    with shapes_only():
        channels = backbone().channels[-1]
    if neck.channels * 2 != channels:
        shared.refuse("depth", f"that of a backbone whose last level has {channels // 2} channels")
    head.typed("BBoxHead")
    classes, stds, agnostic = _read_boxes(head, channels, features.size // 2, averages=True)

    def build(count: int) -> RoIHead:
        own = BoxHead(count, channels, width=None, stds=stds, agnostic=agnostic)
        return RoIHead(StageFeatures(features, backbone().layer4), own)

    found = _head(build, classes, "roi_head.bbox_head", suppress)
    return replace(found, mapping={"^roi_head.shared_head.": "roi_head.features."})


def _read_last_stage(section: Section) -> Callable[[], ResNet]:
    """Read a ResLayer that is a ResNet's last stage: a builder of a network with that stage."""
    section.typed("ResLayer")
    section.fixed(stage=3, stride=2, dilation=1, dcn=None)
    depth = section.choice("depth", {depth: depth for depth in (50, 101, 152)})
    style = section.choice("style", {"pytorch": "pytorch", "caffe": "caffe"}, "pytorch")
    norm = trunk_norm(section)
    return lambda: renorm(ResNet(depth, style=style), norm)


def grid(section: Section, neck: Neck, suppress: Suppress) -> Head:
    """OpenMMLab's GridRoIHead."""
    features, head = read_features(section, neck), section.below("bbox_head")
    head.typed("Shared2FCBBoxHead")
    width = head.integer("fc_out_channels", 1024)
    classes, _, _ = _read_boxes(head, neck.channels, features.size, regresses=False)
    finer, points = read_features(section, neck, "grid_roi_extractor"), section.below("grid_head")
    points.typed("GridHead")
    points.same("in_channels", neck.channels, 256)
    points.same("roi_feat_size", finer.size, 14)
    points.fixed(grid_points=9, conv_kernel_size=3, deconv_kernel_size=4, class_agnostic=False, conv_cfg=None)
    points.training("loss_grid")
    norm = read_norm(points, GRID_NORM)
    if norm is None or norm.kind != "gn":
        points.refuse("norm_cfg", "GN")
    if suppress.kind != "hard" or suppress.class_agnostic:
        raise ConfigError("model.test_cfg.rcnn.nms is not plain NMS of each class, which a grid of points follows")
    own = points.integer("point_feat_channels", 64), points.integer("num_convs", 8, least=1, most=64)

    def build(count: int) -> FinalRoIHead:
        first = ClassHead(count, neck.channels, size=features.size, width=width)
        last = GridHead(neck.channels, width=own[0], convs=own[1], norm=norm)
        rule = FinalRule(suppress.conf, suppress.iou, min(suppress.max_det, FinalRule.top_k))
        return FinalRoIHead(features, first, finer, last, rule)

    found = _head(build, classes, "roi_head.bbox_head", replace(suppress, kind="none"))
    return replace(found, form=Proposed(clip="none"), mapping={"^roi_head.grid_head.": "roi_head.final_head."})


def hybrid(section: Section, neck: Neck, suppress: Suppress) -> Head:
    """OpenMMLab's HybridTaskCascadeRoIHead without semantic segmentation."""
    section.fixed(interleaved=True, mask_info_flow=True)
    section.training("semantic_fusion")
    return cascade(section, neck, suppress, flow=True)


def cascade(section: Section, neck: Neck, suppress: Suppress, *, flow: bool = False) -> Head:
    """OpenMMLab's CascadeRoIHead; `flow` is that of `with_masks`."""
    section.training("stage_loss_weights")
    features = read_features(section, neck)
    heads = section.sections("bbox_head")
    section.same("num_stages", len(heads))
    builds, counts = zip(*(_read_box_head(head, neck, features) for head in heads), strict=True)
    for head in heads:
        head.same("num_classes", counts[0])

    by_sides = heads[-1].type == "SABLHead"
    if any((head.type == "SABLHead") != by_sides for head in heads):
        section.refuse("bbox_head", "heads of one type")

    def build(classes: int) -> CascadeRoIHead:
        return CascadeRoIHead(features, [each(classes) for each in builds], inclusive=by_sides)

    found = _head(build, counts[0], "roi_head.bbox_head.0", suppress)
    found = _by_sides(found) if by_sides else found
    return with_masks(section, neck, suppress, found, len(heads), flow=flow)


def double(section: Section, neck: Neck, suppress: Suppress) -> Head:
    """OpenMMLab's DoubleHeadRoIHead."""
    features, factor = read_features(section, neck), section.factor("reg_roi_scale_factor")
    head = section.below("bbox_head")
    head.typed("DoubleConvFCBBoxHead")
    head.fixed(num_fcs=2, norm_cfg={"type": "BN"})
    width = head.integer("conv_out_channels", 1024)
    head.same("fc_out_channels", width, 1024)
    convs = head.integer("num_convs", most=64)
    classes, stds, agnostic = _read_boxes(head, neck.channels, features.size)

    def build(count: int) -> DoubleRoIHead:
        own = DoubleHead(
            count, neck.channels, size=features.size, width=width, convs=convs, stds=stds, agnostic=agnostic
        )
        return DoubleRoIHead(features, own, factor)

    return _head(build, classes, "roi_head.bbox_head", suppress)


def multi_instance(section: Section, neck: Neck, suppress: Suppress) -> Head:
    """OpenMMLab's MultiInstanceRoIHead."""
    features, head = read_features(section, neck), section.below("bbox_head")
    head.typed("MultiInstanceBBoxHead")
    head.fixed(num_instance=2, num_shared_fcs=2, num_classes=1, reg_class_agnostic=False)
    classes, stds, _ = _read_boxes(head, neck.channels, features.size)
    build = partial(
        CrowdHead,
        channels=neck.channels,
        size=features.size,
        width=head.integer("fc_out_channels", 1024),
        stds=stds,
        refines=head.flag("with_refine", False),
    )
    own = _head(lambda count: RoIHead(features, build(count)), classes, "roi_head.bbox_head", suppress)
    form, rule = Proposed(each=2), replace(suppress, kind="set")
    return replace(own, classifier="roi_head.bbox_head.fc_cls.0.weight", form=form, suppress=rule)


def _head(build: Callable[[int], nn.Module], classes: int, at: str, suppress: Suppress) -> Head:
    return Head(build, classes, f"{at}.fc_cls.weight", Proposed(), beside_classes=1, suppress=suppress)


def _by_sides(head: Head) -> Head:
    """A head with boxes of SABL, which end at the last pixel, and whose confidence multiplies the scores."""
    return replace(head, form=Proposed(clip="last_pixel"), fusion=Fusion(1.0, 1.0))


def _read_box_head(head: Section, neck: Neck, features: RegionFeatures) -> tuple[Callable[[int], nn.Module], int]:
    """Read a Shared2FCBBoxHead or SABLHead: a builder for a number of classes, and that number in the configuration."""
    if head.type == "SABLHead":
        return _read_sides(head, neck, features)
    head.typed("Shared2FCBBoxHead")
    width = head.integer("fc_out_channels", 1024)
    classes, stds, agnostic = _read_boxes(head, neck.channels, features.size)
    build = partial(BoxHead, channels=neck.channels, size=features.size, width=width, stds=stds, agnostic=agnostic)
    return build, classes


def _read_sides(head: Section, neck: Neck, features: RegionFeatures) -> tuple[Callable[[int], nn.Module], int]:
    """Read a SABLHead."""
    for key in ("cls_in_channels", "reg_in_channels", "reg_cls_out_channels", "reg_offset_out_channels"):
        head.same(key, neck.channels, 256)
    head.same("roi_feat_size", features.size, 7)
    head.fixed(reg_feat_up_ratio=2, reg_pre_kernel=3, reg_post_kernel=3, reg_pre_num=2, reg_post_num=1, norm_cfg=None)
    head.fixed(num_cls_fcs=1, num_reg_fcs=0, reg_class_agnostic=True)
    head.training("loss_bbox_cls", "loss_bbox_reg")
    _read_softmax(head)
    coder = head.below("bbox_coder")
    coder.typed("BucketingBBoxCoder")
    coder.same("num_buckets", 2 * features.size)
    coder.fixed(cls_ignore_neighbor=True, clip_border=True)
    coder.training("offset_topk", "offset_upperbound")
    width, growth = head.integer("cls_out_channels", 1024), coder.number("scale_factor")
    build = partial(SABLBoxHead, channels=neck.channels, size=features.size, width=width, growth=growth)
    return build, head.integer("num_classes")


def _read_softmax(head: Section) -> None:
    if (loss := head.section("loss_cls")) is not None:
        loss.typed("CrossEntropyLoss")
        loss.fixed(use_sigmoid=False)
        loss.rest_trains()


def _read_boxes(
    head: Section, channels: int, size: int, *, averages: bool = False, regresses: bool = True
) -> tuple[int, tuple[float, ...], bool]:
    """Read what all box heads share: the number of classes, the stds of deltas, and whether classes share a box."""
    head.same("in_channels", channels)
    head.same("roi_feat_size", size, 7)
    head.same("with_avg_pool", averages, False)
    head.same("with_reg", regresses, True)
    head.fixed(with_cls=True, conv_cfg=None)
    head.training("loss_bbox", "reg_decoded_bbox")
    _read_softmax(head)
    return head.integer("num_classes"), read_deltas(head, _STDS), head.flag("reg_class_agnostic", False)
