"""A configuration of Detectron2, and the names and shapes of its weights."""

import torch

CONFIG = """
INPUT:
  FORMAT: BGR
  MAX_SIZE_TEST: 1333
  MIN_SIZE_TEST: 800
MODEL:
  ANCHOR_GENERATOR:
    ASPECT_RATIOS:
    - - 0.5
      - 1.0
      - 2.0
    NAME: DefaultAnchorGenerator
    OFFSET: 0.0
    SIZES: [[32], [64], [128], [256], [512]]
  BACKBONE: {FREEZE_AT: 2, NAME: build_resnet_fpn_backbone}
  FPN:
    FUSE_TYPE: sum
    IN_FEATURES: [res2, res3, res4, res5]
    NORM: ''
    OUT_CHANNELS: 256
  KEYPOINT_ON: false
  LOAD_PROPOSALS: false
  MASK_ON: false
  META_ARCHITECTURE: GeneralizedRCNN
  PIXEL_MEAN: [103.53, 116.28, 123.675]
  PIXEL_STD: [1.0, 1.0, 1.0]
  PROPOSAL_GENERATOR: {MIN_SIZE: 0, NAME: RPN}
  RESNETS:
    DEFORM_ON_PER_STAGE: [false, false, false, false]
    DEPTH: 50
    NORM: FrozenBN
    NUM_GROUPS: 1
    OUT_FEATURES: [res2, res3, res4, res5]
    RES2_OUT_CHANNELS: 256
    RES5_DILATION: 1
    STEM_OUT_CHANNELS: 64
    STRIDE_IN_1X1: true
    WIDTH_PER_GROUP: 64
  ROI_BOX_HEAD:
    BBOX_REG_WEIGHTS: [10.0, 10.0, 5.0, 5.0]
    CLS_AGNOSTIC_BBOX_REG: false
    FC_DIM: 1024
    NAME: FastRCNNConvFCHead
    NORM: ''
    NUM_CONV: 0
    NUM_FC: 2
    POOLER_RESOLUTION: 7
    POOLER_SAMPLING_RATIO: 0
    POOLER_TYPE: ROIAlignV2
  ROI_HEADS:
    IN_FEATURES: [p2, p3, p4, p5]
    NAME: StandardROIHeads
    NMS_THRESH_TEST: 0.45
    NUM_CLASSES: 3
    SCORE_THRESH_TEST: 0.1
  RPN:
    BBOX_REG_WEIGHTS: [1.0, 1.0, 1.0, 1.0]
    CONV_DIMS: [-1]
    HEAD_NAME: StandardRPNHead
    IN_FEATURES: [p2, p3, p4, p5, p6]
    NMS_THRESH: 0.7
    POST_NMS_TOPK_TEST: 1000
    PRE_NMS_TOPK_TEST: 1000
SOLVER: {BASE_LR: 0.02}
TEST:
  AUG: {ENABLED: false}
  DETECTIONS_PER_IMAGE: 50
VERSION: 2
"""


def weights() -> dict[str, torch.Tensor]:
    """The names and shapes of Faster R-CNN R50-FPN of three classes, as Detectron2's modules are nested."""
    shapes: dict[str, tuple[int, ...]] = {"pixel_mean": (3, 1, 1), "pixel_std": (3, 1, 1)}

    def conv(name: str, out: int, channels: int, size: int, *, norm: bool = False, bias: bool = False) -> None:
        shapes[f"{name}.weight"] = (out, channels, size, size)
        if bias:
            shapes[f"{name}.bias"] = (out,)
        if norm:
            shapes.update({f"{name}.norm.{part}": (out,) for part in ("weight", "bias", "running_mean", "running_var")})

    bottom = "backbone.bottom_up"
    conv(f"{bottom}.stem.conv1", 64, 3, 7, norm=True)
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3), 2):
        width = 64 << (stage - 2)
        for block in range(blocks):
            at = f"{bottom}.res{stage}.{block}"
            if block == 0:
                conv(f"{at}.shortcut", 4 * width, channels, 1, norm=True)
            conv(f"{at}.conv1", width, channels, 1, norm=True)
            conv(f"{at}.conv2", width, width, 3, norm=True)
            conv(f"{at}.conv3", 4 * width, width, 1, norm=True)
            channels = 4 * width
        conv(f"backbone.fpn_lateral{stage}", 256, channels, 1, bias=True)
        conv(f"backbone.fpn_output{stage}", 256, 256, 3, bias=True)
    rpn = "proposal_generator.rpn_head"
    conv(f"{rpn}.conv", 256, 256, 3, bias=True)
    conv(f"{rpn}.objectness_logits", 3, 256, 1, bias=True)
    conv(f"{rpn}.anchor_deltas", 12, 256, 1, bias=True)
    shapes.update({f"proposal_generator.anchor_generator.cell_anchors.{i}": (3, 4) for i in range(5)})
    for name, out, inside in (
        ("box_head.fc1", 1024, 256 * 49),
        ("box_head.fc2", 1024, 1024),
        ("box_predictor.cls_score", 4, 1024),
        ("box_predictor.bbox_pred", 12, 1024),
    ):
        shapes |= {f"roi_heads.{name}.weight": (out, inside), f"roi_heads.{name}.bias": (out,)}
    return {name: torch.zeros(shape) for name, shape in shapes.items()}
