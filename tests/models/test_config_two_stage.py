"""Two-stage networks from configurations: those of the zoo, with the names and shapes of mmdet's weights."""

from typing import Any

import pytest
import torch
from golden.reader import read_manifest
from small_configs import NORM, new, resize

from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.forms import Proposed
from detforge.deploy.inputs.network_inputs import SizeInput
from detforge.models.anchors import Anchors
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.config.text import ConfigError, Text
from detforge.models.config.variant import describe
from detforge.models.final import FinalRule
from detforge.models.proposals import ProposalRule
from detforge.models.regions import RegionFeatures
from detforge.models.zoo import find

STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
META = {"dataset_meta": {"classes": tuple(f"class {i}" for i in range(80))}}


def coder(stds: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": (0.0,) * 4, "target_stds": stds}


def box_head(stds: tuple[float, ...] = STDS[0], **changes: Any) -> dict[str, Any]:
    head = {"type": "Shared2FCBBoxHead", "in_channels": 256, "fc_out_channels": 1024, "roi_feat_size": 7}
    head |= {"num_classes": 80, "bbox_coder": coder(stds), "reg_class_agnostic": False}
    losses = {"loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False}, "loss_bbox": {"type": "L1Loss"}}
    return head | losses | changes


def model(roi_head: dict[str, Any], rpn: dict[str, Any] | None = None) -> dict[str, Any]:
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}
    extractor = {"type": "SingleRoIExtractor", "roi_layer": layer, "out_channels": 256}
    anchors = {"type": "AnchorGenerator", "scales": (8,), "ratios": (0.5, 1.0, 2.0), "strides": (4, 8, 16, 32, 64)}
    proposals = {"nms_pre": 1500, "max_per_img": 900, "nms": {"type": "nms", "iou_threshold": 0.6}, "min_bbox_size": 0}
    return {
        "type": "mmdet.FasterRCNN",
        "data_preprocessor": NORM,
        "backbone": {"type": "ResNet", "depth": 50, "norm_cfg": {"type": "BN", "requires_grad": True}},
        "neck": {"type": "FPN", "in_channels": (256, 512, 1024, 2048), "out_channels": 256, "num_outs": 5},
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": 256,
            "anchor_generator": anchors,
            "bbox_coder": coder((1.0,) * 4),
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        },
        "roi_head": {"bbox_roi_extractor": extractor | {"featmap_strides": (4, 8, 16, 32)}, **roi_head},
        "test_cfg": {
            "rpn": proposals if rpn is None else rpn,
            "rcnn": {"score_thr": 0.1, "nms": {"type": "nms", "iou_threshold": 0.45}, "max_per_img": 70},
        },
    }


STANDARD = {"type": "StandardRoIHead", "bbox_head": box_head()}
CASCADE = {"type": "CascadeRoIHead", "num_stages": 3, "stage_loss_weights": (1, 0.5, 0.25)}
CASCADE |= {"bbox_head": tuple(box_head(stds, reg_class_agnostic=True) for stds in STDS)}
DOUBLE = {"type": "DoubleHeadRoIHead", "reg_roi_scale_factor": 1.3}
DOUBLE |= {"bbox_head": box_head(type="DoubleConvFCBBoxHead", num_convs=4, num_fcs=2, conv_out_channels=1024)}


SIDES = {"cls_in_channels": 256, "reg_in_channels": 256, "roi_feat_size": 7, "reg_feat_up_ratio": 2, "num_classes": 80}
SIDES |= {"reg_pre_kernel": 3, "reg_post_kernel": 3, "reg_pre_num": 2, "reg_post_num": 1, "cls_out_channels": 1024}
SIDES |= {"reg_offset_out_channels": 256, "reg_cls_out_channels": 256, "num_cls_fcs": 1, "num_reg_fcs": 0}
SIDES |= {"type": "SABLHead", "reg_class_agnostic": True, "norm_cfg": None}


def by_sides(growth: float) -> dict[str, Any]:
    return SIDES | {"bbox_coder": {"type": "BucketingBBoxCoder", "num_buckets": 14, "scale_factor": growth}}


CROWD_HEAD = box_head(type="MultiInstanceBBoxHead", with_refine=True, num_shared_fcs=2, num_classes=1)
CROWD = {"type": "MultiInstanceRoIHead", "bbox_head": CROWD_HEAD}


def crowd() -> dict[str, Any]:
    """OpenMMLab's CrowdDet with refinement."""
    rpn = {"nms_pre": 1200, "max_per_img": 1000, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 2}
    keys = model(CROWD, rpn) | {"type": "CrowdDet"}
    keys["neck"] |= {"upsample_cfg": {"mode": "bilinear", "align_corners": False}}
    keys["rpn_head"]["loss_cls"]["use_sigmoid"] = False
    keys["rpn_head"]["bbox_coder"] |= {"clip_border": False}
    keys["rpn_head"]["anchor_generator"] |= {"ratios": (1.0, 2.0, 3.0), "centers": ((8, 8),) * 5}
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": -1, "aligned": True, "use_torchvision": True}
    keys["roi_head"]["bbox_roi_extractor"] |= {"roi_layer": layer}
    return keys


def described(keys: dict[str, Any]) -> Any:
    return describe(Text({"model": keys, **new(resize())}, {}), META).variant


@pytest.mark.parametrize(
    ("golden", "roi_head"), [("faster_rcnn_r50", STANDARD), ("cascade_rcnn_r50", CASCADE), ("double_heads_r50", DOUBLE)]
)
def test_a_configured_network_has_mmdets_weights(golden: str, roi_head: dict[str, Any]) -> None:
    variant = described(model(roi_head))
    with torch.device("meta"):
        network: Any = variant.build(80)
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in read_manifest(golden)["state"]}
    assert variant.classes_key in shapes
    assert variant.other_inputs == (SizeInput(),)
    assert isinstance(variant.form, Proposed)
    assert (variant.suppress.conf, variant.suppress.iou, variant.suppress.max_det) == (0.1, 0.45, 70)
    assert network.rpn_head.rule == ProposalRule(1500, 0.6, 900)
    assert network.rpn_head.anchors == Anchors((4, 8, 16, 32, 64), (0.5, 1.0, 2.0), (8.0,))
    assert network.roi_head.features == RegionFeatures()
    heads = network.roi_head.bbox_head
    stds = [head.stds for head in heads] if roi_head is CASCADE else [heads.stds]
    assert stds == list(STDS[: len(stds)])


@pytest.mark.parametrize(
    ("golden", "roi_head"),
    [
        ("sabl_faster_r50", STANDARD | {"bbox_head": by_sides(1.7)}),
        ("sabl_cascade_r50", CASCADE | {"bbox_head": tuple(by_sides(growth) for growth in (1.7, 1.5, 1.3))}),
    ],
)
def test_boxes_by_sides(golden: str, roi_head: dict[str, Any]) -> None:
    variant = described(model(roi_head))
    with torch.device("meta"):
        network: Any = variant.build(80)
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in read_manifest(golden)["state"]}
    assert (variant.form, variant.fusion) == (Proposed(clip="last_pixel"), Fusion(1.0, 1.0))
    heads = network.roi_head.bbox_head
    assert [head.growth for head in (heads if isinstance(heads, torch.nn.ModuleList) else [heads])] in (
        [1.7],
        [1.7, 1.5, 1.3],
    )


def test_guided_anchors() -> None:
    keys = model(STANDARD)
    squares = {"type": "AnchorGenerator", "scales": (8,), "ratios": (1.0,), "strides": (4, 8, 16, 32, 64)}
    rpn = {"type": "GARPNHead", "in_channels": 256, "square_anchor_generator": squares, "loc_filter_thr": 0.01}
    rpn |= {"approx_anchor_generator": {}, "anchor_coder": coder((0.07, 0.07, 0.14, 0.14))}
    keys["rpn_head"] = rpn | {"bbox_coder": coder((0.07, 0.07, 0.11, 0.11))}
    variant = described(keys)
    with torch.device("meta"):
        network: Any = variant.build(80)
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in read_manifest("ga_faster_r50")["state"]}
    head = network.rpn_head
    assert (head.stds, head.shape_stds) == ((0.07, 0.07, 0.11, 0.11), (0.07, 0.07, 0.14, 0.14))
    assert head.rule == ProposalRule(1500, 0.6, 900)
    with pytest.raises(ConfigError, match=r"loc_filter_thr is 0\.1"):
        described(keys | {"rpn_head": keys["rpn_head"] | {"loc_filter_thr": 0.1}})


def test_a_configured_crowddet_is_the_named_one() -> None:
    variant, named = described(crowd()), find("crowddet_r50_refine")
    with torch.device("meta"):
        network, expected = variant.build(1), named.build(1)
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in read_manifest("crowddet_r50_refine")["state"]}
    assert network.rpn_head.rule == expected.rpn_head.rule
    assert network.rpn_head.anchors == expected.rpn_head.anchors
    assert network.rpn_head.softmax
    assert network.neck.upsample == expected.neck.upsample == "bilinear"
    assert network.roi_head.features == expected.roi_head.features
    assert (variant.form, variant.suppress.kind) == (named.form, named.suppress.kind)
    assert variant.classes_key == named.classes_key


def with_masks(roi_head: dict[str, Any], masks: Any, **others: Any) -> dict[str, Any]:
    """The model with mask heads, whose features are of 14 px."""
    keys = model(roi_head)
    extractor = keys["roi_head"]["bbox_roi_extractor"]
    extractor = extractor | {"roi_layer": extractor["roi_layer"] | {"output_size": 14}}
    keys["roi_head"] |= {"mask_roi_extractor": extractor, "mask_head": masks, **others}
    keys["test_cfg"]["rcnn"] |= {"mask_thr_binary": 0.5}
    return keys


FCN = {"type": "FCNMaskHead", "num_convs": 4, "in_channels": 256, "conv_out_channels": 256, "num_classes": 80}
FCN |= {"loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0}}
IOU = {"type": "MaskIoUHead", "num_convs": 4, "num_fcs": 2, "roi_feat_size": 14, "in_channels": 256}
IOU |= {"conv_out_channels": 256, "fc_out_channels": 1024, "num_classes": 80}
SCORING = STANDARD | {"type": "MaskScoringRoIHead"}
HYBRID = CASCADE | {"type": "HybridTaskCascadeRoIHead", "interleaved": True, "mask_info_flow": True}
FLOWING = tuple(FCN | {"type": "HTCMaskHead", "with_conv_res": i > 0} for i in range(3))


@pytest.mark.parametrize(
    ("name", "roi_head", "masks", "others"),
    [
        ("mask_rcnn_r50", STANDARD, FCN, {}),
        ("ms_rcnn_r50_caffe", SCORING, FCN, {"mask_iou_head": IOU}),
        ("cascade_mask_rcnn_r50", CASCADE, (FCN,) * 3, {}),
        ("cascade_mask_rcnn_r50", CASCADE, FCN, {}),
    ],
)
def test_configured_masks_are_those_of_the_named_network(name: str, roi_head: Any, masks: Any, others: Any) -> None:
    variant, named = described(with_masks(roi_head, masks, **others)), find(name)
    with torch.device("meta"):
        network, expected = variant.build(80), named.build(80)
    shapes, wanted = ({key: value.shape for key, value in each.state_dict().items()} for each in (network, expected))
    assert shapes == wanted
    assert network.features == expected.features == RegionFeatures(size=14)
    assert network.rule == FinalRule(0.05, 0.45, 70)
    assert (variant.form, variant.fusion) == (named.form, named.fusion)
    assert named.mapping.items() <= variant.mapping.items()


def test_mask_heads_of_a_hybrid_cascade_follow_one_another() -> None:
    with torch.device("meta"):
        network: Any = described(with_masks(HYBRID, FLOWING)).build(80)
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    boxes = {key: shape for key, shape in shapes.items() if not key.startswith("final_head.")}
    assert boxes == {key: shape for key, shape, _ in read_manifest("htc_nosem_r50")["state"]}
    follow = {key: shape for key, shape in shapes.items() if "conv_res.conv.weight" in key}
    assert follow == {f"final_head.{i}.conv_res.conv.weight": [256, 256, 1, 1] for i in (1, 2)}
    assert [shapes[f"final_head.{i}.conv_logits.weight"] for i in range(3)] == [[80, 256, 1, 1]] * 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (with_masks(STANDARD, FCN | {"type": "PointHead"}), r"mask_head\.type is 'PointHead'; supported: FCNMaskHead"),
        (with_masks(STANDARD, FCN | {"class_agnostic": True}), r"mask_head\.class_agnostic is True; supported: False"),
        (with_masks(CASCADE, (FCN,) * 2), r"mask_head is .*; supported: one for all stages, or 3"),
        (with_masks(HYBRID, (FLOWING[1],) * 3), r"mask_head\[0\]\.with_conv_res is True; supported: False"),
        (with_masks(HYBRID, FLOWING, semantic_head={"a": 1}), r"semantic_head is \{'a': 1\}, which is not supported"),
        (with_masks(STANDARD | {"bbox_head": by_sides(1.7)}, FCN), r"supported: no mask_head beside boxes of this"),
    ],
)
def test_masks_that_are_not_supported_are_refused_by_name(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_thr_binary": 0.4}, r"mask_thr_binary is 0\.4; supported: 0\.5"),
        ({"nms": {"type": "soft_nms", "iou_threshold": 0.5}}, "nms of each class"),
        ({"max_per_img": 2000}, "max_per_img up to 1000"),
    ],
)
def test_limits_that_are_not_supported_beside_masks(changes: dict[str, Any], message: str) -> None:
    keys = with_masks(STANDARD, FCN)
    keys["test_cfg"]["rcnn"] |= changes
    with pytest.raises(ConfigError, match=message):
        described(keys)


GRID = {"type": "GridRoIHead", "bbox_head": box_head(with_reg=False)}
GRID |= {"grid_head": {"type": "GridHead", "norm_cfg": {"type": "GN", "num_groups": 36}, "loss_grid": {}}}


def test_a_grid_of_points() -> None:
    keys = model(GRID) | {"type": "GridRCNN"}
    extractor = keys["roi_head"]["bbox_roi_extractor"]
    finer = extractor | {"roi_layer": extractor["roi_layer"] | {"output_size": 14}}
    keys["roi_head"]["grid_roi_extractor"] = finer
    variant, named = described(keys), find("grid_rcnn_r50")
    assert_has_weights(variant, "grid_rcnn_r50")
    assert (variant.form, variant.suppress.kind) == (named.form, "none")
    with torch.device("meta"):
        head = variant.build(80).roi_head
    assert head.rule == FinalRule(0.1, 0.45, 70)
    assert head.final_features == RegionFeatures(size=14)
    keys["test_cfg"]["rcnn"]["nms"] = {"type": "soft_nms", "iou_threshold": 0.5}
    with pytest.raises(ConfigError, match=r"test_cfg\.rcnn\.nms is not plain NMS of each class"):
        described(keys)


def test_the_last_stage_of_the_backbone_behind_the_regions() -> None:
    shared = {"type": "ResLayer", "depth": 50, "stage": 3, "stride": 2, "dilation": 1, "style": "caffe"}
    shared |= {"norm_cfg": {"type": "BN", "requires_grad": False}, "norm_eval": True}
    head = box_head(type="BBoxHead", with_avg_pool=True, in_channels=2048)
    del head["fc_out_channels"]
    keys = model({"type": "StandardRoIHead", "shared_head": shared, "bbox_head": head})
    del keys["neck"]
    stages = {"num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_indices": (2,), "style": "caffe"}
    keys["backbone"] |= stages
    keys["rpn_head"] |= {"in_channels": 1024, "feat_channels": 1024}
    keys["rpn_head"]["anchor_generator"] |= {"strides": (16,), "scales": (2, 4, 8, 16, 32)}
    layer = {"type": "RoIAlign", "output_size": 14, "sampling_ratio": 0}
    keys["roi_head"]["bbox_roi_extractor"] |= {"featmap_strides": (16,), "out_channels": 1024, "roi_layer": layer}
    variant = described(keys)
    assert_has_weights(variant, "faster_rcnn_r50_caffe_c4")
    with torch.device("meta"):
        network, named = variant.build(80), find("faster_rcnn_r50_caffe_c4").build(80)
    assert network.rpn_head.anchors == named.rpn_head.anchors
    assert network.roi_head.features.features == named.roi_head.features.features
    assert network.roi_head.features.layer4[0].conv1.stride == (2, 2)
    assert network.levels == named.levels
    keys["roi_head"]["shared_head"] = shared | {"stage": 2}
    with pytest.raises(ConfigError, match=r"shared_head\.stage is 2; supported: 3"):
        described(keys)


def detectors() -> dict[str, Any]:
    """OpenMMLab's Cascade R-CNN with DetectoRS."""
    keys = model(CASCADE) | {"type": "CascadeRCNN"}
    switching = {
        "type": "DetectoRS_ResNet",
        "conv_cfg": {"type": "ConvAWS"},
        "sac": {"type": "SAC", "use_deform": True},
    }
    keys["backbone"] |= switching | {"stage_with_sac": (False, True, True, True)}
    again = keys["backbone"] | {"rfp_inplanes": 256, "pretrained": "torchvision://resnet50"}
    keys["neck"] |= {"type": "RFP", "rfp_steps": 2, "aspp_out_channels": 64, "aspp_dilations": (1, 3, 6, 1)}
    keys["neck"] |= {"rfp_backbone": again}
    keys["backbone"] |= {"output_img": True}
    return keys


def test_a_recursive_pyramid_of_switchable_convolutions() -> None:
    variant, named = described(detectors()), find("detectors_cascade_r50")
    with torch.device("meta"):
        network, expected = variant.build(80), named.build(80)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert shapes == {key: value.shape for key, value in expected.state_dict().items()}
    assert network.levels == expected.levels
    for part, value in (("backbone", {"stage_with_sac": (False,) * 4}), ("neck", {"rfp_steps": 3})):
        keys = detectors()
        keys[part] |= value
        with pytest.raises(ConfigError, match=f"{part}.{next(iter(value))} is"):
            described(keys)


def assert_has_weights(variant: Any, golden: str) -> None:
    """The network has mmdet's weights, as its mapping renames them."""
    shapes = {key: tuple(shape) for key, shape, _ in read_manifest(golden)["state"]}
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert fits(variant, Checkpoint(state, golden, None, None))


@pytest.mark.parametrize("centers", [((8, 8),) * 4, ((8, 8),) * 4 + ((16, 16),)])
def test_centres_that_differ_by_level_are_refused(centers: tuple[tuple[int, int], ...]) -> None:
    keys = crowd()
    keys["rpn_head"]["anchor_generator"]["centers"] = centers
    with pytest.raises(ConfigError, match=r"anchor_generator\.centers"):
        described(keys)


def test_proposals_as_written_before_mmdet_2_4() -> None:
    old = {"nms_across_levels": False, "nms_pre": 1000, "nms_post": 1000, "max_num": 800, "nms_thr": 0.7}
    variant = described(model(STANDARD, old | {"min_bbox_size": 0}))
    with torch.device("meta"):
        assert variant.build(80).rpn_head.rule == ProposalRule(1000, 0.7, 800)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_head": {"type": "FCNMaskHead"}}, r"model\.roi_head\.mask_roi_extractor is None"),
        ({"type": "TridentRoIHead"}, r"type is 'TridentRoIHead'; supported second stages: StandardRoIHead, "),
        ({"bbox_head": box_head(type="BBoxHead")}, r"bbox_head\.type is 'BBoxHead'; supported: Shared2FCBBoxHead"),
        ({"bbox_head": box_head(loss_cls={"type": "SeesawLoss"})}, r"loss_cls\.type is 'SeesawLoss'"),
        ({"bbox_head": box_head(roi_feat_size=14)}, r"roi_feat_size is 14; supported: 7"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(model(STANDARD | changes))
