"""ASFF (arXiv 1911.09516) in YOLOv3."""

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import SizedAnchors
from ..backbones.darknet import Darknet
from ..detector import DenseDetector
from ..heads.asff import ASFFHead
from ..heads.yolo import OTHERS
from ..labels import COCO
from ..necks.asff import ASFFNeck
from ..variant import RGB, Published, Variant, stretched

_STRIDES = (32, 16, 8)
# Three sizes and a square of four strides; two of the sizes are not YOLOv3's, by a slip that the weights have learned.
_ANCHORS = SizedAnchors(
    _STRIDES,
    (
        ((116, 90), (156, 198), (121, 240), (128, 128)),
        ((30, 61), (62, 45), (42, 119), (64, 64)),
        ((10, 13), (16, 30), (33, 23), (32, 32)),
    ),
)


def build(
    classes: int, *, width: int = 32, blocks: tuple[int, ...] = (1, 2, 8, 8, 4), fields: bool = False
) -> nn.Module:
    """A YOLOv3 with fused levels; `fields` are receptive field blocks, with fewer channels for the fusion's weights."""
    trunk = Darknet(width=width, blocks=blocks)
    neck = ASFFNeck(trunk.channels[1:], 32 * width, narrow=8 if fields else 16)
    head = ASFFHead(classes, (32 * width, 16 * width, 8 * width), anchors=_ANCHORS, fields=fields)
    return DenseDetector(trunk, neck, head)


def _layout() -> dict[str, str]:
    """The authors' list of modules, and their fusions and heads."""
    names = {"^module_list.0.": "backbone.conv1."}
    for i in range(1, 6):
        names[f"^module_list.{2 * i - 1}."] = f"backbone.conv_res_block{i}.conv."
        for k in range(8):
            for j in (0, 1):
                names[f"^module_list.{2 * i}.module_list.{k}.{j}."] = f"backbone.conv_res_block{i}.res{k}.conv{j + 1}."
    first = ("11.module_list.0.0", "11.module_list.0.1", "12", None, "14", "15", "17")
    names |= {f"^module_list.{name}.": f"neck.detect1.{i}." for i, name in enumerate(first) if name}
    for block, before, start in (("detect2", "conv1", 18), ("detect3", "conv2", 25)):
        parts = (f"{start + 2}", f"{start + 3}", f"{start + 5}.module_list.0.0", f"{start + 5}.module_list.0.1")
        names[f"^module_list.{start}."] = f"neck.{before}."
        names |= {
            f"^module_list.{name}.": f"neck.{block}.conv{i}." for i, name in enumerate((*parts, f"{start + 6}"), 1)
        }
    names["^module_list.32."] = "neck.conv3."
    for i in range(3):
        for k in range(3):
            names[f"^level_{i}_fusion.weight_level_{k}."] = f"neck.fusions.{i}.weight.{k}."
            names[f"^level_{i}_fusion.stride_level_{k}."] = f"neck.fusions.{i}.resize.{k}."
            names[f"^level_{i}_fusion.compress_level_{k}."] = f"neck.fusions.{i}.resize.{k}."
        names[f"^level_{i}_fusion."] = f"neck.fusions.{i}."
        names[f"^level_{i}_header."] = f"bbox_head.levels.{i}."
    return names | {".Feature_adaption.": ".", ".batch_norm.": ".bn."}


# Weights lie on a drive; AP on COCO's test-dev, as the authors state it.
_ASFF = Variant(
    name="yolov3_asff",
    paper="arXiv 1911.09516",
    summary="YOLOv3 with levels fused place by place, and guided anchors",
    build=build,
    form=Dense(_STRIDES, anchors=_ANCHORS.per_cell, top_k=10_000, clip="none"),
    classes_key="bbox_head.levels.0.conv.weight",
    input=stretched(RGB, 608, 608),
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(iou=0.65, max_det=1000),
    labels=COCO,
    published=Published(None, 40.6),
    mapping=_layout(),
    beside_classes=OTHERS,
)

VARIANTS = (
    _ASFF,
    _ASFF.derive(
        "yolov3_asff_rfb",
        "YOLOv3 with fused levels, guided anchors and receptive field blocks, images of 800 px",
        Published(None, 43.9),
        build={"fields": True},
        input=stretched(RGB, 800, 800),
    ),
    _ASFF.derive("asff_test", "tiny ASFF for tests", build={"width": 4, "blocks": (1, 1, 1, 1, 1), "fields": True}),
)
ALIASES = {"asff": "yolov3_asff_rfb"}
