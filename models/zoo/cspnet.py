"""CSPNet (arXiv 1911.11929) with PANet and a spatial pyramid."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dense
from ..anchors import SizedAnchors
from ..backbones import cspnet
from ..detector import DenseDetector
from ..heads.yolo import OTHERS, CellHead
from ..labels import COCO
from ..variant import RGB, Published, Variant, stretched

_STRIDES = (8, 16, 32)
_YOLOV3 = SizedAnchors(
    _STRIDES,
    (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)), ((116, 90), (156, 198), (373, 326))),
)
_OPTIMAL = SizedAnchors(
    _STRIDES,
    (((12, 16), (19, 36), (40, 28)), ((36, 75), (76, 55), (72, 146)), ((142, 110), (192, 243), (459, 401))),
)
_EVEN, _STRETCHED = (1.0, 1.0, 1.0), (1.2, 1.1, 1.05)


def build(
    classes: int,
    *,
    trunk: str = "resnext",
    neck: Callable[[cspnet.Table, int, int, int], None] = cspnet.panet,
    anchors: SizedAnchors = _YOLOV3,
    stretch: tuple[float, ...] = _EVEN,
    narrow: int = 1,
) -> nn.Module:
    """A detector on a "resnet", a "resnext" or a "darknet"; `neck` adds the levels to the table, and layers have
    1 / `narrow` of the channels."""
    table = cspnet.Table()
    ends = cspnet.darknet(table) if trunk == "darknet" else cspnet.resnet(table, 32 if trunk == "resnext" else 1)
    neck(table, *ends, anchors.per_cell * (OTHERS + classes))
    backbone = cspnet.DarknetGraph([cspnet.narrowed(layer, narrow) for layer in table.layers])
    head = CellHead(classes, anchors=anchors, stretch=stretch)
    return DenseDetector(backbone, nn.Identity(), head, levels=(0, 1, 2))


# The authors keep their weights on a drive; AP on COCO's test-dev, images of 512 px.
_X50 = Variant(
    name="cspresnext50_panet_spp",
    paper="arXiv 1911.11929",
    summary="cross stages, PANet and a spatial pyramid: CSPResNeXt-50, tuned",
    build=build,
    form=Dense(_STRIDES, anchors=3, top_k=10_000, clip="none"),
    classes_key="backbone.models.114.conv81.weight",
    input=stretched(replace(RGB, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)), 512, 512),
    fusion=Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
    suppress=Suppress(iou=0.45, max_det=1000),
    labels=COCO,
    published=Published(None, 42.4),
    mapping={"^models.": "backbone.models."},
    beside_classes=OTHERS,
)
_TUNED = {"anchors": _OPTIMAL, "stretch": _STRETCHED}

VARIANTS = (
    _X50.derive(_X50.name, _X50.summary, _X50.published, build=_TUNED),
    _X50.derive(
        "cspresnext50_panet_spp_416", "CSPResNeXt-50 with PANet and a spatial pyramid", Published(None, 38.0), build={}
    ),
    _X50.derive(
        "cspresnet50_panet_spp",
        "CSPResNet-50 with PANet and a spatial pyramid",
        Published(None, 38.0),
        build={"trunk": "resnet"},
    ),
    _X50.derive(
        "cspdarknet53_panet_spp",
        "CSPDarknet-53 with PANet and a spatial pyramid",
        Published(None, 38.7),
        build={"trunk": "darknet"},
        classes_key="backbone.models.138.conv94.weight",
    ),
    _X50.derive(
        "cspresnext50_efm",
        "CSPResNeXt-50 with a spatial pyramid and an exact fusion model",
        build={"neck": cspnet.fusion},
        classes_key="backbone.models.104.conv72.weight",
    ),
    _X50.derive(
        "cspdarknet53_efm",
        "CSPDarknet-53 with a spatial pyramid and an exact fusion model",
        build={"trunk": "darknet", "neck": cspnet.fusion},
        classes_key="backbone.models.128.conv85.weight",
    ),
    _X50.derive(
        "efm_test",
        "tiny CSPDarknet with an exact fusion model for tests",
        build={"trunk": "darknet", "narrow": 8, "neck": cspnet.fusion},
        classes_key="backbone.models.128.conv85.weight",
    ),
    _X50.derive("cspnet_test", "tiny CSPResNet for tests", build={"trunk": "resnet", "narrow": 8}),
)
ALIASES = {"cspnet": "cspresnext50_panet_spp"}
