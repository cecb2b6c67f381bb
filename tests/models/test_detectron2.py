"""Configurations and weights of Detectron2."""

import pytest
import torch
from detectron2_files import CONFIG, weights

from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.config.detectron2 import describe_yaml
from detforge.models.config.text import ConfigError, UnknownNetworkError
from detforge.models.zoo import find


def test_the_configuration_of_faster_rcnn() -> None:
    variant = describe_yaml(CONFIG, {}).variant
    assert variant.input.place == Resize((800, 1333), "edges", filter="antialias", pad=Pad(multiple=32))
    assert (variant.input.color, variant.input.mean, variant.input.std) == ("bgr", (103.53, 116.28, 123.675), (1,) * 3)
    assert (variant.suppress.conf, variant.suppress.iou, variant.suppress.max_det) == (0.1, 0.45, 50)
    with torch.device("meta"):
        ours, same = variant.build(3), find("faster_rcnn_r50_caffe").build(3)
    assert str(ours) == str(same)
    assert ours.rpn_head.rule == same.rpn_head.rule
    assert ours.rpn_head.anchors.strides == same.rpn_head.anchors.strides
    assert ours.rpn_head.anchors.first_cell(8) == same.rpn_head.anchors.first_cell(8)
    assert ours.roi_head.features == same.roi_head.features
    assert ours.roi_head.bbox_head.stds == pytest.approx(same.roi_head.bbox_head.stds)


ON_C4 = CONFIG
for _old, _new in (
    ("[[32], [64], [128], [256], [512]]", "[[32, 64, 128, 256, 512]]"),
    ("build_resnet_fpn_backbone", "build_resnet_backbone"),
    ("OUT_FEATURES: [res2, res3, res4, res5]", "OUT_FEATURES: [res4]"),
    ("IN_FEATURES: [p2, p3, p4, p5]\n", "IN_FEATURES: [res4]\n"),
    ("IN_FEATURES: [p2, p3, p4, p5, p6]", "IN_FEATURES: [res4]"),
    ("StandardROIHeads", "Res5ROIHeads"),
    ("POOLER_RESOLUTION: 7", "POOLER_RESOLUTION: 14"),
    ("PRE_NMS_TOPK_TEST: 1000", "PRE_NMS_TOPK_TEST: 6000"),
):
    assert _old in ON_C4
    ON_C4 = ON_C4.replace(_old, _new)


def on_c4() -> dict[str, torch.Tensor]:
    """The names and shapes of Faster R-CNN R50-C4 of three classes."""
    own = ("box_head", "box_predictor", "fpn_", "rpn_head", "cell_anchors")
    state = {
        name.replace("bottom_up.", "").replace("backbone.res5.", "roi_heads.res5."): value
        for name, value in weights().items()
        if not any(part in name for part in own)
    }
    for name, *shape in (
        ("proposal_generator.rpn_head.conv", 1024, 1024, 3, 3),
        ("proposal_generator.rpn_head.objectness_logits", 15, 1024, 1, 1),
        ("proposal_generator.rpn_head.anchor_deltas", 60, 1024, 1, 1),
        ("roi_heads.box_predictor.cls_score", 4, 2048),
        ("roi_heads.box_predictor.bbox_pred", 12, 2048),
    ):
        state |= {f"{name}.weight": torch.zeros(shape), f"{name}.bias": torch.zeros(shape[0])}
    return state | {"proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(15, 4)}


def test_the_configuration_of_faster_rcnn_on_one_level() -> None:
    variant = describe_yaml(ON_C4, {}).variant
    assert variant.input.place == Resize((800, 1333), "edges", filter="antialias", pad=Pad(multiple=1))
    with torch.device("meta"):
        ours, same = variant.build(3), find("faster_rcnn_c4").build(3)
    assert str(ours) == str(same)
    assert ours.rpn_head.rule == same.rpn_head.rule
    assert ours.roi_head.features.features == same.roi_head.features.features
    sizes = [anchor[2:] for anchor in ours.rpn_head.anchors.first_cell(16)]
    assert sorted(sizes) == sorted(anchor[2:] for anchor in same.rpn_head.anchors.first_cell(16))
    assert ours.roi_head.bbox_head.stds == pytest.approx(same.roi_head.bbox_head.stds)
    assert fits(variant, Checkpoint(on_c4(), "model_final.pth", None, None))
    with pytest.raises(ConfigError, match=r"MODEL\.RESNETS\.NUM_GROUPS is 32; supported: 1"):
        describe_yaml(ON_C4.replace("NUM_GROUPS: 1", "NUM_GROUPS: 32"), {})


def test_every_weight_has_its_place() -> None:
    variant, state = describe_yaml(CONFIG, {}).variant, weights()
    assert fits(variant, Checkpoint(state, "model_final.pth", None, None))
    state["roi_heads.box_head.fc3.weight"] = torch.zeros(1)
    assert not fits(variant, Checkpoint(state, "model_final.pth", None, None))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MASK_ON: false", "MASK_ON: true", r"MODEL\.MASK_ON is True; supported: False"),
        ("FUSE_TYPE: sum", "FUSE_TYPE: avg", r"MODEL\.FPN\.FUSE_TYPE is 'avg'; supported: 'sum'"),
        ("  FPN:\n", "  OTHER:\n", r"MODEL\.FPN\.NORM is missing"),
        ("DEPTH: 50", "DEPTH: 18", r"MODEL\.RESNETS\.DEPTH is 18; supported: 50, 101, 152"),
        ("[[32], [64]", "[[16], [64]", r"MODEL\.ANCHOR_GENERATOR\.SIZES is"),
        ("NUM_CLASSES: 3", "NUM_CLASSES: many", r"NUM_CLASSES is 'many'; supported: a whole number"),
        ("MIN_SIZE_TEST: 800", "MIN_SIZE_TEST: 0", r"INPUT\.MIN_SIZE_TEST is 0; supported"),
        ("VERSION: 2", "_BASE_: ../Base.yaml", r"it inherits from '\.\./Base\.yaml'; give the config\.yaml"),
        ("VERSION: 2", "VERSION: !!python/object/apply:os.system ['touch RAN']", r"it is no plain YAML"),
        ("VERSION: 2", "VERSION: " + "[" * 5000, r"it is no plain YAML"),
        ("VERSION: 2", "VERSION: {", r"it is no plain YAML"),
        ("VERSION: 2", "#" * (1 << 20), r"characters, 1048576 at most"),
    ],
)
def test_what_is_not_supported_is_named(old: str, new: str, message: str) -> None:
    assert old in CONFIG
    with pytest.raises(ConfigError, match=message):
        describe_yaml(CONFIG.replace(old, new), {})


def test_other_networks_are_named() -> None:
    with pytest.raises(UnknownNetworkError, match=r"META_ARCHITECTURE is 'PanopticFPN'; supported: GeneralizedRCNN"):
        describe_yaml("MODEL: {META_ARCHITECTURE: PanopticFPN}\n", {})
